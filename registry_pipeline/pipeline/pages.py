"""Render a folder of unsealed pages: the health page, the history, and a page for each operation."""

from __future__ import annotations

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, timedelta
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import plural
from registry_pipeline.git.repository import read_tracked_paths
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.pipeline.day_runs import DAILY, SCORECARD, HistoryDay, read_scorecards
from registry_pipeline.pipeline.page_folder import OPERATIONS
from registry_pipeline.pipeline.rebuild import ReportSources
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.seal_build import list_own_paths
from registry_pipeline.registries.base.values import is_stale
from registry_pipeline.registries.scorecard.read import find_named_paths
from registry_pipeline.registries.system_health.charts import DAYS, ChartGroup, Series, draw_charts, find_first_day
from registry_pipeline.registries.system_health.page import (
    DRIFT_REASONS,
    PageOperation,
    PageRun,
    advise_on_history,
    chart_operations,
    describe_operation,
    make_anchor,
    render_health_page,
)
from registry_pipeline.registries.system_health.template import format_time, render_template

INDEX: Final = "index.html"
HISTORY: Final = "history.html"
MAX_RUNS: Final = 50
MAX_DOCUMENTS: Final = 20
_MAX_DOCUMENT_BYTES: Final = 1 << 20
_OPERATION_ID: Final = re.compile(r"(?<![\w-])OP-[A-Z]+[0-9]+(?![\w-])")


def render_pages(repository: Repository, sources: ReportSources) -> dict[str, bytes]:
    """Return the pages by their path in the folder: the index last, when all that it links to is written."""
    page, last = sources.page, sources.page.rendered.astimezone(UTC).date()
    files = {operation.operation_id: make_file_name(operation.operation_id) for operation in page.operations}
    unsealed = describe_unsealed(sources)
    common: dict[str, Any] = {"title": page.title, "unsealed": unsealed, "rendered": page.rendered, "last": last}
    common |= {"first": find_first_day(last)}
    # The last day of the page is its own, which no sealed run describes.
    operations = ChartGroup(
        "Operations", chart_operations(page.days[:-1]), advise_on_history(repository.config.history_start, last)
    )
    scorecards = _chart_scorecards(dict(read_scorecards(repository, last)))
    groups = [operations, *_chart_drift(sources.days), scorecards]
    documents = _Documents(repository)
    rows = _index_rows(sources.days)
    pages = {
        f"{OPERATIONS}/{files[operation.operation_id]}": render_template(
            "operation.html", folder="../", **common, **_describe(repository, operation, rows, last, documents)
        )
        for operation in page.operations
    }
    charts = [draw_charts(group, last) for group in groups]
    pages[HISTORY] = render_template("history.html", folder="", **common, groups=charts, sources=(DAILY, SCORECARD))
    links = {name: f"{OPERATIONS}/{file}" for name, file in files.items()}
    return pages | {INDEX: render_health_page(page, links, unsealed)}


def describe_unsealed(sources: ReportSources) -> str:
    """Return when an unsealed page was written, and how to get a sealed one."""
    return f"Written {format_time(sources.page.rendered)}. `registry-pipeline report` seals a page."


def render_unavailable_page(title: str, moment: str, message: str, advice: str) -> bytes:
    """Return the page that `report --watch` writes while no report can be rendered."""
    return render_template(
        "unavailable.html", title=title, unsealed=f"Written {moment}.", moment=moment, message=message, advice=advice
    )


def make_file_name(operation_id: str) -> str:
    """Return the name of the page of an operation, which no other operation has, whatever the file system."""
    return f"{make_anchor(operation_id)}.html"


