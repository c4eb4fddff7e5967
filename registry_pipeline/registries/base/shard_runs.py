"""The runs of shards: which is the newest, what it contains, and how one is sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
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
from registry_pipeline.registries.base.shard_names import Shard, hash_run_root, split_by_month
from registry_pipeline.runs.envelope import is_foreign, stated_repository_id
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.scan import list_run_folder_names, list_run_roots
from registry_pipeline.runs.writer import seal_folder
from registry_pipeline.values import value_type

_CLOCK_TOLERANCE: Final = timedelta(days=1)
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

    Excluded folders are left out. NotFoundError if a run root exists and cannot be listed.
    """

    def refuse(run_root: str, error: OSError) -> None:
        raise NotFoundError(f"{run_root} cannot be read: {error.strerror}", "check its permissions") from None

    find_exclusion = repository.config.find_exclusion
    shards: dict[Shard, list[str]] = {}
    for run_root, names in list_run_folder_names(repository, run_roots, refuse):
        shards |= split_by_month(run_root, (name for name in names if not find_exclusion(run_root, name)))
    return dict(sorted(shards.items()))


def find_newest_runs(
    repository: Repository, tag: str, run_roots: Iterable[str], now: datetime | None = None
) -> dict[Shard, RunId]:
    """Return the newest run of each shard of some run roots that has one, by the names of the folders.

    Runs that are more than a day later than `now` are ignored: a wrong clock named them.
    """
    publish_root = repository.config.publish_root
    listing = list_run_roots(repository, [publish_root], lambda _root, _error: None)
    parsed = (RunId.parse(name) for _, entries in listing for name in entries.select_tagged([f"{tag}."]).folders)
    latest = None if now is None else now + _CLOCK_TOLERANCE
    run_ids = [r for r in parsed if r is not None and (latest is None or r.stamp <= latest)]
    by_hash = {hash_run_root(run_root): run_root for run_root in run_roots}
    newest = {}
    for run_id in sorted(run_ids, key=lambda run_id: (run_id.stamp, run_id.number)):
        beginning, _, run_root_hash = run_id.tag.rpartition(".")
        if beginning.startswith(f"{tag}.") and run_root_hash in by_hash:
            newest[Shard(by_hash[run_root_hash], beginning.removeprefix(f"{tag}."))] = run_id
    return newest


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
