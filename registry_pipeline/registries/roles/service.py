"""What the commands `roles check`, `roles bump` and `roles diagnostics` do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import replace_file
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.findings.finding import Finding, count_findings, verdict_of
from registry_pipeline.registries.roles.baselines import (
    PackCommit,
    read_baseline_name,
    read_pack_blobs,
    read_pack_commits,
)
from registry_pipeline.registries.roles.bump import AddedVersion, add_next_version
from registry_pipeline.registries.roles.check import PublishedCommit, check_history
from registry_pipeline.registries.roles.comparison import (
    NOT_CHECKED,
    apply_pack_waivers,
    compare_pack,
    make_not_checked_for_error,
    record_violations,
)
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, read_diagnostics, read_events
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack, parse_pack, without_collection
from registry_pipeline.registries.roles.read import read_pack_file, read_staged_pack
from registry_pipeline.registries.roles.report import RoleRegistryViolation, sort_violations
from registry_pipeline.registries.roles.snapshot import RoleContractKind
from registry_pipeline.values import value_type

# How long a bump waits for another one.
WAIT_SECONDS: Final = 30.0


@value_type
class RolesCheckOptions:
    """The options of `roles check`; `index_file` is the index that git names to a hook."""

    current: Path | None = None
    baseline: str | None = None
    history: bool = False
    staged: bool = False
    index_file: str | None = None


@value_type
class RolesCheckResult:
    """The result of `roles check`; `commits` counts the compared commits of the history."""

    pack: str
    # the source of the pack that was compared with, None if there was none
    baseline: str | None
    violations: tuple[RoleRegistryViolation, ...]
    waived: tuple[RoleRegistryViolation, ...]
    roles: int
    contracts: int
    commits: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of the violations, in their order."""
        return tuple(violation.finding for violation in self.violations)

    @property
    def verdict(self) -> str:
        """`fail` if there is an error, `error` if the pack could not be checked, else `warn` or `pass`."""
        checked = [result for result in self.findings if result.code != NOT_CHECKED]
        verdict = verdict_of(checked)
        return "error" if verdict != "fail" and len(checked) < len(self.findings) else verdict

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of `roles check`."""
        return {
            "verdict": self.verdict,
            "pack": self.pack,
            "baseline": self.baseline,
            "findings": [violation.to_json() for violation in self.violations],
            "waived": [violation.to_json() for violation in self.waived],
            "counts": {
                **count_findings(self.findings),
                "waived": len(self.waived),
                "roles": self.roles,
                "contracts": self.contracts,
                "commits": self.commits,
            },
            "changed_files": [],
        }


@value_type
class BumpResult:
    """The path of the pack and the contract that was added to it; `written` is false for a dry run."""

    pack: str
    added: AddedVersion
    written: bool


@without_collection()
def check_roles(repository: Repository, options: RolesCheckOptions, now: datetime) -> RolesCheckResult:
    """Return the comparison of the role pack with its baseline and, if requested, its history, after waivers.

    A pack, baseline, history or waiver file that cannot be read is RR030. Nothing is recorded.
    """
    path = repository.config.roles.pack if options.current is None else options.current.as_posix()
    try:
        pack = parse_pack(_read_current(repository, options, path), path)
    except NotFoundError as error:
        return RolesCheckResult(path, None, (make_not_checked_for_error(path, error),), (), 0, 0, 0)
    configured = read_baseline_name(repository)
    # A file in the toml is relative to the repository, a file in an option to the working directory.
    name, folder = (configured, repository.root) if options.baseline is None else (options.baseline, Path())
    comparison = compare_pack(repository, pack, (name,), folder)
    past, commits = _check_history(repository, pack, comparison.tip) if options.history else ((), 0)
    # Only the usual comparison shows whether a waiver is unused.
    is_usual = options.current is None and options.baseline in (None, repository.config.roles.baseline)
    violations = sort_violations(comparison.violations, past)
    violations, waived = apply_pack_waivers(repository, violations, now, is_usual=is_usual)
    snapshot = pack.snapshot
    return RolesCheckResult(
        pack=path,
        baseline=next((baseline.source for baseline in comparison.baselines), None),
        violations=violations,
        waived=waived,
        roles=0 if snapshot is None else len(snapshot.roles),
        contracts=0 if snapshot is None else len(snapshot.contracts),
        commits=commits,
    )


def _read_current(repository: Repository, options: RolesCheckOptions, path: str) -> bytes:
    if options.staged:
        return read_staged_pack(repository.root, repository.config.roles.pack, options.index_file)
    if options.current is not None:
        return read_pack_file(options.current, path)
    return read_pack_file(repository.path(path), path, repository.root)


def _check_history(
    repository: Repository, pack: ParsedPack, tip: str | None
) -> tuple[tuple[RoleRegistryViolation, ...], int]:
    """Return the violations against the history up to `tip`, and the number of commits that changed the pack."""
    try:
        commits = read_pack_commits(repository.root, tip, repository.config.roles.pack)
        return check_history(pack, _read_packs(repository, commits)), len(commits)
    except NotFoundError as error:
        return (make_not_checked_for_error(pack.path, error),), 0


def _read_packs(repository: Repository, commits: Sequence[PackCommit]) -> list[PublishedCommit]:
    # Only the snapshots are kept: the text of most packs is never needed.
    root, path = repository.root, repository.config.roles.pack
    blob_ids = [commit.blob_id for commit in commits if commit.blob_id is not None]
    packs = {
        blob_id: PastPack(parse_pack(data, path).snapshot, partial(_read_pack_blob, root, path, blob_id))
        for blob_id, data in read_pack_blobs(root, blob_ids)
    }
    return [
        PublishedCommit(commit.commit, None if commit.blob_id is None else packs[commit.blob_id], commit.parents)
        for commit in commits
    ]


def _read_pack_blob(root: Path, path: str, blob_id: str) -> ParsedPack:
    return parse_pack(next(data for _, data in read_pack_blobs(root, [blob_id])), path)


def record_check_result(repository: Repository, result: RolesCheckResult, now: datetime) -> str | None:
    """Record the errors and warnings of a check in the diagnostics store; return why that failed, or None."""
    return record_violations(repository, result.violations, result.waived, now, tool="roles check")


def read_diagnostics_and_events(
    repository: Repository, *, events: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the recorded diagnostics, and the events (none unless requested); raises as `read_diagnostics`."""
    store = repository.state_root / STORE_NAME
    return read_diagnostics(store), read_events(store) if events else []


def bump_contract(repository: Repository, role_id: str, kind: RoleContractKind, *, write: bool = True) -> BumpResult:
    """Add the next version of a role's contract to the configured pack, as `add_next_version` does.

    Without `write` the file stays as it is, and only the result says what would be added.

    Raises:
        NotFoundError, RefusedError: the pack cannot be read, or the version cannot be added.
        BusyError: another bump took longer than `WAIT_SECONDS`, or an editor changed the pack meanwhile.
        WriteError: writing failed; the pack is unchanged.
    """
    label = repository.config.roles.pack
    path = repository.path(label)
    # The lock covers reading and writing, so a second bump adds to the result of the first. It is in the cache folder,
    # which git ignores. A dry run takes no lock.
    lock = repository.state_root / "cache" / "role_pack.lock"
    with (
        hold_lock(lock, repository.root, "`roles bump`", wait_seconds=WAIT_SECONDS, make_folder=True)
        if write
        else nullcontext()
    ):
        data = read_pack_file(path, label, repository.root)
        added = add_next_version(data, role_id, kind, label)
        if write:
            replace_file(path, added.data, sha256_hex(data))
    return BumpResult(label, added, write)
