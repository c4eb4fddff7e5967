"""The activation records, and the chain that they form: see "Chain" in docs/reference/specification.md. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, Final, Literal, get_args

from registry_pipeline.canonical import StrictJsonError, is_sha256, parse_strict_json, parse_utc, sha256_hex
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.pointers.checkpoint import Checkpoint, LastMove, RecordFacts, make_checkpoint, make_line
from registry_pipeline.runs.reference import MUTATION_POLICY, Move, RunIdentity, SealedRef
from registry_pipeline.values import asdict, field, replace, value_type

Action = Literal["init", "activate", "rollback", "mark_bad", "void", "checkpoint"]
# The registry id of an activation record, and the tag of its run folder.
ACTIVATION_TAG: Final = "pointer_activation"
RECORD_FILE: Final = "POINTER_ACTIVATION_v0_1.json"
AFTER_FILE: Final = "POINTERS_AFTER.json"
MAX_SIGNATURES: Final = 16
# The first has the name that ssh-keygen gives it.
SIGNATURE_FILES: Final = tuple(
    f"{RECORD_FILE}.sig" if number == 1 else f"{RECORD_FILE}.{number}.sig" for number in range(1, MAX_SIGNATURES + 1)
)
ACTIVATION_VERSION: Final = "0.1"
# Keys of `verdicts` that are absent if they count nothing: removed runs that were accepted, and foreign runs.
ACCEPTED_REMOVED: Final = "accepted_removed"
ACCEPTED_FOREIGN: Final = "accepted_foreign"
# The start of the reason of an `init` record that replaces a lost chain.
RESTART_PREFIX: Final = "chain restarted: "
_SHOWN_KEYS: Final = ("action", "actor", "reason", "moves", "runs")
_HASH_KEYS: Final = ("pointer_sha256_before", "pointer_sha256_after")
_RECORD_KEYS: Final = {"activation_version", "verdicts", "previous_activation", *_SHOWN_KEYS, *_HASH_KEYS}
_OPTIONAL_KEYS: Final = {"checkpoint", "created_utc"}


@value_type
class ActivationRecord:
    """One change of the pointer file: who made it and why, the moves, and the hash of the file before and after.

    Attributes:
        runs: the runs marked bad, or the records that a `void` or `init` record voids or retires.
        verdicts: the number of runs by verdict, and of accepted removed and foreign runs.
        previous: the record that this one follows, None only for `init`.
        checkpoint: what a `checkpoint` says about all earlier records, None for every other action.
        created_utc: the time in run.json, if a signature of the record is to cover it.
    """

    action: Action
    moves: tuple[Move, ...]
    runs: tuple[SealedRef, ...]
    actor: str
    reason: str
    verdicts: Mapping[str, int]
    before_sha256: str
    after_sha256: str
    previous: SealedRef | None
    checkpoint: Checkpoint | None = None
    created_utc: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of POINTER_ACTIVATION_v0_1.json, with its keys in order."""
        document: dict[str, Any] = {
            "activation_version": ACTIVATION_VERSION,
            "action": self.action,
            "moves": [move.to_json() for move in self.moves],
            "runs": [run.to_json() for run in self.runs],
            "actor": self.actor,
            "reason": self.reason,
            "verdicts": dict(self.verdicts),
            "pointer_sha256_before": self.before_sha256,
            "pointer_sha256_after": self.after_sha256,
            "previous_activation": None if self.previous is None else self.previous.to_json(),
        }
        if self.checkpoint is not None:
            document["checkpoint"] = self.checkpoint.to_json()
        if self.created_utc is not None:
            document["created_utc"] = self.created_utc
        return document

    @classmethod
    def from_json(cls, value: Any) -> ActivationRecord:
        """Return the record that a parsed document states.

        Raises:
            ValueError: it is not a valid record; the message says why.
        """
        # A record is evidence, so an unknown key is an error and not ignored.
        if not isinstance(value, dict) or set(value) - _OPTIONAL_KEYS != _RECORD_KEYS:
            raise ValueError("the keys are not exactly those of an activation record")
        if "created_utc" in value and parse_utc(value["created_utc"]) is None:
            raise ValueError("created_utc is not a time in UTC")
        if value["activation_version"] != ACTIVATION_VERSION or value["action"] not in get_args(Action):
            raise ValueError("activation_version or action is unknown")
        if not all(isinstance(value[key], str) for key in ("actor", "reason")):
            raise ValueError("actor and reason must be text")
        if not all(is_sha256(value[key]) for key in _HASH_KEYS):
            raise ValueError("a hash of the pointer file is not 64 lower-case hexadecimal digits")
        for key in ("moves", "runs"):
            if not isinstance(value[key], list):
                raise ValueError(f"{key} must be a list")  # noqa: TRY004 -- ValueError for every invalid document
        verdicts, previous = value["verdicts"], value["previous_activation"]
        if not isinstance(verdicts, dict) or not all(type(n) is int and n >= 0 for n in verdicts.values()):
            raise ValueError("verdicts must map verdicts to counts")
        record = cls(
            action=value["action"],
            moves=tuple(_parse_move(item) for item in value["moves"]),
            runs=tuple(_parse_ref(item, "runs") for item in value["runs"]),
            actor=value["actor"],
            reason=value["reason"],
            verdicts=verdicts,
            before_sha256=value["pointer_sha256_before"],
            after_sha256=value["pointer_sha256_after"],
            previous=None if previous is None else _parse_ref(previous, "previous_activation"),
            checkpoint=Checkpoint.from_json(value["checkpoint"]) if "checkpoint" in value else None,
            created_utc=value.get("created_utc"),
        )
        record._refuse_inconsistent()
        return record

    def _refuse_inconsistent(self) -> None:
        """Raise ValueError if the fields contradict the action, as an `activate` without a move does."""
        if (self.action == "init") != (self.previous is None):
            raise ValueError("the `init` record has no predecessor, and every other record has one")
        if (self.action == "checkpoint") != (self.checkpoint is not None):
            raise ValueError("a `checkpoint` record has the key `checkpoint`, and no other record has it")
        if self.action in ("init", "void", "checkpoint") and (self.moves or self.before_sha256 != self.after_sha256):
            raise ValueError(f"`{self.action}` changes the pointer file, which it must not")
        if self.action == "activate" and not self.moves:
            raise ValueError("`activate` moves nothing")
        if self.runs and self.action in ("activate", "rollback", "checkpoint"):
            raise ValueError(f"`{self.action}` names {len(self.runs)} runs")
        if not self.runs and self.action in ("mark_bad", "void"):
            raise ValueError(f"`{self.action}` names no run")


