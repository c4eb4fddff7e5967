"""What the commands `roles check`, `roles bump` and `roles diagnostics` do."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.capture_table import ACTIVE_BASELINE
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.files.atomic_write import replace_file
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.findings.finding import Finding, count_findings, verdict_of
from registry_pipeline.registries.roles.baselines import (
    ActiveIds,
    read_active_ids,
    read_baseline_name,
    read_published_packs,
)
from registry_pipeline.registries.roles.bump import AddedVersion, add_next_version
from registry_pipeline.registries.roles.check import check_history
from registry_pipeline.registries.roles.comparison import (
    NOT_CHECKED,
    apply_pack_waivers,
    compare_pack,
    make_not_checked_for_error,
    record_violations,
)
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, read_diagnostics, read_events
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack, without_collection
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
    # the ids of the active snapshot, None if it was not looked at or there is none
    active: ActiveIds | None = None

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
            "retired": None if self.active is None else self._count_retired(self.active),
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

    @staticmethod
    def _count_retired(active: ActiveIds) -> dict[str, Any]:
        retired = active.retired
        counts = {"roles": retired.roles, "contracts": retired.contracts, "aliases": retired.aliases}
        return {"source": active.source, **{name: len(ids) for name, ids in counts.items()}}


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
    # A comparison with a baseline of one's own is about that baseline alone.
    uses_active = options.baseline in (None, repository.config.roles.baseline, ACTIVE_BASELINE)
    active, unread = _read_active_ids(repository, pack) if uses_active else (None, ())
    comparison = compare_pack(repository, pack, (name,), folder, active)
    past, commits = _check_history(repository, pack, comparison.tip) if options.history else ((), 0)
    # Only the usual comparison shows whether a waiver is unused.
    is_usual = options.current is None and options.baseline in (None, repository.config.roles.baseline)
    violations = sort_violations(comparison.violations, unread, past)
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
        active=active,
    )


def _read_active_ids(
    repository: Repository, pack: ParsedPack
) -> tuple[ActiveIds | None, tuple[RoleRegistryViolation, ...]]:
    """Return the ids of the active snapshot, None if there is none, and RR030 if it cannot be read."""
    try:
        return read_active_ids(repository), ()
    except (NotFoundError, EvidenceError) as error:
        return None, (make_not_checked_for_error(pack.path, error),)


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
        commits = read_published_packs(repository, tip)
        return check_history(pack, commits), len(commits)
    except NotFoundError as error:
        return (make_not_checked_for_error(pack.path, error),), 0


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
