"""The activation chain: which records stand, which is the head, and how the pointer file compares with it. Pure.

See docs/reference/specification.md, "Chain", for the rules and the table of states.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Literal

from registry_pipeline.canonical import StrictJsonError, read_strict_json, sha256_hex
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pointers.record import (
    ACCEPTED_FOREIGN,
    MUTATION_POLICY,
    RESTART_PREFIX,
    ChainRecords,
    Intent,
    SealedRecord,
)
from registry_pipeline.runs.reference import RunIdentity, SealedRef
from registry_pipeline.values import field, replace, value_type

State = Literal["not_chained", "lost", "committed", "pending", "rewound", "edited", "broken"]


@value_type
class ChainState:
    """The chain, and the state of the pointer file compared with it.

    Attributes:
        state: a row of the table in the specification.
        head: None if the chain is not started, lost or broken.
        records: the standing records, from `init` to the head.
        marked_bad: reason by run id.
        rolled_back_runs: run ids that a rollback deactivated; `build` and the sensor never propose them.
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
        """Whether an error of the chain refuses every change (exit 3)."""
        return has_errors(self.findings)

    def accepted_foreign(self, repository_id: str | None) -> frozenset[RunIdentity]:
        """Return the runs that this repository's own records activated with `--allow-foreign`."""
        # A record that a fork inherited accepted its runs for another repository.
        return frozenset(
            move.to_ref.identity
            for sealed in self.records
            if sealed.repository_id == repository_id and sealed.record.verdicts.get(ACCEPTED_FOREIGN)
            for move in sealed.record.moves
            if move.to_ref is not None
        )


