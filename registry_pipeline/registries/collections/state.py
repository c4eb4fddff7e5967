"""The state of a collection: which members are sealed, new, changed, or without their source.

What is sealed is known from the newest index and from the names of run folders. A member that has not changed since an
earlier build is not read: see `MemberCache`. Of the run folders only those are read that the index does not list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.files.cache_file import find_safe_change, read_cache_file, write_cache_file
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.registries.base.reader import ChainFacts, RegistrySpec, find_foreign_repository_id
from registry_pipeline.registries.base.sealed_input import VERIFIED, make_sealed_run
from registry_pipeline.registries.collections import INDEX
from registry_pipeline.registries.collections.build import (
    IndexEntry,
    hash_files,
    make_index_entry,
    parse_index,
)
from registry_pipeline.registries.collections.members import PACK_FOLDER, Identity, Member, list_members
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import TAG_START, RunId, SealedRef
from registry_pipeline.runs.scan import list_run_roots
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import replace, value_type

MemberStatus = Literal["sealed", "new", "changed", "missing_source"]
MEMBER_STATES: Final[tuple[MemberStatus, ...]] = ("sealed", "new", "changed", "missing_source")
_MAGIC: Final = b"registry-pipeline members 1\n"


@value_type
class SealedIndex:
    """The sealed runs of a collection.

    Attributes:
        head: the newest index that verifies, or None.
        entries: the lines of the head and of the runs that it does not list, by run id.
        unlisted: the run ids of the latter.
    """

    head: SealedRun | None
    entries: Mapping[str, IndexEntry]
    unlisted: frozenset[str]
    # The newest usable run of each member: its folder exists, and it is not marked bad.
    current: Mapping[str, IndexEntry]
    findings: tuple[Finding, ...]


@value_type
class MemberState:
    """One member; `member` is None without a source, and `entry` without a sealed run."""

    member_id: str
    status: MemberStatus
    member: Member | None
    entry: IndexEntry | None


@value_type
class CollectionState:
    """A collection: its sealed runs, and the state of each member by id."""

    index: SealedIndex
    members: tuple[MemberState, ...]
    findings: tuple[Finding, ...]

    def list_pending(self) -> tuple[Member, ...]:
        """Return the members that a build has to seal: the new and the changed ones."""
        return tuple(m.member for m in self.members if m.member is not None and m.status in ("new", "changed"))

    def count(self) -> dict[MemberStatus, int]:
        """Return the number of members in each state."""
        return {status: sum(m.status == status for m in self.members) for status in MEMBER_STATES}


def read_collection(
    repository: Repository, spec: RegistrySpec, chain: ChainFacts, cache: MemberCache | None = None
) -> CollectionState:
    """Return the state of a collection; what `cache` does not know of a source is read and hashed."""
    index = read_sealed_index(repository, spec, chain)
    cache = cache or MemberCache(repository, spec)
    listing = list_members(repository, spec, index.current, any_sealed=bool(index.entries))
    states = []
    for member in listing.members:
        entry = index.current.get(member.member_id)
        if entry is None:
            states.append(MemberState(member.member_id, "new", member, None))
            continue
        is_same = cache.hash_content(repository, member) == entry.content_sha256
        states.append(MemberState(member.member_id, "sealed" if is_same else "changed", member, entry))
    present = {state.member_id for state in states}
    states += [
        MemberState(name, "missing_source", None, entry) for name, entry in index.current.items() if name not in present
    ]
    states.sort(key=lambda state: state.member_id)
    return CollectionState(index, tuple(states), sorted_findings([*index.findings, *listing.findings]))


def read_sealed_index(
    repository: Repository,
    spec: RegistrySpec,
    chain: ChainFacts,
    known: Iterable[IndexEntry] = (),
    before: SealedIndex | None = None,
) -> SealedIndex:
    """Return the sealed runs of a collection.

    `known` are runs that the caller has sealed, which are not read. `before` is what the caller has read: its head is
    not read again while it is the newest index.
    """
    names = list_run_names(repository, spec)
    # (1) The newest index that verifies.
    head, listed, findings = _find_head(repository, spec, names, chain, before)
    # (2) The runs that it does not list: those of a build that was killed, or of another process.
    known_entries = {entry.ref.run_id: entry for entry in known}
    unlisted: dict[str, IndexEntry] = {}
    for name in names.difference(listed):
        run_id = RunId.parse(name)
        member_id = None if run_id is None else spec.member_of(run_id)
        if member_id is None:
            continue
        entry = known_entries.get(name) or _read_member_run(repository, spec, name, member_id, chain)
        if isinstance(entry, Finding):
            findings.append(entry)
        elif entry is not None:
            unlisted[name] = entry
    entries = {**listed, **unlisted}
    # (3) Listed runs whose folders are missing.
    missing = listed.keys() - names
    if missing:
        detail = f"{len(missing)} listed, the first is {min(missing)}"
        findings.append(finding("COLLECTION_RUN_MISSING", repository.config.publish_root, detail=detail))
    usable = [entry for name, entry in entries.items() if name in names and name not in chain.marked_bad]
    current = {entry.member_id: entry for entry in sorted(usable, key=_sort_key)}
    return SealedIndex(head, entries, frozenset(unlisted), current, sorted_findings(findings))


def _sort_key(entry: IndexEntry) -> tuple[str, int, str]:
    # Of the runs of one member in one second, those with a greater number have a longer name, or a later one.
    run_id = entry.ref.run_id
    return run_id[:TAG_START], len(run_id), run_id


def list_run_names(repository: Repository, spec: RegistrySpec) -> frozenset[str]:
    """Return the names of the folders in publish_root that contain the tag of a collection."""
    root, part = repository.config.publish_root, f"__{spec.tag}"
    # An unreadable publish_root is reported by run_registry, and nothing can be sealed in it.
    listing = list_run_roots(repository, [root], lambda _root, _error: None)
    return frozenset([name for _, entries in listing for name in entries.folders if part in name])


def _find_head(
    repository: Repository, spec: RegistrySpec, names: Iterable[str], chain: ChainFacts, before: SealedIndex | None
) -> tuple[SealedRun | None, Mapping[str, IndexEntry], list[Finding]]:
    """Return the newest index that verifies, its lines by run id, and a finding for each newer one that does not."""
    findings: list[Finding] = []
    parsed = [RunId.parse(name) for name in names if name.startswith(f"{spec.tag}", TAG_START)]
    indexes = [run_id for run_id in parsed if run_id is not None and run_id.tag == spec.tag]
    # The lines of an older index are among those of a newer one.
    for run_id in sorted(indexes, key=lambda run_id: (run_id.stamp, run_id.number), reverse=True):
        if before is not None and before.head is not None and before.head.ref.run_id == str(run_id):
            listed = {name: entry for name, entry in before.entries.items() if name not in before.unlisted}
            return before.head, listed, findings
        read = None if str(run_id) in chain.marked_bad else _read_index(repository, spec, str(run_id), chain)
        if isinstance(read, Finding):
            findings.append(read)
        elif read is not None:
            return read[0], {entry.ref.run_id: entry for entry in read[1]}, findings
    return None, {}, findings


def _read_index(
    repository: Repository, spec: RegistrySpec, run_id: str, chain: ChainFacts
) -> tuple[SealedRun, tuple[IndexEntry, ...]] | Finding | None:
    """Return an index and its lines; a finding if it does not verify, None if it is another kind of run, or foreign."""
    ref = SealedRef(run_id, repository.config.publish_root, INDEX, "")
    report = verify_referenced_run(repository, ref, (INDEX,))
    if report.verdict != "pass" or report.root_sha256 is None:
        codes = ", ".join(sorted({f.code for f in report.findings}))
        return finding("COLLECTION_RUN_NOT_VERIFIED", ref.path, detail=codes, run_id=run_id)
    registry_id = (report.run_json or {}).get("registry_id")
    # Older tools sealed other things with this tag.
    if registry_id != spec.registry_id or INDEX not in report.kept or _is_foreign(repository, report, chain):
        return None
    try:
        lines = parse_index(report.kept[INDEX])
    except ValueError as error:
        return finding("COLLECTION_RUN_NOT_VERIFIED", ref.path, detail=str(error), run_id=run_id)
    ref = replace(ref, manifest_sha256=report.root_sha256)
    # The build validates the index without reading it again.
    repository.keep(VERIFIED, report, ref)
    return make_sealed_run(spec.registry_id, ref, report), lines


def _is_foreign(repository: Repository, report: SealReport, chain: ChainFacts) -> bool:
    return find_foreign_repository_id(report, repository.config.repository_id, chain.accepted_foreign) is not None


def _read_member_run(
    repository: Repository, spec: RegistrySpec, run_id: str, member_id: str, chain: ChainFacts
) -> IndexEntry | Finding | None:
    """Return the entry of a member run that no index lists; a finding if it does not verify, None if it is foreign."""
    ref = SealedRef(run_id, repository.config.publish_root, None, "")
    report = verify_referenced_run(repository, ref)
    if report.verdict != "pass" or report.root_sha256 is None:
        codes = ", ".join(sorted({f.code for f in report.findings})) or report.verdict
        return finding("COLLECTION_RUN_NOT_VERIFIED", ref.path, detail=codes, run_id=run_id)
    stated = report.run_json or {}
    if (stated.get("registry_id"), stated.get("partition")) != (spec.registry_id, member_id):
        return None
    if _is_foreign(repository, report, chain):
        return None
    return make_index_entry(member_id, SealedRef(run_id, ref.run_root, None, report.root_sha256), report.entries)


class MemberCache:
    """The content hash of each member by the identity of its files, kept from one build to the next.

    It saves reading and proves nothing: without it every source is read and hashed, and compared with the index.
    """

    def __init__(self, repository: Repository, spec: RegistrySpec) -> None:
        self._path: Path = repository.state_root / "cache" / f"members_{spec.registry_id}"
        self._known = _read_cache(self._path)
        self._used: dict[str, tuple[Identity, str]] = {}

    def hash_content(self, repository: Repository, member: Member) -> str | None:
        """Return the hash of the content of a member, read if it may have changed; None if it cannot be read."""
        known = self._known.get(member.member_id)
        content = known[1] if known is not None and known[0] == member.identity else None
        if content is None:
            content = _hash_member(repository, member)
        if content is not None:
            self.add(member, content)
        return content

    def add(self, member: Member, content_sha256: str) -> None:
        """Keep the content hash of a member that was read."""
        self._used[member.member_id] = member.identity, content_sha256

    def save(self, started: datetime) -> None:
        """Replace the file if it changed; a member that changed shortly before `started`, or since, is left out."""
        newest = find_safe_change(started)
        kept = {
            member_id: (identity, content)
            for member_id, (identity, content) in sorted(self._used.items())
            if all(numbers[1] < newest for numbers in identity)
        }
        if kept != self._known:
            write_cache_file(self._path, _MAGIC, [json.dumps(kept).encode("ascii")])


def _read_cache(path: Path) -> dict[str, tuple[Identity, str]]:
    content = read_cache_file(path, _MAGIC)
    try:
        known = json.loads(b"{}" if content is None else bytes(content))
        return {name: (tuple(map(tuple, identity)), content) for name, (identity, content) in known.items()}
    except (AttributeError, TypeError, ValueError):
        # The hash is valid, so this program or another one wrote it like that: ignored like a damaged file.
        return {}


def _hash_member(repository: Repository, member: Member) -> str | None:
    """Return the hash of the content of a source as it would be sealed; None if it cannot be read."""
    if member.problem:
        return None
    name = member.source.rpartition("/")[2]
    hashes = {}
    for path, *_ in member.identity:
        source = f"{member.source}/{path}" if path else member.source
        try:
            data = read_regular_file(repository.path(source))
        except OSError:
            return None
        hashes[f"{PACK_FOLDER}/{path}" if path else name] = sha256_hex(data)
    return hash_files(hashes)