def _chart_drift(days: Sequence[HistoryDay]) -> Iterator[ChartGroup]:
    reasons = {
        day.day: [reason for row in day.rows if row["op_drift"] for reason in row["op_drift_reasons"]] for day in days
    }
    kinds = sorted({*DRIFT_REASONS, *(reason for found in reasons.values() for reason in found)})
    counts = {kind: {day: found.count(kind) for day, found in reasons.items()} for kind in kinds}
    most = max((count for by_day in counts.values() for count in by_day.values()), default=0)
    advice = "No sealed day is known."
    unknown = {day.day: sum(row["op_drift"] is None for row in day.rows) for day in days}
    series = [
        Series(DRIFT_REASONS.get(kind, (kind,))[0].capitalize(), by_day, "late", top=most)
        for kind, by_day in counts.items()
    ]
    yield ChartGroup("Drifting operations by reason", (*series, Series("Drift unknown", unknown, "late")), advice)
    flags = (
        ("Schema version drifts", "schema_drift"),
        ("Thresholds drift", "threshold_drift"),
        ("Working tree dirty", "canon_dirty"),
    )
    versions = [Series(title, {day.day: day.drift[name] for day in days}, "late", "flag") for title, name in flags]
    yield ChartGroup("Drift of the whole repository", tuple(versions), advice)


def _chart_scorecards(scorecards: Mapping[date, Mapping[str, Any]]) -> ChartGroup:
    def read(section: str, *path: str) -> dict[date, float | None]:
        return {day: _find_figure(document[section], path) for day, document in scorecards.items()}

    found, orphaned = read("executables", "total"), read("executables", "orphaned")
    missing, sealed = read("executables", "missing"), read("registries", "sealed_with_source", "percent")
    most = max((value for values in (found, orphaned, missing) for value in values.values() if value), default=0)
    return ChartGroup(
        "Governance scorecard",
        (
            Series("Covered at C3 or above", read("operations", "c3_plus", "percent"), "tick", " %", 100),
            Series("Sealed, of registries with a source", sealed, "tick", " %", 100),
            Series("Pointers known", read("registries", "pointer_known")),
            Series("Executables found", found, top=most),
            Series("Executables that no operation names", orphaned, "late", top=most),
            Series("Executables missing", missing, "late", top=most),
        ),
        f"Fewer than two days have a scorecard: `registry-pipeline build {SCORECARD}` seals today's.",
    )


