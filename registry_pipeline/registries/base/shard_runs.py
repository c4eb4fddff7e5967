"""The runs of shards: which is the newest, what it contains, and how one is sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.registries.base.seal_build import (
    BuildRun,
    find_previous_attempt,
    make_ref,
    read_version,
    refuse_linked_publish_root,
)
from registry_pipeline.registries.base.shard_names import Shard, split_by_month
from registry_pipeline.runs.envelope import is_foreign, stated_repository_id
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.scan import list_run_folder_names, list_tagged_entries
from registry_pipeline.runs.writer import seal_folder
from registry_pipeline.values import value_type

OPERATION_ID: Final = "OP-QA18"
"""The operation of the runs of shards."""


@value_type
class ShardRun:
    """The newest run of a shard: its reference and its verified files, or why they are not used."""

    shard: Shard
    ref: SealedRef
    files: Mapping[str, bytes]
    problem: str | None = None


def list_shards(repository: Repository, run_roots: Iterable[str]) -> dict[Shard, list[str]]:
    """Return every shard of some run roots with the names of its folders, sorted; nothing is opened.

    Excluded folders are left out, and so are run roots that cannot be read: each build reports them.
    """
    find_exclusion = repository.config.find_exclusion
    shards: dict[Shard, list[str]] = {}
    for run_root, names in list_run_folder_names(repository.root, run_roots, lambda _root, _error: None):
        shards |= split_by_month(run_root, (name for name in names if not find_exclusion(run_root, name)))
    return dict(sorted(shards.items()))


def find_newest_runs(repository: Repository, tag: str, shards: Iterable[Shard]) -> dict[Shard, RunId]:
    """Return the newest run of each shard that has one, by the names of the folders in the publish root."""
    publish_root = repository.config.publish_root
    listing = list_tagged_entries(repository.root, [publish_root], lambda _root, _error: None, [f"{tag}."])
    parsed = (RunId.parse(entry.name) for _, entries in listing for entry in entries)
    run_ids = sorted((r for r in parsed if r is not None), key=lambda run_id: (run_id.stamp, run_id.number))
    newest = {run_id.tag: run_id for run_id in run_ids}
    return {shard: newest[name] for shard in shards if (name := shard.make_tag(tag)) in newest}


def read_shard_run(repository: Repository, tag: str, shard: Shard, run_id: RunId, artifacts: Sequence[str]) -> ShardRun:
    """Return the verified files of a shard's run; a run that is altered, foreign or of another shard has a problem."""
    ref = SealedRef(str(run_id), repository.config.publish_root, None, "")
    report = verify_referenced_run(repository, ref, artifacts)
    envelope = report.run_json or {}
    problem = None
    if report.verdict != "pass" or report.root_sha256 is None:
        problem = ", ".join(sorted({f.code for f in report.findings})) or f"it is {report.verdict}"
    elif is_foreign(stated_repository_id(envelope), repository.config.repository_id):
        problem = "it belongs to another repository"
    elif (envelope.get("run_type"), envelope.get("partition")) != (tag, str(shard)):
        problem = f"its run.json does not name {shard}"
    elif report.kept.keys() != set(artifacts):
        problem = f"it lacks {', '.join(sorted(set(artifacts) - report.kept.keys()))}"
    sealed = SealedRef(ref.run_id, ref.run_root, None, report.root_sha256 or "")
    return ShardRun(shard, sealed, {} if problem is not None else report.kept, problem)


def seal_shard_run(
    repository: Repository,
    run: BuildRun,
    tag: str,
    shard: Shard,
    artifacts: Mapping[str, bytes],
    before_sealing: Callable[[], object] = lambda: None,
) -> SealedRef:
    """Seal the run of a shard; a step that is repeated finds the folder of its first attempt.

    `before_sealing` may refuse by raising.

    Raises:
        NotFoundError: the repository has no publish root yet.
        RefusedError: publish_root is behind a link.
        PublishError: the run was not published.
        DurabilityError: it is published, but the disk did not confirm it.
    """
    refuse_linked_publish_root(repository)
    if not repository.publish_root.is_dir():
        raise NotFoundError(f"{repository.config.publish_root} does not exist", "run `registry-pipeline init`")
    run_id = RunId(run.started, shard.make_tag(tag))
    files_for = partial(_make_files, repository, run, tag, shard, artifacts)
    ref = find_previous_attempt(repository, run, run_id, files_for)
    if ref is None:
        before_sealing()
        ref = make_ref(repository, seal_folder(repository.publish_root, repository.staging_root, run_id, files_for))
    return ref


def _make_files(
    repository: Repository, run: BuildRun, tag: str, shard: Shard, artifacts: Mapping[str, bytes], run_id: RunId
) -> dict[str, bytes]:
    run_json: dict[str, Any] = {
        "run_id": str(run_id),
        "created_utc": utc_text(run.started),
        "run_type": tag,
        "option": "QA",
        # A run without an operation would count as evidence that operations ran before this tool was used.
        "operation_id": OPERATION_ID,
        "repository_id": repository.config.repository_id,
        "partition": str(shard),
        "outputs": sorted((*artifacts, "run.json", *SEAL_FILES)),
        "builder": {"name": f"registry_pipeline.{tag}", "version": read_version()},
        "dagster_run_id": run.dagster_run_id,
    }
    return {**artifacts, "run.json": json_document({k: v for k, v in run_json.items() if v is not None})}