@value_type
class Intent:
    """The next step of a writer that holds the lock: seal the record `run_id`, then replace the pointer file."""

    run_id: str
    before: str
    after: str

    def to_json(self) -> dict[str, Any]:
        """Return the content of `<pointer file>.intent`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Intent | None:
        """Return the intent in a parsed document, or None if it has another form."""
        if not isinstance(value, dict) or not isinstance(value.get("run_id"), str):
            return None
        if not (is_sha256(value.get("before")) and is_sha256(value.get("after"))):
            return None
        return cls(value["run_id"], value["before"], value["after"])


def _parse_ref(value: Any, key: str) -> SealedRef:
    """Return the reference that JSON states; ValueError, which names `key`, if it is invalid."""
    ref = SealedRef.from_json(value)
    if ref is None or not is_sha256(ref.manifest_sha256):
        raise ValueError(f"{key} contains an invalid sealed reference")
    return ref


def _parse_move(value: Any) -> Move:
    """Return the move that JSON states; ValueError if it is invalid or has an unknown key."""
    if not isinstance(value, dict) or set(value) != {"registry_id", "from_ref", "to_ref"}:
        raise ValueError("moves contains an invalid move")
    if not isinstance(value["registry_id"], str):
        raise ValueError("registry_id of a move must be text")  # noqa: TRY004 -- as above
    before, after = (None if value[key] is None else _parse_ref(value[key], "moves") for key in ("from_ref", "to_ref"))
    return Move(value["registry_id"], before, after)


@value_type
class SealedRecord:
    """An activation record whose folder verifies.

    Attributes:
        active: the active run of each registry after it, as its POINTERS_AFTER.json states.
        repository_id: what its run.json states, or None.
        signatures: those in its folder, which nobody has checked.
        document: the bytes that they sign, empty without signatures.
    """

    path: str
    ref: SealedRef
    created_utc: str
    record: ActivationRecord
    active: Mapping[str, SealedRef] = field(default_factory=dict)
    repository_id: str | None = None
    signatures: tuple[bytes, ...] = ()
    document: bytes = b""

    @property
    def root(self) -> str:
        """The root hash of the record's folder, by which other records name it."""
        return self.ref.manifest_sha256

    @property
    def previous_root(self) -> str | None:
        """The root hash of the record that this one follows, None for `init`."""
        return None if self.record.previous is None else self.record.previous.manifest_sha256

    @property
    def run_ids(self) -> frozenset[str]:
        """The ids of the runs that it moved a pointer to or from, marked bad, voided or retired."""
        refs = [*self.record.runs, *(ref for move in self.record.moves for ref in (move.from_ref, move.to_ref))]
        return frozenset(ref.run_id for ref in refs if ref is not None)

    def moves_of(self, registry_id: str | None) -> tuple[Move, ...]:
        """Return the moves of one registry, or all moves."""
        return tuple(move for move in self.record.moves if registry_id in (None, move.registry_id))

    def to_json(self) -> dict[str, Any]:
        """Return the record as `log`, `show` and `status` report it."""
        document = {"run_id": self.ref.run_id, "run_root": self.ref.run_root, "created_utc": self.created_utc}
        record = self.record.to_json()
        shown = {key: record[key] for key in _SHOWN_KEYS}
        return document | {"root_sha256": self.root} | shown | {"signatures": len(self.signatures)}