def _find_figure(value: Any, path: Iterable[str]) -> float | None:
    """Return a number of a scorecard, a list as its length; None if it is unknown, or older than the figure."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return len(value) if isinstance(value, list) else value


_RowsOfDays = Mapping[str, Mapping[date, Mapping[str, Any]]]


def _index_rows(days: Sequence[HistoryDay]) -> _RowsOfDays:
    """Return the rows of all days by operation id and day."""
    rows = defaultdict[str, dict[date, Mapping[str, Any]]](dict)
    for day in days:
        for row in day.rows:
            rows[row["operation_id"]][day.day] = row
    return rows


class _Documents:
    """The catalog of the working tree, and the tracked Markdown files that name operations."""

    def __init__(self, repository: Repository) -> None:
        self.tree = WorkingTree(repository.root)
        catalog, _ = read_operation_catalog(self.tree, repository.config)
        self.defined = {operation.operation_id: operation for operation in catalog.operations}
        self.named_paths = find_named_paths(catalog)
        self.places: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        own = (*(f"{path}/" for path in list_own_paths(repository)), *(f"{r}/" for r in repository.config.run_roots))
        for path in sorted(map(os.fsdecode, read_tracked_paths(repository.root) or ())):
            if path.endswith(".md") and not path.startswith(own):
                self._read(path)

    def _read(self, path: str) -> None:
        """Add the first place at which a document names each operation, with the title of the document."""
        try:
            data = self.tree.read(path)
        except OSError:
            return
        title, found = "document", dict[str, int]()
        for number, line in enumerate(data[:_MAX_DOCUMENT_BYTES].decode("utf-8", "replace").splitlines(), start=1):
            if title == "document" and line.startswith("# "):
                title = line[2:].strip() or title
            for name in _OPERATION_ID.findall(line):
                found.setdefault(name, number)
        for name, number in found.items():
            self.places[name].append((title, f"{path}:{number}"))

    def describe(self, operation_id: str) -> dict[str, Any]:
        """Return the documents and the executables of an operation, as its page shows them."""
        operation, places = self.defined.get(operation_id), self.places.get(operation_id, [])
        defined = [] if operation is None else [("defined in", f"{operation.source_path}:{operation.line}")]
        places = [*defined, *(place for place in places if not defined or place[1] != defined[0][1])]
        paths = {} if operation is None else {name: self.named_paths[name] for name in operation.executables}
        return {
            "documents": places[:MAX_DOCUMENTS],
            "more_documents": max(0, len(places) - MAX_DOCUMENTS),
            "executables": [(name, bool(p) and not any(map(self.tree.is_file, p))) for name, p in paths.items()],
        }


def _describe(
    repository: Repository, operation: PageOperation, rows: _RowsOfDays, last: date, documents: _Documents
) -> dict[str, Any]:
    """Return what the page of an operation shows."""
    runs = sorted(operation.runs, key=lambda run: (run.created_utc, run.run_id), reverse=True)
    state, next_step = _describe_state(operation)
    reasons = [DRIFT_REASONS.get(reason, (reason, "", "")) for reason in operation.drift_reasons]
    reasons += [("warning", text, "") for text in operation.warnings if text not in operation.drift_reasons]
    return {
        "operation": operation,
        "row": describe_operation(operation, last, {}),
        "state": state,
        "next_step": next_step,
        "reasons": reasons,
        "runs": [(run, _advise_on_run(run)) for run in runs[:MAX_RUNS]],
        "list_command": _format("runs", "--operation", operation.operation_id),
        "run_count": len(runs),
        "more_runs": max(0, len(runs) - MAX_RUNS),
        "since": find_first_day(last) - timedelta(DAYS),
        "history": draw_charts(_chart_operation(repository, rows.get(operation.operation_id, {}), last), last),
        **documents.describe(operation.operation_id),
    }


def _describe_state(operation: PageOperation) -> tuple[str, str]:
    """Return when an operation last ran, and what to do next."""
    record = _format("record", "--operation", operation.operation_id, "--")
    if operation.evidence == "LEGACY_ONLY":
        return "No run states this operation; there are runs that state none.", f"`{record} COMMAND` records a run"
    if operation.evidence != "OBSERVED" or operation.last_run_id is None:
        return "It never ran.", f"`{record} COMMAND` records a run"
    days = operation.age_days
    age = "at an unknown time" if days is None else f"{plural(days, 'day')} ago" if days >= 0 else "in the future"
    state = f"It last ran {age}: {operation.last_run_id}."
    if operation.is_stale:
        return f"Stale. {state}", f"`{record} COMMAND`, then `registry-pipeline build`"
    return state, _format("show", operation.last_run_id)


def _advise_on_run(run: PageRun) -> str:
    if run.sealed:
        return ""
    return _format("verify", run.run_id) if run.is_partial else _format("seal", f"{run.run_root}/{run.run_id}")


def _format(*words: str) -> str:
    """Return a command for a shell."""
    return shlex.join(("registry-pipeline", *words))


def _chart_operation(repository: Repository, rows: Mapping[date, Mapping[str, Any]], last: date) -> ChartGroup:
    limits = repository.config.stale_days
    return ChartGroup(
        "The last days",
        (
            Series("Stale", {day: is_stale(row, limits) for day, row in rows.items()}, "late", "flag"),
            Series("Drifting", {day: row["op_drift"] for day, row in rows.items()}, "late", "flag"),
            Series("Days since the last run", {day: row["staleness_days"] for day, row in rows.items()}, "tick", " d"),
        ),
        advise_on_history(repository.config.history_start, last),
    )
