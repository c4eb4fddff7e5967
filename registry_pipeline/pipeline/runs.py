"""What `runs` tells: the lines of a run registry that somebody asks for (SPEC 6 and 8). Values in, values out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from registry_pipeline.canonical import parse_instant, read_finite_json
from registry_pipeline.pointers.moves import ActivationEntry
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.records import ADAPTED
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.values import value_type

Record = Mapping[str, Any]
Order = Literal["newest", "oldest", "registry"]
STATES: Final = ("sealed", "partial", "unsealed", "legacy", "warned")
"""What a run can be asked for: which seal files stand in it, whether it names no operation, whether it has warnings."""
ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest", "registry")


@value_type
class RunQuery:
    """What is asked; of several values for one thing any may hold, of different things all must.

    `since` and `until` are both included; a run that states no time, or none with a zone, is in no span of time.
    """

    operations: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    run_roots: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def values(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Return the fields of a line that are asked for, with what they may be."""
        fields = (("operation_id", self.operations), ("option", self.options), ("run_root", self.run_roots))
        return tuple((field, values) for field, values in fields if values)

    @property
    def has_span(self) -> bool:
        """Whether a span of time is asked for."""
        return self.since is not None or self.until is not None


@value_type
class RunQueryResult:
    """The lines that were asked for, in order and cut to the limit.

    `matched` counts them before the cut, `undated` those that were left out of a span of time because they state none.
    `unknown` says of each value that no line has what it may have meant.
    """

    source: SealedRef
    records: tuple[Record, ...]
    matched: int
    undated: int
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `runs --json`: each line as the registry has it, with its states."""
        return {
            "records": [{**record, "states": list(states_of(record))} for record in self.records],
            "count": len(self.records),
            "matched": self.matched,
            "undated": self.undated,
            "run_registry": self.source.to_json(),
        }


def is_record(value: Any) -> bool:
    """Tell whether a value has what a line of a run registry must have to be asked (SPEC 4.1)."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("run_key", "run_root", "run_id"))
        and all(isinstance(value.get(name, 0), str | None) for name in ("created_utc", "operation_id", "option"))
        and all(isinstance(value.get(name), bool) for name in _FLAGS)
        and isinstance(value.get("warnings"), list)
    )


_FLAGS: Final = ("has_run_json", "has_manifest_sha256", "has_manifest_json")


def states_of(record: Record) -> tuple[str, ...]:
    """Return the states of a line; its seal is told by which files exist, not by whether they hold."""
    seal_files = bool(record["has_manifest_json"]) + bool(record["has_manifest_sha256"])
    is_read = record["has_run_json"] or any(str(each).startswith(ADAPTED) for each in record["warnings"])
    told = (
        (("unsealed", "partial", "sealed")[seal_files], True),
        ("legacy", not is_read or record["operation_id"] is None),
        ("warned", bool(record["warnings"])),
    )
    return tuple(state for state, holds in told if holds)


def select_runs(
    source: SealedRef, lines: Iterable[bytes], asked: RunQuery, *, order: Order = "newest", limit: int = 0
) -> RunQueryResult:
    """Return the lines of a run registry that are asked for; at most `limit` of them (0: all).

    A line is parsed while it passes by and again only if it is told, so that memory holds no more than the bytes.

    Raises:
        ValueError: a line is no record of SPEC 4.1.
    """
    found: list[_Found] = []
    undated = 0
    held: dict[str, set[str | None]] = {field: set() for field, _ in asked.values()}
    for line in lines:
        record = _parsed(line)
        for field, seen in held.items():
            seen.add(record[field])
        if not _holds(record, asked):
            continue
        instant = parse_instant(record["created_utc"])
        if asked.has_span and instant is None:
            undated += 1
        elif instant is None or _is_within(instant, asked):
            found.append((instant, record["run_key"], line))
    ordered = _ordered(found, order)
    records = tuple(_parsed(line) for _, _, line in (ordered[:limit] if limit else ordered))
    return RunQueryResult(source, records, len(found), undated, () if found else tuple(_unknown(held, asked)))


_Found = tuple[datetime | None, str, bytes]


def _parsed(line: bytes) -> Record:
    try:
        value = read_finite_json(line)
    except RecursionError:
        value = None
    if not is_record(value):
        raise ValueError("a line is no record of a run")
    record: Record = value
    return record


def _holds(record: Record, asked: RunQuery) -> bool:
    if any(record[field] not in values for field, values in asked.values()):
        return False
    return not asked.states or not asked.states.isdisjoint(states_of(record))


def _is_within(instant: datetime, asked: RunQuery) -> bool:
    return (asked.since is None or asked.since <= instant) and (asked.until is None or instant <= asked.until)


def _ordered(found: list[_Found], order: Order) -> list[_Found]:
    """Order lines by the instants that they state; those that state none come last either way."""
    if order == "registry":
        return found
    known = [each for each in found if each[0] is not None]
    known.sort(key=lambda each: each[:2], reverse=order == "newest")
    return [*known, *(each for each in found if each[0] is None)]


def _unknown(held: Mapping[str, set[str | None]], asked: RunQuery) -> Iterable[str]:
    for field, values in asked.values():
        known = {value for value in held[field] if value is not None}
        for value in sorted(values - known):
            near = difflib.get_close_matches(value, known, n=1)
            yield f"no run has the {field} {value!r}{f'; did you mean {near[0]!r}?' if near else ''}"


@value_type
class RunDocument:
    """One run folder as it is now; `active_for` are the registries whose pointers name exactly this content."""

    verdict: Verdict
    report: SealReport
    active_for: tuple[str, ...]
    activations: tuple[ActivationEntry, ...]

    @property
    def inputs(self) -> Inputs:
        """What the run records that it was built from."""
        return Inputs.from_json((self.report.run_json or {}).get("inputs"))

    def to_json(self) -> dict[str, Any]:
        """Return the document of `show --json`."""
        verdict = self.verdict
        return {
            "path": verdict.path,
            "run_id": verdict.run_id,
            "registry_id": verdict.registry_id,
            "verdict": verdict.verdict,
            "root_sha256": verdict.root_sha256,
            "active_for": list(self.active_for),
            "run": None if self.report.run_json is None else dict(self.report.run_json),
            "inputs": self.inputs.to_json(),
            "files": [{"relpath": e.relpath, "bytes": e.bytes, "sha256": e.sha256} for e in self.report.entries],
            "activations": [entry.to_json() for entry in self.activations],
            "findings": [f.to_json() for f in verdict.findings],
        }