def check_chain(chain: ChainRecords, pointers: bytes | None, intent: Intent | None) -> ChainState:
    """Return the chain compared with the pointer file, whose bytes are None if there is no file."""
    # (1) Leave out voided records, then those that a restart of the chain retired.
    voided = _find_voided(chain.records)
    kept = tuple(r for r in chain.records if r.ref.manifest_sha256 not in voided)
    chain, retired = _without_retired(chain, kept)
    standing = tuple(r for r in kept if r.ref.manifest_sha256 not in retired)
    # (2) Check the links, and the records that health reports name.
    findings = [*chain.broken, *_check_links(chain, standing), *_check_witnesses(chain, retired)]
    findings += [
        finding("CHAIN_RESTARTED", r.path, detail=r.record.reason)
        for r in standing
        if r.record.action == "init" and r.record.reason.startswith(RESTART_PREFIX)
    ]
    # (3) Compare the pointer file with the head.
    head = _find_head(chain, standing)
    state, pointer_finding = _compare_pointers(head, chain, pointers, intent)
    if pointer_finding is not None:
        findings.append(pointer_finding)
    # Marks of bad runs and rollbacks count even if a restart retired their records.
    return ChainState(
        state=state,
        head=head,
        findings=sorted_findings(findings),
        records=standing if head is None else _walk_back(head, standing),
        voided=tuple(r for r in chain.records if r.ref.manifest_sha256 in voided),
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
    """Return CHAIN_ANCHOR_MISSING if no record, standing or voided, has the expected root hash."""
    if any(sealed.ref.manifest_sha256 == root_sha256 for sealed in (*chain.records, *chain.voided)):
        return ()
    got = "no activation record" if chain.head is None else chain.head.ref.manifest_sha256
    return (finding("CHAIN_ANCHOR_MISSING", shown, expected=root_sha256, got=got),)


def _find_voided(records: Iterable[SealedRecord]) -> frozenset[str]:
    """Return the roots of the voided records; a void that is itself voided voids nothing."""
    voids: defaultdict[str, set[str]] = defaultdict(set)
    for sealed in records:
        if sealed.record.action == "void":
            for run in sealed.record.runs:
                voids[run.manifest_sha256].add(sealed.ref.manifest_sha256)
    voided: set[str] = set()
    # A void comes before what it voids. There is no cycle, since a record names others by their hashes.
    for root in TopologicalSorter(voids).static_order():
        if voids.get(root, set()) - voided:
            voided.add(root)
    return frozenset(voided)


def _without_retired(chain: ChainRecords, kept: Iterable[SealedRecord]) -> tuple[ChainRecords, frozenset[str]]:
    """Return the chain without the records that a restart retired, and the roots of these records."""
    runs = [run for r in kept if r.record.action == "init" for run in r.record.runs]
    roots = frozenset(run.manifest_sha256 for run in runs)
    paths = {run.path for run in runs}
    records = tuple(r for r in chain.records if r.ref.manifest_sha256 not in roots)
    # A folder that does not verify has no certain root, so a restart names it by its path.
    broken = tuple(f for f in chain.broken if f.path not in paths)
    return replace(chain, records=records, broken=broken), roots


def _is_own_file(pointers: bytes | None) -> bool:
    """Return whether this tool wrote the pointer file and something was activated in it."""
    try:
        document = None if pointers is None else read_strict_json(pointers)
    except StrictJsonError:
        return False
    if not isinstance(document, dict) or document.get("mutation_policy") != MUTATION_POLICY:
        return False
    return bool(document.get("pointers"))


def _check_witnesses(chain: ChainRecords, retired: frozenset[str]) -> Iterator[Finding]:
    return _check_named([(witness.run_id, witness.ref) for witness in chain.witnesses], chain, retired)


def _check_links(chain: ChainRecords, standing: tuple[SealedRecord, ...]) -> Iterator[Finding]:
    # (1) Every record that another one names must exist with that root.
    named: list[tuple[str, SealedRef]] = []
    for sealed in chain.records:
        voided = sealed.record.runs if sealed.record.action == "void" else ()
        named += [(sealed.ref.run_id, ref) for ref in (sealed.record.previous, *voided) if ref is not None]
    yield from _check_named(named, chain)
    # (2) A standing record follows a standing record, and starts from its state.
    by_root = {r.ref.manifest_sha256: r for r in chain.records}
    standing_roots = {r.ref.manifest_sha256 for r in standing}
    followers: defaultdict[str, list[SealedRecord]] = defaultdict(list)
    for sealed in standing:
        previous_ref = sealed.record.previous
        followers["" if previous_ref is None else previous_ref.manifest_sha256].append(sealed)
        previous = None if previous_ref is None else by_root.get(previous_ref.manifest_sha256)
        if previous is not None and previous.ref.manifest_sha256 not in standing_roots:
            yield finding("CHAIN_DETACHED", sealed.path, detail=f"its predecessor {previous.ref.run_id} is voided")
        elif previous is not None and previous.record.after_sha256 != sealed.record.before_sha256:
            yield finding(
                "CHAIN_DETACHED",
                sealed.path,
                expected=previous.record.after_sha256,
                got=sealed.record.before_sha256,
                detail=f"its state before differs from the state after {previous.ref.run_id}",
            )
    # (3) No two standing records follow the same one.
    for rivals in followers.values():
        if len(rivals) > 1:
            names = ", ".join(sorted(r.ref.run_id for r in rivals))
            yield from (finding("CHAIN_FORK", rival.path, detail=names) for rival in rivals)


def _check_named(
    named: Iterable[tuple[str, SealedRef]], chain: ChainRecords, retired: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Yield a finding for each named record that neither exists nor is already reported as broken.

    `named` are pairs of the run that names a record and the reference of that record.
    """
    roots = {r.ref.manifest_sha256 for r in chain.records} | retired
    by_run = {r.ref.run_id: r for r in chain.records}
    broken = {f.path for f in chain.broken}
    for named_by, ref in named:
        if ref.manifest_sha256 in roots or ref.path in broken:
            continue
        other = by_run.get(ref.run_id)
        if other is None:
            yield finding("CHAIN_RECORD_MISSING", ref.path, detail=f"{named_by} names it")
        else:
            expected, got = ref.manifest_sha256, other.ref.manifest_sha256
            detail = f"{named_by} names it with another root hash"
            yield finding("CHAIN_RECORD_EDITED", other.path, expected=expected, got=got, detail=detail)


def _find_head(chain: ChainRecords, standing: tuple[SealedRecord, ...]) -> SealedRecord | None:
    """Return the one standing record that no other follows, or None if that is not certain."""
    followed = {r.record.previous.manifest_sha256 for r in standing if r.record.previous is not None}
    leaves = [r for r in standing if r.ref.manifest_sha256 not in followed]
    named = {r.record.previous for r in chain.records} | {run for r in chain.records for run in r.record.runs}
    paths = {ref.path for ref in named if ref is not None}
    # A broken folder that no record names may have been the head.
    if len(leaves) != 1 or any(f.path not in paths for f in chain.broken):
        return None
    return leaves[0]


def _walk_back(head: SealedRecord, standing: tuple[SealedRecord, ...]) -> tuple[SealedRecord, ...]:
    by_root = {r.ref.manifest_sha256: r for r in standing}
    records: list[SealedRecord] = []
    current: SealedRecord | None = head
    while current is not None:
        records.append(current)
        previous = current.record.previous
        current = None if previous is None else by_root.get(previous.manifest_sha256)
    return tuple(reversed(records))


def _compare_pointers(
    head: SealedRecord | None, chain: ChainRecords, pointers: bytes | None, intent: Intent | None
) -> tuple[State, Finding | None]:
    """Return the state of the pointer file, which is the first matching row of the table in the specification."""
    if not chain.records and not chain.broken:
        if _is_own_file(pointers):
            return "lost", finding("CHAIN_LOST", chain.pointer_path)
        return "not_chained", finding("CHAIN_NOT_STARTED", chain.pointer_path)
    if head is None:
        return "broken", None
    digest = None if pointers is None else sha256_hex(pointers)
    record = head.record
    if digest == record.after_sha256:
        return "committed", None
    state: State = "edited"
    code, path = "POINTER_EDITED", chain.pointer_path
    if digest == record.before_sha256 and intent is not None and intent.run_id == head.ref.run_id:
        state, code, path = "pending", "CHAIN_PENDING", head.path
    elif digest == record.before_sha256 or any(digest == r.record.after_sha256 for r in chain.records):
        state, code = "rewound", "POINTER_REWOUND"
    return state, finding(code, path, expected=record.after_sha256, got=digest or "no pointer file")