@value_type
class ChainRecords:
    """The activation records on disk that verify, by run id, and a finding for each that does not.

    `witnesses` are health reports, each with the record that it names as the head of its time.
    """

    pointer_path: str
    records: tuple[SealedRecord, ...] = ()
    broken: tuple[Finding, ...] = ()
    witnesses: tuple[tuple[str, SealedRef], ...] = ()


State = Literal["not_chained", "lost", "committed", "pending", "rewound", "edited", "broken"]


@value_type
class ChainState:
    """The chain, and the state of the pointer file compared with it.

    Attributes:
        state: a row of the table in the specification.
        head: None if the chain is not started, lost or broken.
        records: the standing records, from `init` to the head. In a state that was read from a checkpoint only those
            from the checkpoint on; `voided` is empty then.
        facts: what all records say, those before a checkpoint included.
        lines: a line for each record, None if the next checkpoint could not name them: one is broken or missing.
    """

    state: State
    head: SealedRecord | None
    findings: tuple[Finding, ...]
    records: tuple[SealedRecord, ...] = ()
    voided: tuple[SealedRecord, ...] = ()
    facts: RecordFacts = field(default_factory=RecordFacts)
    lines: frozenset[str] | None = None

    @property
    def marked_bad(self) -> Mapping[str, str]:
        """The reason of each run that is marked bad, by run id."""
        return self.facts.marked_bad

    @property
    def rolled_back_runs(self) -> frozenset[str]:
        """The ids of the runs that a rollback deactivated."""
        return self.facts.rolled_back_runs

    @property
    def since_checkpoint(self) -> int:
        """The number of records after the last checkpoint, or of all."""
        actions = [sealed.record.action for sealed in reversed(self.records)]
        return actions.index("checkpoint") if "checkpoint" in actions else len(actions)

    @property
    def refuses(self) -> bool:
        """Whether an error of the chain refuses every change (exit 3)."""
        return has_errors(self.findings)

    def accepted_foreign(self, repository_id: str | None) -> frozenset[RunIdentity]:
        """Return all runs activated by those of this repository's own records that accept a foreign run."""
        # A record that a fork inherited accepted its runs for another repository.
        return frozenset(run for accepting_id, run in self.facts.accepted_foreign if accepting_id == repository_id)


