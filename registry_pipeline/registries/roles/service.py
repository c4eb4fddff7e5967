"""What `roles check` reports: a role pack against a baseline, and against its history."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import replace_file
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.findings.finding import Finding, Severity, count_findings
from registry_pipeline.registries.roles.baselines import configured_baseline
from registry_pipeline.registries.roles.bump import AddedVersion, add_next_version
from registry_pipeline.registries.roles.check_snapshot import compare_pack
from registry_pipeline.registries.roles.git_baseline import PackCommit, read_pack_blobs, read_pack_commits
from registry_pipeline.registries.roles.history import PublishedCommit, check_history
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack, parse_pack
from registry_pipeline.registries.roles.read import read_pack_file, read_staged_pack
from registry_pipeline.registries.roles.record_violations import NOT_CHECKED, apply_pack_waivers, not_checked
from registry_pipeline.registries.roles.report import Violation, sorted_violations
from registry_pipeline.registries.roles.snapshot import RoleContractKind
from registry_pipeline.values import value_type

CheckVerdict = Literal["pass", "warn", "fail", "error"]


@value_type
class RolesCheckOptions:
    """What `roles check` was asked for.

    `current` is a file instead of the configured pack, `staged` the index instead of the disk; `index_file` is the
    index that git names to a hook. `baseline` is `active`, a revision of git or a file, None for the configured one.
    """

    current: Path | None = None
    baseline: str | None = None
    history: bool = False
    staged: bool = False
    index_file: str | None = None


@value_type
class RolesCheckResult:
    """What a check found. `baseline` is what the pack was compared with, None where there was nothing to compare with.

    `commits` is how many commits of the history were compared; 0 without --history.
    """

    pack: str
    baseline: str | None
    violations: tuple[Violation, ...]
    waived: tuple[Violation, ...]
    roles: int
    contracts: int
    commits: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings alone, in their order."""
        return tuple(each.finding for each in self.violations)

    @property
    def verdict(self) -> CheckVerdict:
        """`fail` by any violation that is an error, `error` where the check could not be made, `warn`, or `pass`."""
        codes = {f.code for f in self.findings if f.severity is Severity.ERROR}
        if codes - {NOT_CHECKED}:
            return "fail"
        if any(f.code == NOT_CHECKED for f in self.findings):
            return "error"
        return "warn" if any(f.severity is Severity.WARNING for f in self.findings) else "pass"

    def to_json(self) -> dict[str, Any]:
        """Return the document of SPEC 6, with what was compared."""
        return {
            "verdict": self.verdict,
            "pack": self.pack,
            "baseline": self.baseline,
            "findings": [each.to_json() for each in self.violations],
            "waived": [each.to_json() for each in self.waived],
            "counts": count_findings(self.findings)
            | {
                "waived": len(self.waived),
                "roles": self.roles,
                "contracts": self.contracts,
                "commits": self.commits,
            },
            "changed_files": [],
        }


def check_roles(repository: Repository, asked: RolesCheckOptions, now: datetime) -> RolesCheckResult:
    """Compare the role pack with its baseline, and with its history where that is asked for; nothing is written.

    What cannot be read or is not known is a finding (RR030) beside all that could be judged.
    """
    shown = repository.config.roles.pack if asked.current is None else asked.current.as_posix()
    try:
        pack = parse_pack(_current(repository, asked, shown), shown)
    except NotFoundError as error:
        return RolesCheckResult(shown, None, (not_checked(shown, error),), (), 0, 0, 0)
    usual_name = configured_baseline(repository)
    # A file that the toml names lies in the repository, one that a person names where that person is.
    name, folder = (usual_name, repository.root) if asked.baseline is None else (asked.baseline, Path())
    comparison = compare_pack(repository, pack, (name,), folder)
    past, commits = _past(repository, pack, comparison.tip) if asked.history else ((), 0)
    default_path = asked.current is None and asked.baseline in (None, repository.config.roles.baseline)
    found = sorted_violations(comparison.violations, past)
    violations, waived = apply_pack_waivers(repository, found, now, default_path=default_path)
    snapshot = pack.snapshot
    return RolesCheckResult(
        pack=shown,
        baseline=next((each.source for each in comparison.baselines), None),
        violations=violations,
        waived=waived,
        roles=0 if snapshot is None else len(snapshot.roles),
        contracts=0 if snapshot is None else len(snapshot.contracts),
        commits=commits,
    )


def _current(repository: Repository, asked: RolesCheckOptions, shown: str) -> bytes:
    if asked.staged:
        return read_staged_pack(repository.root, repository.config.roles.pack, asked.index_file)
    if asked.current is not None:
        return read_pack_file(asked.current, shown)
    return read_pack_file(repository.path(shown), shown, repository.root)


def _past(repository: Repository, pack: ParsedPack, tip: str | None) -> tuple[tuple[Violation, ...], int]:
    try:
        commits = read_pack_commits(repository.root, tip, repository.config.roles.pack)
        return check_history(pack, _published(repository, commits)), len(commits)
    except NotFoundError as error:
        return (not_checked(pack.path, error),), 0


def _published(repository: Repository, commits: Sequence[PackCommit]) -> list[PublishedCommit]:
    """Return what the commits published, without the bytes: of most packs nothing will be told."""
    root, path = repository.root, repository.config.roles.pack
    blob_ids = [each.blob_id for each in commits if each.blob_id is not None]
    packs = {
        blob_id: PastPack(parse_pack(data, path).snapshot, partial(_pack_again, root, path, blob_id))
        for blob_id, data in read_pack_blobs(root, blob_ids)
    }
    return [
        PublishedCommit(each.commit, None if each.blob_id is None else packs[each.blob_id], each.parents)
        for each in commits
    ]


def _pack_again(root: Path, path: str, blob_id: str) -> ParsedPack:
    return parse_pack(next(data for _, data in read_pack_blobs(root, [blob_id])), path)


WAIT_SECONDS: Final = 30.0
"""How long a bump waits for another one."""


@value_type
class Bumped:
    """What a bump did: the pack, as people name it, and what was added to it; `written` is false for a dry run."""

    pack: str
    added: AddedVersion
    written: bool


def bump_contract(repository: Repository, role_id: str, kind: RoleContractKind, *, write: bool = True) -> Bumped:
    """Add the next version of a role's contract to the configured pack; no other line of it changes.

    The lock is held from the read to the write, so that a second bump adds to what the first one wrote. It is in the
    cache folder beside publish_root, which git ignores: nothing appears beside the pack. A dry run takes no lock.

    Raises:
        NotFoundError: the pack cannot be read, or has no such role (exit 7).
        RefusedError: the pack is too defective to be added to, or there is no next version (exit 5).
        BusyError: another bump took longer than `WAIT_SECONDS`, or an editor changed the pack meanwhile (exit 6).
        WriteError: the disk refused; the pack is as it was (exit 1).
    """
    shown = repository.config.roles.pack
    path = repository.path(shown)
    lock = repository.state_root / "cache" / "role_pack.lock"
    with (
        hold_lock(lock, repository.root, "`roles bump`", wait_seconds=WAIT_SECONDS, make_folder=True)
        if write
        else nullcontext()
    ):
        data = read_pack_file(path, shown, repository.root)
        added = add_next_version(data, role_id, kind, shown)
        if write:
            replace_file(path, added.data, sha256_hex(data))
    return Bumped(shown, added, write)
