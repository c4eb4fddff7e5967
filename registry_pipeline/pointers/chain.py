"""The activation chain: which records stand, which is the head, and what the pointer file is to it (SPEC 5).

`check_chain` judges the records that `chain_records.read_chain` verified; the table of SPEC 5 is `_judge_pointers`.

A record *stands* unless a standing `void` names it, or an `init` that restarted the chain retires it. Every standing
record but `init` follows exactly one standing record, whose after is its before; a `void` follows the last record that
stands, so that what it voids hangs off the chain as a leaf. Links go by root hash: a record cannot name one that is
made later.

What a chain cannot prove by itself: that nobody rewrote all of it, or cut its tail and put the older pointer file back.
Runs that were sealed later name its head (`Witness`), which finds both as long as they exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Literal

from registry_pipeline.canonical import StrictJsonError, read_strict_json, sha256_hex
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pointers.chain_records import ChainRecords, SealedRecord, list_record_folders, read_chain
from registry_pipeline.pointers.record import (
    ACCEPTED_FOREIGN,
    MUTATION_POLICY,
    RESTART_PREFIX,
    ActivationRecord,
    Intent,
)
from registry_pipeline.runs.reference import RunIdentity, SealedRef
from registry_pipeline.values import field, replace, value_type

__all__ = [
    "ChainRecords",
    "ChainState",
    "SealedRecord",
    "State",
    "check_anchor",
    "check_chain",
    "list_record_folders",
    "read_chain",
]
State = Literal["not_chained", "lost", "committed", "pending", "rewound", "edited", "broken"]


@value_type
class ChainState:
    """The judgement of the chain and of the pointer file against it.

    `state` is a row of the protocol's table, `lost` where the pointer file needs records and there are none, or
    `broken` where the head cannot be known. `head` is None with `not_chained`, `lost` and `broken`. `records` are those
    that stand, from `init` to the head. `marked_bad` maps run id to reason; `rolled_back_runs` are the run ids that a
    rollback moved away from (the sensor and `build` never propose them). Both outlive a restart of the chain.
    """

    state: State
    head: SealedRecord | None
    findings: tuple[Finding, ...]
    records: tuple[SealedRecord, ...] = ()
    voided: tuple[SealedRecord, ...] = ()
    marked_bad: Mapping[str, str] = field(default_factory=dict)
    rolled_back_runs: frozenset[str] = frozenset()

    @property
    def refuses(self) -> bool:
        """Whether no change may be made now: any error of the chain refuses (exit 3)."""
        return has_errors(self.findings)

    def accepted_foreign(self, repository_id: str | None) -> frozenset[RunIdentity]:
        """Return the runs that the records of a repository activated with `--allow-foreign`.

        Only records that this repository sealed count: one that a fork inherits accepted runs for another repository.
        Runs of its own that such a record also moved are included; nobody asks for them while the id is the same.
        """
        return frozenset(
            move.to_ref.identity
            for sealed in self.records
            if sealed.repository_id == repository_id and sealed.record.verdicts.get(ACCEPTED_FOREIGN)
            for move in sealed.record.moves
            if move.to_ref is not None
        )


def check_chain(found: ChainRecords, pointers: bytes | None, intent: Intent | None) -> ChainState:
    """Judge the records and what the pointer file is to them; `pointers` is None where there is no file."""
    voided = _voided(found.records)
    kept = tuple(r for r in found.records if r.ref.manifest_sha256 not in voided)
    found, retired = _without_retired(found, kept)
    standing = tuple(r for r in kept if r.ref.manifest_sha256 not in retired)
    findings = [*found.broken, *_check_links(found, standing), *_check_witnesses(found, retired)]
    findings += [
        finding("CHAIN_RESTARTED", r.path, detail=r.record.reason) for r in standing if _restarts_chain(r.record)
    ]
    head = _head(found, standing)
    if not found.records and not found.broken:
        state: State = "lost" if _needs_records(pointers) else "not_chained"
        findings.append(finding("CHAIN_LOST" if state == "lost" else "CHAIN_NOT_STARTED", found.pointer_path))
    elif head is None:
        state = "broken"
    else:
        state, told = _judge_pointers(head, found, pointers, intent)
        findings += told
    return ChainState(
        state=state,
        head=head,
        findings=sorted_findings(findings),
        records=standing if head is None else _walk_back(head, standing),
        voided=tuple(r for r in found.records if r.ref.manifest_sha256 in voided),
        marked_bad={
            run.run_id: r.record.reason for r in kept if r.record.action == "mark_bad" for run in r.record.runs
        },
        rolled_back_runs=frozenset(
            move.from_ref.run_id
            for r in kept
            if r.record.action == "rollback"
            for move in r.record.moves
            if move.from_ref is not None
        ),
    )


def check_anchor(chain: ChainState, root_sha256: str, shown: str) -> tuple[Finding, ...]:
    """Return the finding that no record, standing or voided, has the hash that somebody noted (SPEC 5)."""
    if any(sealed.ref.manifest_sha256 == root_sha256 for sealed in (*chain.records, *chain.voided)):
        return ()
    got = "no activation record" if chain.head is None else chain.head.ref.manifest_sha256
    return (finding("CHAIN_ANCHOR_MISSING", shown, expected=root_sha256, got=got),)


def _voided(records: Iterable[SealedRecord]) -> frozenset[str]:
    """Return the roots of the voided records; a void that is itself voided voids nothing."""
    voids: defaultdict[str, set[str]] = defaultdict(set)
    for sealed in records:
        if sealed.record.action == "void":
            for run in sealed.record.runs:
                voids[run.manifest_sha256].add(sealed.ref.manifest_sha256)
    gone: set[str] = set()
    for root in TopologicalSorter(voids).static_order():  # voids first; no cycle, since links are hashes
        if voids.get(root, set()) - gone:
            gone.add(root)
    return frozenset(gone)


def _without_retired(found: ChainRecords, kept: Iterable[SealedRecord]) -> tuple[ChainRecords, frozenset[str]]:
    """Return what is found without the records that restarts of the chain retire, and the roots of these records."""
    runs = [run for r in kept if r.record.action == "init" for run in r.record.runs]
    roots = frozenset(run.manifest_sha256 for run in runs)
    paths = {f"{run.run_root}/{run.run_id}" for run in runs}
    records = tuple(r for r in found.records if r.ref.manifest_sha256 not in roots)
    # A folder that does not verify has no root to go by: its path is what the restart could name.
    broken = tuple(f for f in found.broken if f.path not in paths)
    return replace(found, records=records, broken=broken), roots


def _restarts_chain(record: ActivationRecord) -> bool:
    return record.action == "init" and record.reason.startswith(RESTART_PREFIX)


def _needs_records(pointers: bytes | None) -> bool:
    """Whether a pointer file says of itself that every change of it seals a record, and names anything."""
    try:
        document = None if pointers is None else read_strict_json(pointers)
    except StrictJsonError:
        return False
    if not isinstance(document, dict) or document.get("mutation_policy") != MUTATION_POLICY:
        return False
    return bool(document.get("pointers"))


def _check_witnesses(found: ChainRecords, retired: frozenset[str]) -> Iterator[Finding]:
    """Yield a finding for each sealed run that names an activation record which is missing or was rewritten since."""
    by_root = {r.ref.manifest_sha256 for r in found.records} | retired
    by_run = {r.ref.run_id: r for r in found.records}
    broken = {f.path for f in found.broken}
    for witness in found.witnesses:
        yield from _check_named(witness.ref, witness.run_id, by_root, by_run, broken)


def _check_links(found: ChainRecords, standing: tuple[SealedRecord, ...]) -> Iterable[Finding]:
    """Yield what is missing, altered, detached or forked."""
    by_root = {r.ref.manifest_sha256: r for r in found.records}
    stands = {r.ref.manifest_sha256 for r in standing}
    by_run = {r.ref.run_id: r for r in found.records}
    broken = {f.path for f in found.broken}
    for sealed in found.records:
        record = sealed.record
        named = [] if record.previous is None else [record.previous]
        for ref in [*named, *(record.runs if record.action == "void" else ())]:
            yield from _check_named(ref, sealed.ref.run_id, by_root.keys(), by_run, broken)
    followers: defaultdict[str, list[SealedRecord]] = defaultdict(list)
    for sealed in standing:
        before = sealed.record.previous
        followers["" if before is None else before.manifest_sha256].append(sealed)
        last = None if before is None else by_root.get(before.manifest_sha256)
        if last is not None and last.ref.manifest_sha256 not in stands:
            yield finding("CHAIN_DETACHED", sealed.path, detail=f"{last.ref.run_id}, which it follows, is voided")
        elif last is not None and last.record.after_sha256 != sealed.record.before_sha256:
            yield finding(
                "CHAIN_DETACHED",
                sealed.path,
                expected=last.record.after_sha256,
                got=sealed.record.before_sha256,
                detail=f"it did not begin where {last.ref.run_id} ended",
            )
    for rivals in followers.values():
        if len(rivals) > 1:
            names = ", ".join(sorted(r.ref.run_id for r in rivals))
            yield from (finding("CHAIN_FORK", rival.path, detail=names) for rival in rivals)


def _check_named(
    ref: SealedRef, named_by: str, roots: Collection[str], by_run: Mapping[str, SealedRecord], broken: set[str]
) -> Iterator[Finding]:
    """Yield the finding on a record that a run names, unless it exists or is already reported as broken."""
    path = f"{ref.run_root}/{ref.run_id}"
    if ref.manifest_sha256 in roots or path in broken:
        return
    other = by_run.get(ref.run_id)
    if other is None:
        yield finding("CHAIN_RECORD_MISSING", path, detail=f"{named_by} names it")
        return
    yield finding(
        "CHAIN_RECORD_EDITED",
        other.path,
        expected=ref.manifest_sha256,
        got=other.ref.manifest_sha256,
        detail=f"{named_by} names it with another root",
    )


def _head(found: ChainRecords, standing: tuple[SealedRecord, ...]) -> SealedRecord | None:
    """Return the one standing record that no other follows, or None where that is not certain.

    A broken folder that no record names may have been the head.
    """
    named = {r.record.previous for r in found.records} | {run for r in found.records for run in r.record.runs}
    followed = {ref.manifest_sha256 for ref in (r.record.previous for r in standing) if ref is not None}
    leaves = [r for r in standing if r.ref.manifest_sha256 not in followed]
    paths = {f"{ref.run_root}/{ref.run_id}" for ref in named if ref is not None}
    if len(leaves) != 1 or any(f.path not in paths for f in found.broken):
        return None
    return leaves[0]


def _walk_back(head: SealedRecord, standing: tuple[SealedRecord, ...]) -> tuple[SealedRecord, ...]:
    by_root = {r.ref.manifest_sha256: r for r in standing}
    walk: list[SealedRecord] = []
    here: SealedRecord | None = head
    while here is not None:
        walk.append(here)
        before = here.record.previous
        here = None if before is None else by_root.get(before.manifest_sha256)
    return tuple(reversed(walk))


def _judge_pointers(
    head: SealedRecord, found: ChainRecords, pointers: bytes | None, intent: Intent | None
) -> tuple[State, list[Finding]]:
    """Return the row of SPEC 5's table that holds, in its order."""
    digest = None if pointers is None else sha256_hex(pointers)
    record = head.record
    if digest == record.after_sha256:
        return "committed", []
    state: State = "edited"
    code, path = "POINTER_EDITED", found.pointer_path
    if digest == record.before_sha256 and intent is not None and intent.run_id == head.ref.run_id:
        state, code, path = "pending", "CHAIN_PENDING", head.path
    elif digest == record.before_sha256 or any(digest == r.record.after_sha256 for r in found.records):
        state, code = "rewound", "POINTER_REWOUND"
    return state, [finding(code, path, expected=record.after_sha256, got=digest or "no pointer file")]
