"""The role pack against what was published of it: read, compare, waive, remember (SPEC 9; seed 002)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.model.finding import Finding, Severity
from registry_pipeline.model.roles import ACTIVE_BASELINE, DEFAULT_BASELINE, ROLE_REGISTRY
from registry_pipeline.roles import (
    ParsedPack,
    PastPack,
    Published,
    PublishedCommit,
    Violation,
    check_against,
    check_history,
    parse_pack,
    sorted_violations,
)
from registry_pipeline.runbook.reading import read_pointers, read_sealed, run_folder
from registry_pipeline.runbook.role_snapshots import pack_in
from registry_pipeline.runbook.role_violations import FIRST_PUBLISH, NOT_CHECKED, not_checked, waive
from registry_pipeline.sources.published_packs import (
    PackCommit,
    is_commit,
    read_git_baseline,
    read_pack_blobs,
    read_pack_commits,
)
from registry_pipeline.sources.role_packs import read_pack_file, read_staged_pack

CheckVerdict = Literal["pass", "warn", "fail", "error"]
_WALKED_FOR_AN_ID = 2000
"""So many commits are looked through, from the oldest on, for who published an id."""


@dataclass(frozen=True, slots=True)
class RolesAsked:
    """What `roles check` was asked for.

    `current` is a file instead of the configured pack, `staged` the index instead of the disk; `index_file` is the
    index that git names to a hook. `baseline` is `active`, a revision of git or a file, None for the configured one.
    """

    current: Path | None = None
    baseline: str | None = None
    history: bool = False
    staged: bool = False
    index_file: str | None = None


@dataclass(frozen=True, slots=True)
class RolesChecked:
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
        weights = Counter(f.severity for f in self.findings)
        return {
            "verdict": self.verdict,
            "pack": self.pack,
            "baseline": self.baseline,
            "findings": [each.to_json() for each in self.violations],
            "waived": [each.to_json() for each in self.waived],
            "counts": {
                "errors": weights[Severity.ERROR],
                "warnings": weights[Severity.WARNING],
                "infos": weights[Severity.INFO],
                "waived": len(self.waived),
                "roles": self.roles,
                "contracts": self.contracts,
                "commits": self.commits,
            },
            "changed_files": [],
        }


def check_roles(governed: Governed, asked: RolesAsked, now: datetime) -> RolesChecked:
    """Compare the role pack with its baseline, and with its history where that is asked for; nothing is written.

    What cannot be read or is not known is a finding (RR030) beside all that could be judged.
    """
    shown = governed.config.roles.pack if asked.current is None else asked.current.as_posix()
    try:
        pack = parse_pack(_current(governed, asked, shown), shown)
    except NotFoundError as error:
        return RolesChecked(shown, None, (not_checked(shown, error),), (), 0, 0, 0)
    name = governed.config.roles.baseline if asked.baseline is None else asked.baseline
    told: tuple[Violation, ...]
    try:
        baseline, tip = _baseline(governed, name, pack)
        told = _against(governed, pack, baseline, tip)
    except (NotFoundError, EvidenceError) as error:
        baseline, tip = None, None
        told = (not_checked(shown, error), *(v for v in check_against(pack, None) if v.finding.code != FIRST_PUBLISH))
    past, commits = _past(governed, pack, tip) if asked.history else ((), 0)
    told = sorted_violations(told, past)
    usual = asked.current is None and asked.baseline in (None, governed.config.roles.baseline)
    told, waived = waive(governed, told, now, usual=usual)
    snapshot = pack.snapshot
    return RolesChecked(
        pack=shown,
        baseline=None if baseline is None else baseline.source,
        violations=told,
        waived=waived,
        roles=0 if snapshot is None else len(snapshot.roles),
        contracts=0 if snapshot is None else len(snapshot.contracts),
        commits=commits,
    )


def _current(governed: Governed, asked: RolesAsked, shown: str) -> bytes:
    if asked.staged:
        return read_staged_pack(governed.root, governed.config.roles.pack, asked.index_file)
    if asked.current is not None:
        return read_pack_file(asked.current, shown)
    return read_pack_file(governed.path(shown), shown, governed.root)


def _baseline(governed: Governed, name: str, pack: ParsedPack) -> tuple[Published | None, str | None]:
    """Return what the pack is compared with, None on its first publish, and the commit whose history it has.

    Raises:
        NotFoundError: what `name` stands for cannot be found or read. EvidenceError: the active run does not verify.
    """
    path = governed.config.roles.pack
    if name == ACTIVE_BASELINE:
        return _active(governed), None
    if name == DEFAULT_BASELINE or is_commit(governed.root, name):
        found = read_git_baseline(governed.root, path, name, pack.data)
        if found.pack is None:
            return None, found.tip
        return Published(parse_pack(found.pack.data, found.pack.source), found.pack.source), found.tip
    if not Path(name).exists():
        raise NotFoundError(f"{name!r} is neither a commit that git knows nor a file", "name another with --baseline")
    return Published(parse_pack(read_pack_file(Path(name), name), name), name), None


def _active(governed: Governed) -> Published:
    ref = read_pointers(governed).active(ROLE_REGISTRY)
    if ref is None or not run_folder(governed, ref).is_dir():
        raise NotFoundError("no role_registry is active here", "`registry-pipeline build role_registry` makes one")
    found = pack_in(read_sealed(governed, ROLE_REGISTRY, ref).kept)
    if found is None:
        raise NotFoundError(
            f"the active run {ref.run_id} holds no role pack", "`registry-pipeline build role_registry`"
        )
    source = f"{ref.run_root}/{ref.run_id}/{found[0]}"
    return Published(parse_pack(found[1], source), source)


def _against(
    governed: Governed, pack: ParsedPack, baseline: Published | None, tip: str | None
) -> tuple[Violation, ...]:
    """Compare, and where something published is violated, compare again knowing who published it."""
    told = check_against(pack, baseline)
    wanted = {name for each in told if each.finding.severity is not Severity.INFO for name in each.ids}
    known = set() if baseline is None or baseline.pack.snapshot is None else _ids(baseline.pack)
    if baseline is None or not wanted & known:
        return told
    published_by = _published_by(governed, tip, wanted & known)
    return check_against(pack, replace(baseline, published_by=published_by)) if published_by else told


def _ids(pack: ParsedPack) -> set[str]:
    snapshot = pack.snapshot
    if snapshot is None:
        return set()
    return {role.role_id for role in snapshot.roles} | {contract.contract_id for contract in snapshot.contracts}


def _published_by(governed: Governed, tip: str | None, wanted: set[str]) -> Mapping[str, str]:
    """Return the first commit that published each id, as far as git tells: from the oldest on, until all are found."""
    found: dict[str, str] = {}
    try:
        commits = read_pack_commits(governed.root, tip, governed.config.roles.pack)[:_WALKED_FOR_AN_ID]
        first_with = {each.blob_id: each.commit for each in reversed(commits) if each.blob_id is not None}
        ordered = dict.fromkeys(each.blob_id for each in commits if each.blob_id is not None)
        for blob_id, data in read_pack_blobs(governed.root, list(ordered)):
            # Most packs need no parse to see that they name none of the ids; an escape may hide one.
            names = [name for name in wanted - found.keys() if f'"{name}"'.encode() in data or b"\\u" in data]
            held = _ids(parse_pack(data, "")) if names else set()
            found |= {name: first_with[blob_id] for name in names if name in held}
            if len(found) == len(wanted):
                break
    except NotFoundError:
        return found  # it is told beside a finding, which stands without it
    return found


def _past(governed: Governed, pack: ParsedPack, tip: str | None) -> tuple[tuple[Violation, ...], int]:
    try:
        commits = read_pack_commits(governed.root, tip, governed.config.roles.pack)
        return check_history(pack, _published(governed, commits)), len(commits)
    except NotFoundError as error:
        return (not_checked(pack.path, error),), 0


def _published(governed: Governed, commits: Sequence[PackCommit]) -> list[PublishedCommit]:
    """Return what the commits published, without the bytes: of most packs nothing will be told."""
    root, path = governed.root, governed.config.roles.pack
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