def make_chain_state(chain: ChainRecords, pointers: bytes | None, intent: Intent | None) -> ChainState:
    """Return the state of the chain and of the pointer file, whose bytes are None if there is no file."""
    # (1) Leave out voided records, then those that a restart of the chain retired.
    all_records, is_broken = chain.records, bool(chain.broken)
    voided = _find_voided(chain.records)
    kept = [r for r in chain.records if r.root not in voided]
    retired = [run for r in kept if r.record.action == "init" for run in r.record.runs]
    retired_roots = frozenset(run.manifest_sha256 for run in retired)
    # A folder that does not verify has no certain root, so a restart names it by its path.
    retired_paths = {run.path for run in retired}
    broken = tuple(f for f in chain.broken if f.path not in retired_paths)
    chain = replace(chain, records=tuple(r for r in chain.records if r.root not in retired_roots), broken=broken)
    standing = tuple(r for r in kept if r.root not in retired_roots)
    # (2) Check the links, and the records that health reports name.
    findings = [*broken, *_check_links(chain, standing), *_check_named(chain.witnesses, chain, retired_roots)]
    # (3) Compare the pointer file with the head.
    head = _find_head(chain, standing)
    state, pointer_findings = _compare_pointers(head, chain, pointers, intent)
    findings += pointer_findings
    # (4) Collect what the records say. Marks of bad runs and rollbacks count even if a restart retired their records.
    records = standing if head is None else _list_chain_to(head, standing)
    in_chain = {r.root for r in records}
    retired_facts = _collect_marks(RecordFacts(), [r for r in kept if r.root not in in_chain])
    facts = collect_facts(retired_facts, records)
    findings += make_restart_findings(facts)
    # A record that is broken or that only another one names cannot be compared with a checkpoint.
    lines: frozenset[str] | None = _list_lines(records)
    if head is None or is_broken or lines != frozenset(make_line(*r.ref.identity) for r in all_records):
        lines = None
    if lines is not None:
        findings += _check_checkpoints(retired_facts, records)
    return ChainState(
        state=state,
        head=head,
        findings=sorted_findings(findings),
        records=records,
        voided=tuple(r for r in chain.records if r.root in voided),
        facts=facts,
        lines=lines,
    )


def make_state_from_checkpoint(
    chain: ChainRecords, earlier: frozenset[str], pointers: bytes | None
) -> ChainState | None:
    """Return the state of a chain whose newest checkpoint names `earlier`; None unless it is certain and committed.

    `earlier` are lines. `chain` has the checkpoint and the records that are later, all verified. The state is the one
    that `make_chain_state` returns, provided that the earlier records have the content of their roots.
    """
    # (1) The folders that exist are exactly those that the checkpoint names.
    checkpoints = [r for r in chain.records if r.record.checkpoint is not None]
    if len(checkpoints) != 1 or chain.broken or pointers is None:
        return None
    (head,) = checkpoints
    stated, previous = head.record.checkpoint, head.record.previous
    if stated is None or previous is None or make_line(*previous.identity) not in earlier:
        return None
    if make_checkpoint(earlier, stated.facts) != stated:
        return None
    # (2) The others follow it one after another, and none of them takes a record out of the chain.
    followers = {r.previous_root: r for r in chain.records if r.record.action not in ("init", "void")}
    records = [head]
    while (follower := followers.get(records[-1].root)) is not None:
        if follower.record.before_sha256 != records[-1].record.after_sha256:
            return None
        if not _has_stated_moves(records[-1], follower):
            return None
        records.append(follower)
    if len(records) != len(chain.records):
        return None
    # (3) The pointer file is that of the head, and the records that health reports name exist.
    head, lines = records[-1], earlier | _list_lines(records)
    roots = {line.rpartition(" ")[2] for line in lines} if chain.witnesses else set()
    if sha256_hex(pointers) != head.record.after_sha256 or any(
        f"{r.manifest_sha256}\n" not in roots for _, r in chain.witnesses
    ):
        return None
    facts = collect_facts(stated.facts, records)
    return ChainState(
        state="committed",
        head=head,
        findings=sorted_findings(make_restart_findings(facts)),
        records=tuple(records),
        facts=facts,
        lines=lines,
    )


def _list_lines(records: Iterable[SealedRecord]) -> frozenset[str]:
    """Return the lines of the records of a chain, and of those that they void or retire."""
    records = list(records)
    removed = (run for r in records if r.record.action in ("init", "void") for run in r.record.runs)
    return frozenset(make_line(*ref.identity) for ref in (*(r.ref for r in records), *removed))


def _collect_marks(facts: RecordFacts, records: Sequence[SealedRecord]) -> RecordFacts:
    """Return the facts with the runs that these records mark bad or roll back."""
    marks = {run.run_id: r.record.reason for r in records if r.record.action == "mark_bad" for run in r.record.runs}
    rollbacks = [move.from_ref for r in records if r.record.action == "rollback" for move in r.record.moves]
    return replace(
        facts,
        marked_bad={**facts.marked_bad, **marks},
        rolled_back_runs=facts.rolled_back_runs | {ref.run_id for ref in rollbacks if ref is not None},
    )


