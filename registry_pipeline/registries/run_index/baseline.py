"""Compare the two logs with their baselines: a git commit, the active snapshot, and the snapshot before that."""

from __future__ import annotations

from collections.abc import Iterator

from registry_pipeline.canonical import short
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.repository import find_commit, read_commit_id, read_committed_file, read_parent_id
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.run_index import OVERRIDES_LOG_SPEC, RUN_INDEX_SPEC
from registry_pipeline.registries.run_index.check import check_append_only
from registry_pipeline.registries.run_index.log_file import Log
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport

_SPECS = {"run_index": RUN_INDEX_SPEC, "overrides_log": OVERRIDES_LOG_SPEC}
ACTIVE = "active"
"""The baseline that means the active snapshot; any other is a git revision."""


def compare_with_baseline(repository: Repository, registry_id: str, log: Log, baseline: str) -> tuple[Finding, ...]:
    """Return the findings of a log compared with a git revision or the active snapshot.

    Raises:
        NotFoundError: there is no such baseline (exit 7).
    """
    data = log.path.read_bytes()
    if baseline == ACTIVE:
        ref = read_pointers(repository).active(registry_id)
        if ref is None or not run_folder(repository, ref).is_dir():
            raise NotFoundError(f"no {registry_id} is active", f"run `registry-pipeline build {registry_id}`")
        snapshot = read_sealed(repository, _SPECS[registry_id], ref).kept[ref.relpath or ""]
        return check_append_only(log, snapshot, data, ref.run_id)
    commit = read_commit_id(repository.root, baseline)
    if commit is None:
        raise NotFoundError(
            f"{repository.root} is in no git repository", "leave out --baseline, or use --baseline active"
        )
    return tuple(_compare_with_commit(repository, log, data, commit, baseline))


def compare_with_previous(
    repository: Repository, sealed: SealedRun, report: SealReport, log: Log, data: bytes
) -> Iterator[Finding]:
    """Yield the findings of a sealed log compared with the snapshot and the commit that it was built on."""
    previous = sealed.inputs.previous(sealed.registry_id)
    if previous is not None and run_folder(repository, previous).is_dir():
        try:
            snapshot = read_sealed(repository, _SPECS[sealed.registry_id], previous).kept[previous.relpath or ""]
        except EvidenceError:
            snapshot = b""  # it was changed since and proves nothing; the check of the active runs reports it
        yield from check_append_only(log, snapshot, data, previous.run_id)
    commit = (report.run_json or {}).get("git_commit")
    # A snapshot from another clone may name a commit that git does not have here.
    if isinstance(commit, str) and find_commit(repository.root, commit) is not None:
        yield from _compare_with_commit(repository, log, data, commit, f"commit {short(commit)}")


def _compare_with_commit(repository: Repository, log: Log, data: bytes, commit: str, name: str) -> Iterator[Finding]:
    path = log.path.relative_to(repository.root).as_posix()
    committed = read_committed_file(repository.root, commit, path)
    if committed is None:
        yield finding("RI052", log.display_path, detail=name)
        return
    yield from check_append_only(log, committed, data, name)
    # A commit that contains this very log proves nothing, so its parent is compared too.
    parent = read_parent_id(repository.root, commit) if committed == data else None
    if parent is not None:
        older = read_committed_file(repository.root, parent, path)
        if older is not None:
            yield from check_append_only(log, older, data, f"commit {short(parent)}")
