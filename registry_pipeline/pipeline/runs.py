"""Query the run registry (`runs`), and describe one run folder (`show`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from registry_pipeline.canonical import parse_finite_json, parse_instant
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.findings.finding import did_you_mean
from registry_pipeline.pointers.chain import SealedRecord
from registry_pipeline.pointers.find_runs import FoundRun
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.check_run import check_run
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.catalog import SHIPPED, Catalog, catalog_of
from registry_pipeline.registries.validation import verify_with_artifacts
from registry_pipeline.runs.envelope import ADAPTED, Inputs
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.values import value_type

Record = Mapping[str, Any]
Order = Literal["newest", "oldest", "registry"]
ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest", "registry")
STATES: Final = ("sealed", "partial", "unsealed", "legacy", "warned")
_FLAGS: Final = ("has_run_json", "has_manifest_sha256", "has_manifest_json")
_DatedLine = tuple[datetime | None, str, bytes]


@value_type
class RunQuery:
    """The conditions of a query: each non-empty set must contain the value of a record, and the span its time."""

    operations: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    run_roots: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    # Both ends are included. A record without a time, or with one without a zone, is in no span.
    since: datetime | None = None
    until: datetime | None = None
    # The publish root whose own runs of this tool are left out; None leaves out none.
    without_own: str | None = None

    def values(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Return the non-empty conditions on `operation_id`, `option` and `run_root`: field and allowed values."""
        fields = (("operation_id", self.operations), ("option", self.options), ("run_root", self.run_roots))
        return tuple((field, values) for field, values in fields if values)


@value_type
class RunQueryResult:
    """The selected records, ordered and cut to the limit, and the run registry that they are from."""

    source: SealedRef
    records: tuple[Record, ...]
    matched: int  # before the cut
    undated: int  # left out of the span, because they have no time
    own: int  # left out, because this tool sealed them
    unknown: tuple[str, ...]  # a line for each requested value that no record has; empty if any record matched

    def to_json(self) -> dict[str, Any]:
        """Return the document of `runs --json`: each record with its states."""
        return {
            "records": [{**record, "states": list(list_states(record))} for record in self.records],
            "count": len(self.records),
            "matched": self.matched,
            "undated": self.undated,
            "own": self.own,
            "run_registry": self.source.to_json(),
        }