def collect_facts(facts: RecordFacts, records: Sequence[SealedRecord]) -> RecordFacts:
    """Return the facts with those of the records that follow, oldest first."""
    accepting = [r for r in records if r.record.verdicts.get(ACCEPTED_FOREIGN)]
    accepted = {(r.repository_id, m.to_ref.identity) for r in accepting for m in r.record.moves if m.to_ref is not None}
    moves = {
        m.registry_id: LastMove(m.to_ref, r.record.actor, r.record.reason) for r in records for m in r.record.moves
    }
    restarts = {
        r.path: r.record.reason
        for r in records
        if r.record.action == "init" and r.record.reason.startswith(RESTART_PREFIX)
    }
    return replace(
        _collect_marks(facts, records),
        accepted_foreign=facts.accepted_foreign | accepted,
        last_moves={**facts.last_moves, **moves},
        restarts={**facts.restarts, **restarts},
    )


def make_restart_findings(facts: RecordFacts) -> list[Finding]:
    """Return CHAIN_RESTARTED for each restart of the chain."""
    return [finding("CHAIN_RESTARTED", path, detail=reason) for path, reason in facts.restarts.items()]


def _check_checkpoints(facts: RecordFacts, records: Sequence[SealedRecord]) -> Iterator[Finding]:
    """Yield a finding for each checkpoint that differs from the records before it; `facts` are those of no chain."""
    lines: frozenset[str] = frozenset()
    start = 0
    for number, sealed in enumerate(records):
        if sealed.record.checkpoint is None:
            continue
        segment, start = records[start:number], number
        facts, lines = collect_facts(facts, segment), lines | _list_lines(segment)
        expected = make_checkpoint(lines, facts)
        if sealed.record.checkpoint != expected:
            stated = sealed.record.checkpoint.to_json()
            wrong = ", ".join(key for key, value in expected.to_json().items() if value != stated[key])
            yield finding("CHAIN_CHECKPOINT_WRONG", sealed.path, detail=wrong)


def check_anchor(chain: ChainState, root_sha256: str, shown: str) -> tuple[Finding, ...]:
    """Return a finding if no record has the expected root hash, or only a voided one."""
    if any(sealed.root == root_sha256 for sealed in chain.records):
        return ()
    voided = next((sealed for sealed in chain.voided if sealed.root == root_sha256), None)
    if voided is not None:
        return (finding("ANCHOR_VOIDED", shown, got=voided.ref.run_id),)
    got = "no activation record" if chain.head is None else chain.head.root
    return (finding("CHAIN_ANCHOR_MISSING", shown, expected=root_sha256, got=got),)


def _find_voided(records: Iterable[SealedRecord]) -> frozenset[str]:
    """Return the roots of the voided records; a void that is itself voided voids nothing."""
    voids: defaultdict[str, set[str]] = defaultdict(set)
    for sealed in records:
        if sealed.record.action == "void":
            for run in sealed.record.runs:
                voids[run.manifest_sha256].add(sealed.root)
    voided: set[str] = set()
    # A void comes before what it voids. There is no cycle, since a record names others by their hashes.
    for root in TopologicalSorter(voids).static_order():
        if voids.get(root, set()) - voided:
            voided.add(root)
    return frozenset(voided)


def _is_own_file(pointers: bytes | None) -> bool:
    """Return whether the bytes are a pointer file that this tool wrote and that has entries."""
    try:
        document = parse_strict_json(pointers or b"")
    except StrictJsonError:
        return False
    is_own = isinstance(document, dict) and document.get("mutation_policy") == MUTATION_POLICY
    return is_own and bool(document.get("pointers"))


def _check_links(chain: ChainRecords, standing: tuple[SealedRecord, ...]) -> Iterator[Finding]:
    """Yield a finding for each named record that is missing, each standing one that is detached, and each fork."""
    # (1) Every record that another one names must exist with that root.
    named: list[tuple[str, SealedRef]] = []
    for sealed in chain.records:
        voided = sealed.record.runs if sealed.record.action == "void" else ()
        named += [(sealed.ref.run_id, ref) for ref in (sealed.record.previous, *voided) if ref is not None]
    yield from _check_named(named, chain)
    # (2) A standing record follows a standing record, and starts from its state.
    by_root: dict[str | None, SealedRecord] = {r.root: r for r in chain.records}
    standing_roots = {r.root for r in standing}
    followers: defaultdict[str | None, list[SealedRecord]] = defaultdict(list)
    for sealed in standing:
        followers[sealed.previous_root].append(sealed)
        previous = by_root.get(sealed.previous_root)
        if previous is not None and previous.root not in standing_roots:
            yield finding("CHAIN_DETACHED", sealed.path, detail=f"its predecessor {previous.ref.run_id} is voided")
        elif previous is not None and previous.record.after_sha256 != sealed.record.before_sha256:
            detail = f"its state before differs from the state after {previous.ref.run_id}"
            expected, got = previous.record.after_sha256, sealed.record.before_sha256
            yield finding("CHAIN_DETACHED", sealed.path, expected=expected, got=got, detail=detail)
        elif previous is not None and not _has_stated_moves(previous, sealed):
            yield finding("CHAIN_MOVES_WRONG", sealed.path, detail=AFTER_FILE)
    # (3) No two standing records follow the same one.
    for rivals in followers.values():
        if len(rivals) > 1:
            names = ", ".join(sorted(r.ref.run_id for r in rivals))
            yield from (finding("CHAIN_FORK", rival.path, detail=names) for rival in rivals)


