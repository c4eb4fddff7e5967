"""Find the runs that the repository still reads, and that must therefore stay folders: no archive replaces them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.pipeline.run_verification import ARCHIVES, list_verified_shards
from registry_pipeline.pointers.chain import ACTIVATION_TAG, ChainState
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.reader import ChainFacts
from registry_pipeline.registries.base.sealed_input import RunKey
from registry_pipeline.registries.base.shard_names import INDEX_TAG, VERDICTS_TAG
from registry_pipeline.registries.base.shard_runs import find_newest_runs, list_shards
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.delta_log.read import find_log_head
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.envelope_file import read_run_json
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.scan import find_dated_runs, list_run_folders


def is_activation_record(run_id: str, run_json: Mapping[str, Any]) -> bool:
    """Return whether a run is an activation record by its run.json, or has the name of one."""
    parsed = RunId.parse(run_id)
    return run_json.get("registry_id") == ACTIVATION_TAG or (parsed is not None and parsed.tag == ACTIVATION_TAG)


class NeededRuns:
    """The runs that must stay folders, and why."""

    def __init__(self, repository: Repository) -> None:
        """Read pointer file, chain, delta log and run folders.

        Raises:
            RefusedError: the pointer file or the chain is invalid, so what is needed is not known.
        """
        self._catalog = catalog_of(repository)
        chain = read_chain_state(repository)
        if chain.refuses:
            advice = "run `registry-pipeline doctor`, then export again"
            raise RefusedError("the activation chain is invalid, so it is not known which runs are needed", advice)
        self._log = find_log_head(
            repository,
            ChainFacts(chain.marked_bad, chain.accepted_foreign(repository.config.repository_id)),
            self._catalog.registries,
        )
        edges = () if self._log.head is None else self._log.head.edges
        self._logged = {(edge.to_ref.run_root, edge.to_ref.run_id) for edge in edges}
        self._reasons: dict[RunKey, str] = {}
        self._add_active(repository, chain)
        for ref in {edge.registry_id: edge.to_ref for edge in edges}.values():
            self._add(ref, "the next line of the delta log is compared with it")
        self._add_newest(repository)

    def explain(self, run_root: str, run_id: str, envelope: Mapping[str, Any]) -> str | None:
        """Return why a run must stay a folder, or None; `envelope` is its run.json."""
        if is_activation_record(run_id, envelope):
            return "it is an activation record"
        reason = self._reasons.get((run_root, run_id))
        if reason is not None:
            return reason
        spec = self._catalog.registries.get(str(envelope.get("registry_id")))
        if spec is not None and spec.kind == "collection":
            return "a collection seals a member again whose folder is missing"
        is_missing = (run_root, run_id) not in self._logged
        if spec is not None and spec.delta and is_missing and (self._log.head is not None or self._log.refuses):
            return "it is not in the delta log yet"
        return None

    def _add(self, ref: SealedRef, reason: str) -> None:
        self._reasons.setdefault((ref.run_root, ref.run_id), reason)

    def _add_active(self, repository: Repository, chain: ChainState) -> None:
        """Add the active runs, those that they were built from, those before them, and those of a rollback."""
        pointers = read_pointers(repository).pointers
        queue = deque(pointer.ref for pointer in pointers if pointer.ref is not None)
        for ref in queue:
            self._add(ref, "it is active")
        seen = set(queue)
        while queue:
            ref = queue.popleft()
            run_json = read_run_json(repository.path(ref.path)) or {}
            for recorded in Inputs.from_json(run_json.get("inputs")).registries:
                self._add(recorded.ref, f"an active run was built from it ({recorded.role})")
                # The check of a run reads what was before it, but not what was before that.
                if recorded.role == "upstream" and recorded.ref not in seen:
                    seen.add(recorded.ref)
                    queue.append(recorded.ref)
        last = {move.registry_id: move.from_ref for sealed in chain.records for move in sealed.record.moves}
        for from_ref in last.values():
            if from_ref is not None:
                self._add(from_ref, "a rollback would activate it")

    def _add_newest(self, repository: Repository) -> None:
        """Add the newest run of each registry, of each day of a registry of days, and of each shard."""
        tags = self._catalog.own_tags
        listing = list_run_folders(repository, repository.config.run_roots, tags)
        newest = {(run_id.tag, run_id.partition): folder for run_id, folder in find_dated_runs(listing, tags)}
        for (_, partition), folder in newest.items():
            reason = "it is the newest run of its registry" if partition is None else "it is the newest run of its day"
            self._reasons.setdefault((folder.run_root, folder.run_id), reason)
        if repository.config.dagster.shards:
            run_roots = repository.config.run_roots
            shards = {
                INDEX_TAG: list_shards(repository, run_roots).keys(),
                # Archives, and folders that the build excludes, have verdicts, too.
                VERDICTS_TAG: list_verified_shards(repository).keys(),
            }
            for tag, existing in shards.items():
                for shard, run_id in find_newest_runs(repository, tag, (*run_roots, ARCHIVES.run_root)).items():
                    if shard in existing:
                        key = repository.config.publish_root, str(run_id)
                        self._reasons.setdefault(key, "it is the newest run of its shard")