def is_run_record(value: Any) -> bool:
    """Return whether a value has the members of a run record that a query uses."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("run_key", "run_root", "run_id"))
        and all(isinstance(value.get(name, 0), str | None) for name in ("created_utc", "operation_id", "option"))
        and all(isinstance(value.get(name), bool) for name in _FLAGS)
        and isinstance(value.get("warnings"), list)
    )


def list_states(record: Record) -> tuple[str, ...]:
    """Return the states of a record: which seal files exist (not whether it verifies), then `legacy` and `warned`."""
    # manifest.json and MANIFEST.sha256: none, one of them, or both.
    seal_files = bool(record["has_manifest_json"]) + bool(record["has_manifest_sha256"])
    states = [("unsealed", "partial", "sealed")[seal_files]]
    # An adapter makes an envelope for the folders of tools that write none.
    has_envelope = record["has_run_json"] or any(str(warning).startswith(ADAPTED) for warning in record["warnings"])
    if not has_envelope or record["operation_id"] is None:
        states.append("legacy")
    if record["warnings"]:
        states.append("warned")
    return tuple(states)


def select_runs(
    source: SealedRef,
    lines: Iterable[bytes],
    query: RunQuery,
    *,
    catalog: Catalog = SHIPPED,
    order: Order = "newest",
    limit: int = 0,
) -> RunQueryResult:
    """Return the run records that match a query, in the given order; ValueError for a line that is no run record.

    `limit` cuts the records (0: no limit), but not the number of matches. In a query with a span, records without a
    time are only counted. "registry" keeps the order of `lines`; in the other orders records without a time are last.
    If nothing matches, the result explains which requested values no record has. `source` is named in the result.
    """
    matches: list[_DatedLine] = []
    undated = own = 0
    has_span = query.since is not None or query.until is not None
    seen: dict[str, set[str | None]] = {field: set() for field, _ in query.values()}
    # Keep the bytes of matching lines and parse the selected ones again: parsed records need far more memory.
    for line in lines:
        record = _parse_record(line)
        for field, values in seen.items():
            values.add(record[field])
        if not _matches_values_and_states(record, query):
            continue
        # `created_utc` is copied from run.json of any tool, so it may be missing or have no zone.
        instant = parse_instant(record["created_utc"])
        if has_span and instant is None:
            undated += 1
        elif instant is not None and not _is_in_span(instant, query):
            continue
        elif query.without_own is not None and catalog.is_own_run(
            query.without_own, record["run_root"], record["run_id"]
        ):
            own += 1
        else:
            matches.append((instant, record["run_key"], line))
    ordered = _sort_lines(matches, order)
    records = tuple(_parse_record(line) for _, _, line in (ordered[:limit] if limit else ordered))
    unknown = () if matches or own else tuple(_explain_unknown_values(seen, query))
    return RunQueryResult(source, records, len(matches), undated, own, unknown)


def _parse_record(line: bytes) -> Record:
    try:
        value = parse_finite_json(line)
    except RecursionError:
        value = None
    if not is_run_record(value):
        raise ValueError("a line is not a run record")
    record: Record = value
    return record


def _matches_values_and_states(record: Record, query: RunQuery) -> bool:
    """Return whether a record matches the query, apart from its span."""
    if any(record[field] not in values for field, values in query.values()):
        return False
    return not query.states or not query.states.isdisjoint(list_states(record))


def _is_in_span(instant: datetime, query: RunQuery) -> bool:
    return (query.since is None or query.since <= instant) and (query.until is None or instant <= query.until)


def _sort_lines(lines: list[_DatedLine], order: Order) -> list[_DatedLine]:
    """Return lines by time and run key, descending for "newest"; those without a time last, in the given order.

    "registry" is the given order.
    """
    if order == "registry":
        return lines
    # The run key decides between runs of the same second.
    dated = [line for line in lines if line[0] is not None]
    dated.sort(key=lambda line: line[:2], reverse=order == "newest")
    return [*dated, *(line for line in lines if line[0] is None)]


def _explain_unknown_values(seen: Mapping[str, set[str | None]], query: RunQuery) -> Iterable[str]:
    """Yield a line for each value of the query that is not in `seen` (values by field), with a similar value if any."""
    for field, values in query.values():
        known = {value for value in seen[field] if value is not None}
        for value in sorted(values - known):
            suggestion = did_you_mean(value, known)
            question = "" if suggestion is None else f"; did you mean {suggestion!r}?"
            yield f"no run has the {field} {value!r}{question}"


def read_runs(repository: Repository, query: RunQuery, order: Order, limit: int) -> RunQueryResult:
    """Return the records of the active run registry that match a query; the run is verified.

    Raises:
        NotFoundError: no run registry is active, or its folder is missing. EvidenceError: it does not verify.
    """
    advice = "run `registry-pipeline build`"
    ref = read_pointers(repository).active("run_registry")
    if ref is None:
        raise NotFoundError("no run_registry is active, so no runs can be listed", advice)
    if not run_folder(repository, ref).is_dir():
        raise NotFoundError(
            f"the folder of the active run_registry {ref.run_id} is missing", f"restore it, or {advice}"
        )
    # The lines are read from the verified artifact, not from the run folders: those may have changed since.
    data = read_sealed_report(repository, catalog_of(repository).spec_of("run_registry"), ref).kept[
        catalog_of(repository).spec_of("run_registry").artifact
    ]
    try:
        return select_runs(
            ref, filter(None, data.split(b"\n")), query, catalog=catalog_of(repository), order=order, limit=limit
        )
    except ValueError as error:
        raise EvidenceError(f"the run registry {ref.run_id} cannot be read: {error}", advice) from None


@value_type
class RunDocument:
    """One run folder and its verdict; `active_for` are the registries whose pointers name this run id and root."""

    verdict: Verdict
    report: SealReport
    active_for: tuple[str, ...]
    activations: tuple[SealedRecord, ...]

    @property
    def inputs(self) -> Inputs:
        """The inputs that run.json records; none if it cannot be read."""
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


def read_run_document(repository: Repository | None, found: FoundRun) -> RunDocument:
    """Verify one run folder and return its content, valid or not; without a repository no pointers are read."""
    specs = catalog_of(repository).registries
    report = verify_with_artifacts(found.path, found.shown, specs)
    verdict = check_run(report, specs)
    if repository is None:
        return RunDocument(verdict, report, (), ())
    refs = read_pointers(repository).active_refs().items()
    # Compare run id and root: a copy of the folder elsewhere has the same content, so it counts.
    active_for = tuple(
        name for name, ref in refs if (ref.run_id, ref.manifest_sha256) == (report.run_id, report.root_sha256)
    )
    activations = [record for record in read_chain_state(repository).records if report.run_id in record.run_ids]
    return RunDocument(verdict, report, active_for, tuple(activations))