def _has_stated_moves(previous: SealedRecord, sealed: SealedRecord) -> bool:
    """Return whether the moves of a record, and its runs marked bad, are all that it changes of the active runs."""
    moves, marks_bad = sealed.record.moves, sealed.record.action == "mark_bad"
    bad = {run.run_id for run in sealed.record.runs} if marks_bad else set()
    after = {**previous.active, **{move.registry_id: move.to_ref for move in moves}}
    return all(move.from_ref == previous.active.get(move.registry_id) for move in moves) and sealed.active == {
        name: ref for name, ref in after.items() if ref is not None and ref.run_id not in bad
    }


def _check_named(
    named: Iterable[tuple[str, SealedRef]], chain: ChainRecords, retired: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Yield a finding for each (naming run, record) whose record neither exists nor is reported as broken already."""
    roots = {r.root for r in chain.records} | retired
    by_run = {r.ref.run_id: r for r in chain.records}
    broken = {f.path for f in chain.broken}
    for named_by, ref in named:
        if ref.manifest_sha256 in roots or ref.path in broken:
            continue
        other = by_run.get(ref.run_id)
        if other is None:
            yield finding("CHAIN_RECORD_MISSING", ref.path, detail=f"{named_by} names it")
        else:
            detail, expected = f"{named_by} names it with another root hash", ref.manifest_sha256
            yield finding("CHAIN_RECORD_EDITED", other.path, expected=expected, got=other.root, detail=detail)


def _find_head(chain: ChainRecords, standing: tuple[SealedRecord, ...]) -> SealedRecord | None:
    """Return the one standing record that no other follows, or None if that is not certain."""
    followed = {r.previous_root for r in standing}
    leaves = [r for r in standing if r.root not in followed]
    named = {r.record.previous for r in chain.records} | {run for r in chain.records for run in r.record.runs}
    paths = {ref.path for ref in named if ref is not None}
    # A broken folder that no record names may have been the head.
    if len(leaves) != 1 or any(f.path not in paths for f in chain.broken):
        return None
    return leaves[0]


def _list_chain_to(head: SealedRecord, standing: tuple[SealedRecord, ...]) -> tuple[SealedRecord, ...]:
    """Return the standing records that lead to `head`, oldest first, `head` included."""
    by_root: dict[str | None, SealedRecord] = {r.root: r for r in standing}
    records = [head]
    while (previous := by_root.get(records[-1].previous_root)) is not None:
        records.append(previous)
    return tuple(reversed(records))


def _compare_pointers(
    head: SealedRecord | None, chain: ChainRecords, pointers: bytes | None, intent: Intent | None
) -> tuple[State, tuple[Finding, ...]]:
    """Return the state of the pointer file, which is the first matching row of the table in the specification."""
    if not chain.records and not chain.broken:
        if _is_own_file(pointers):
            return "lost", (finding("CHAIN_LOST", chain.pointer_path),)
        return "not_chained", (finding("CHAIN_NOT_STARTED", chain.pointer_path),)
    if head is None:
        return "broken", ()
    digest = None if pointers is None else sha256_hex(pointers)
    record = head.record
    if digest == record.after_sha256:
        return "committed", ()
    state: State = "edited"
    code, path = "POINTER_EDITED", chain.pointer_path
    if digest == record.before_sha256 and intent is not None and intent.run_id == head.ref.run_id:
        state, code, path = "pending", "CHAIN_PENDING", head.path
    elif digest == record.before_sha256 or any(digest == r.record.after_sha256 for r in chain.records):
        state, code = "rewound", "POINTER_REWOUND"
    return state, (finding(code, path, expected=record.after_sha256, got=digest or "no pointer file"),)
