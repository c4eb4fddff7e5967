"""Find the members of a collection by their names, and what shows that a member has not changed; no file is opened."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from datetime import UTC, date, datetime
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

from registry_pipeline.capture_table import CAPTURES
from registry_pipeline.config import Captured, Repository
from registry_pipeline.files.path_policy import find_collisions, path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.reference import RunId
from registry_pipeline.values import value_type

PACK_FOLDER: Final = "evidence_pack_v0_2"
"""The name of the folder of a pack, in its source and in its run folder."""
_PACK_PATH: Final = f"outputs/{PACK_FOLDER}"
_RANGE_PREFIX: Final = "validate_range_"
_RANGE_SUFFIX: Final = "_days.jsonl"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MAX_DEPTH: Final = 60
# Dagster refuses such partition keys.
_DOTS: Final = "..."

Identity = tuple[tuple[str, int, int, int], ...]
"""Path, change time, size and inode of each file of a member: a change of a file changes it."""


@value_type
class Member:
    """A member of a collection whose source exists. `problem` says why it cannot be sealed, or is empty."""

    member_id: str
    # The file or folder, relative to the repository.
    source: str
    # The paths are relative to the source; that of a single file is empty.
    identity: Identity
    problem: str = ""


@value_type
class MemberListing:
    """The members whose sources exist, by id, and findings about the source folder and about unusable names."""

    members: tuple[Member, ...]
    findings: tuple[Finding, ...]


def find_source(repository: Repository, registry_id: str) -> str:
    """Return the folder in which the members of a collection are found."""
    configured = repository.config.captured.get(registry_id, Captured()).source
    return configured or CAPTURES[registry_id].source or ""


def has_members(repository: Repository, spec: RegistrySpec) -> bool:
    """Return whether the source folder of a collection contains anything that is named like a member."""
    try:
        return any(_list_candidates(repository, spec, find_source(repository, spec.registry_id)))
    except OSError:
        return False


def list_members(
    repository: Repository, spec: RegistrySpec, sealed: Container[str] = (), *, any_sealed: bool
) -> MemberListing:
    """Return the members of a collection by name; `sealed` are ids whose names are known to be usable.

    Names that belong to no member are ignored. That there is no member at all is a finding: an info if the source is
    the default and there is no sealed run, `any_sealed`.
    """
    source = find_source(repository, spec.registry_id)
    findings: list[Finding] = []
    members: list[Member] = []
    problem = "it contains no member"
    try:
        candidates = sorted(_list_candidates(repository, spec, source))
    except OSError as error:
        candidates, problem = [], error.strerror or "no reason given"
    collisions = dict(find_collisions(member_id for member_id, _ in candidates))
    for member_id, path in candidates:
        reason = "" if member_id in sealed else _explain_unusable_id(spec, member_id)
        if member_id in collisions:
            reason = f"its name differs from {collisions[member_id]} only in case"
        if reason:
            findings.append(_make_finding(spec, "CAPTURE_LEFT_OUT", path, reason))
            continue
        member = _read_member(repository, spec, member_id, path)
        if member is not None:
            members.append(member)
    if not candidates:
        is_default = not any_sealed and source == CAPTURES[spec.registry_id].source
        severity = Severity.INFO if is_default else None
        findings.append(_make_finding(spec, "CAPTURE_MISSING", source, problem, severity))
    return MemberListing(tuple(members), sorted_findings(findings))


def _make_finding(spec: RegistrySpec, code: str, path: str, detail: str, severity: Severity | None = None) -> Finding:
    words = {"registry": spec.registry_id, "key": CAPTURES[spec.registry_id].config_key, "detail": printable(detail)}
    return finding(code, printable(path), severity=severity, **words)


def _list_candidates(repository: Repository, spec: RegistrySpec, source: str) -> Iterator[tuple[str, str]]:
    """Yield the id and the path of each member; raise OSError if the source folder cannot be listed."""
    folder = os.fspath(repository.path(source))
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        if spec.registry_id == "evidence_pack_registry":
            # A run without a pack is no member.
            if os.path.lexists(f"{folder}/{name}/{_PACK_PATH}"):
                yield name, f"{source}/{name}/{_PACK_PATH}"
        elif name.startswith(_RANGE_PREFIX) and name.endswith(_RANGE_SUFFIX):
            yield name.removeprefix(_RANGE_PREFIX).removesuffix(_RANGE_SUFFIX), f"{source}/{name}"


def _explain_unusable_id(spec: RegistrySpec, member_id: str) -> str:
    """Return why a run id cannot contain the name of a member, or "" if it can."""
    expected = RunId(_EPOCH, f"{member_id}__{spec.tag}")
    # Space for the number of a run whose name is taken.
    if RunId.parse(f"{expected}__999") != RunId(_EPOCH, expected.tag, number=999):
        return "a run id cannot contain its name: letters, digits, `_`, `-` and dots, not too many"
    if _DOTS in member_id:
        return "Dagster allows no partition with three dots in its name"
    parts = [len(part) if part.isdecimal() else 0 for part in member_id.split("-")]
    if parts == [4, 2, 2]:
        try:
            date.fromisoformat(member_id)
        except ValueError:
            return "its name has the form of a day, but is none"
    return ""


def _read_member(repository: Repository, spec: RegistrySpec, member_id: str, path: str) -> Member | None:
    """Return a member, or None if its source was removed meanwhile."""
    # pathlib would take half of the time of a listing.
    full_path = f"{repository.root}/{path}"
    if spec.registry_id == "evidence_pack_registry":
        problems: list[str] = []
        try:
            files = tuple(sorted(_walk(full_path, "", problems)))
        except FileNotFoundError:
            return None
        except OSError as error:
            files, problems = (), [error.strerror or "cannot be read"]
        names = [f"{PACK_FOLDER}/{name}" for name, *_ in files]
        problems += [f"{name}: a run folder cannot contain that name" for name in names if path_codes(name)]
        problems += [f"{name} differs from {other} only in case" for name, other in find_collisions(names)]
        return Member(member_id, path, files, (*problems, "")[0])
    try:
        status = os.lstat(full_path)
    except FileNotFoundError:
        return None
    identity = (("", status.st_ctime_ns, status.st_size, status.st_ino),)
    # The name of the file can be in a run folder, because the id in it can be in a run id.
    return Member(member_id, path, identity, _explain_unusable_file(status.st_mode))


def _walk(folder: str, prefix: str, problems: list[str]) -> Iterator[tuple[str, int, int, int]]:
    """Yield the identity of each file below a folder; what is neither a file nor a folder is a problem."""
    status = os.lstat(folder)
    if not S_ISDIR(status.st_mode):
        problems.append(f"{prefix.rstrip('/') or 'it'} is {'a link' if S_ISLNK(status.st_mode) else 'not a folder'}")
        return
    if prefix.count("/") > _MAX_DEPTH:
        problems.append(f"folders are nested deeper than {_MAX_DEPTH} levels")
        return
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", problems)
            continue
        status = os.lstat(entry.path)
        if reason := _explain_unusable_file(status.st_mode):
            problems.append(f"{prefix}{entry.name} is {reason}")
        yield f"{prefix}{entry.name}", status.st_ctime_ns, status.st_size, status.st_ino


def _explain_unusable_file(mode: int) -> str:
    if S_ISREG(mode):
        return ""
    return "a folder" if S_ISDIR(mode) else "a link" if S_ISLNK(mode) else "not a regular file"


def read_identity(repository: Repository, spec: RegistrySpec, member: Member) -> Identity:
    """Return the identity that a member has now; () if its source is gone."""
    now = _read_member(repository, spec, member.member_id, member.source)
    return () if now is None else now.identity
