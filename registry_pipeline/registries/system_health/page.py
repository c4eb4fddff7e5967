"""Render the health page: one HTML file that loads nothing from elsewhere.

The same values give the same bytes. What a list leaves out is counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from string import ascii_uppercase, digits
from typing import Any, Final, Literal

from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.base.values import (
    COVERAGE_LEVELS,
    ENFORCED_LEVEL,
    OperationCounts,
    is_stale_age,
    last_second,
)
from registry_pipeline.registries.system_health.build import HealthCondition, HealthState
from registry_pipeline.registries.system_health.charts import (
    DAY_WIDTH,
    ChartGroup,
    Series,
    draw_charts,
    draw_ticks,
    find_first_day,
    find_percent,
    format_day,
)
from registry_pipeline.registries.system_health.template import render_template
from registry_pipeline.values import value_type

PAGE: Final = "system_health.html"
MAX_OPERATIONS: Final = 200
MAX_CONDITIONS: Final = 20
MAX_NAMES: Final = 3
MAX_FINDINGS: Final = 40
MAX_ACTIVATIONS: Final = 20
STATES: Final = {
    "HEALTHY": ("Healthy", "nothing needs attention", "good"),
    "DEGRADED_NON_BLOCKING": ("Degraded", "nothing is blocked", "warn"),
    "UNKNOWN": ("Unknown", "something could not be determined", "warn"),
    "DEGRADED_BLOCKING": ("Degraded", "evidence is invalid", "bad"),
    "RECOVERY_REQUIRED": ("Recovery required", "nothing can be activated", "bad"),
}
"""By health state: a word, the meaning, and the mood of its colour."""
DRIFT_REASONS: Final = {
    "op_drift_commit_mismatch": (
        "code changed since",
        "The repository is at another commit than the one of the last run.",
        'Run it again, or set `op_drift = "paths"` in the toml: then only commits that changed its executables count.',
    ),
    "op_drift_paths_touched": (
        "executable changed since",
        "A commit since the last run changed an executable that the operation binds.",
        "Run the operation again.",
    ),
    "op_drift_last_run_dirty": (
        "ran on a dirty tree",
        "The last run used changes that no commit contains, so nobody can repeat it.",
        "Commit what belongs to it, then run the operation again.",
    ),
}
"""By reason of op_status_table: a word, the meaning, and what to do."""
_PLAIN: Final = frozenset(f"{ascii_uppercase}{digits}-")
_MAX_PLAIN: Final = 60
DAILY: Final = "drift_signals_daily"


CheckState = Literal["valid", "invalid", "missing", "unknown"]
"""Whether an active run verifies, and has its schema; `unknown` if none is active."""


@value_type
class PageRun:
    """A run of an operation: when it was made, in UTC, and whether the folder has both seal files."""

    created: datetime
    sealed: bool
    run_id: str = ""
    run_root: str = ""
    created_utc: str = ""
    # One of the two seal files exists.
    is_partial: bool = False
    git_commit: str | None = None
    working_tree_state: str | None = None


@value_type
class PageOperation:
    """An operation of the active status table, with its runs in the days of the page."""

    operation_id: str
    name: str
    option: str
    coverage_level: str
    # OBSERVED, LEGACY_ONLY or UNOBSERVED.
    evidence: str
    age_days: int | None
    limit_days: int
    is_stale: bool
    drift_reasons: tuple[str, ...]
    runs: tuple[PageRun, ...] = ()
    # The usual gap between runs in days, if it is at least the limit.
    usual_gap_days: int | None = None
    last_run_id: str | None = None
    last_run_utc: str | None = None
    warnings: tuple[str, ...] = ()


@value_type
class PageRegistry:
    """A registry that is in use: its active run, if any, and who activated it, when and why."""

    registry_id: str
    run_id: str | None
    root_sha256: str | None
    check: CheckState
    age_days: int | None
    activated_utc: str | None
    actor: str | None
    reason: str | None


@value_type
class PageActivation:
    """A record of the activation chain."""

    run_id: str
    created_utc: str
    action: str
    actor: str
    reason: str
    registries: tuple[str, ...]


@value_type
class PageFinding:
    """Evidence that needs attention, and the command that says more or repairs it."""

    code: str
    severity: str
    path: str
    message: str
    next_step: str


@value_type
class PageDay:
    """The figures of one day of drift_signals_daily, or of the page itself."""

    day: date
    total: int
    observed: int
    stale: int
    drifting: int
    coverage_below_c3: int
    # The drift of the schema version and of the threshold version; None if unknown.
    schema_drift: bool | None
    threshold_drift: bool | None


@value_type
class HealthPage:
    """Everything that the page shows."""

    title: str
    run_id: str
    rendered: datetime
    commit: str | None
    working_tree_state: str | None
    health: HealthState
    operations: tuple[PageOperation, ...]
    counts: OperationCounts
    registries: tuple[PageRegistry, ...]
    unused_registries: tuple[str, ...]
    # The run folders of the active run registry by seal state: sealed, partial, unsealed.
    runs_by_seal: Mapping[str, int]
    # The last one is the day of the page.
    days: tuple[PageDay, ...]
    # The first day that can be built; None if the repository has no history.
    history_start: date | None
    # None if an operation or an option has a limit of its own.
    default_limit_days: int | None
    activations: tuple[PageActivation, ...]
    earlier_activations: int
    findings: tuple[PageFinding, ...]
    # Says that the ages of operations are outdated; "" if they are not.
    outdated: str = ""


def render_health_page(page: HealthPage, links: Mapping[str, str] | None = None, unsealed: str = "") -> bytes:
    """Return the page as UTF-8.

    In a folder of pages `links` has the address of the page of each operation. `unsealed` says how to get a sealed
    page, for a page that is in no run folder.
    """
    last = page.rendered.date()
    first = find_first_day(last)
    ordered, conditions = sorted(page.operations, key=_make_urgency_key), page.health.conditions
    shown = ordered[:MAX_OPERATIONS]
    word, meaning, mood = STATES[page.health.state]
    filters = _make_filters(page)
    charts = draw_charts(_make_charts(page, last), last)
    return render_template(
        "page.html",
        title=page.title,
        unsealed=unsealed,
        folder=None if links is None else "",
        page=page,
        state={"word": word, "meaning": meaning, "mood": mood},
        conditions=[_describe_condition(c, page, ordered, links or {}) for c in conditions[:MAX_CONDITIONS]],
        more_conditions=max(0, len(conditions) - MAX_CONDITIONS),
        tiles=_make_tiles(page, charts["charts"], filters),
        filters=filters,
        folded=bool(filters) and 0 < filters[0][2] < filters[-1][2] and filters[0][0] == "attention",
        operations=[describe_operation(operation, last, links or {}) for operation in shown],
        more_operations=[
            {"id": operation.operation_id, "link": (links or {}).get(operation.operation_id)}
            for operation in ordered[MAX_OPERATIONS:]
        ],
        rare=sum(operation.usual_gap_days is not None for operation in page.operations),
        findings=page.findings[:MAX_FINDINGS],
        folders=_describe_folders(page.runs_by_seal),
        loose=_list_loose_folders(page.runs_by_seal),
        more_findings=max(0, len(page.findings) - MAX_FINDINGS),
        activations=page.activations[:MAX_ACTIVATIONS],
        more_activations=max(0, len(page.activations) - MAX_ACTIVATIONS) + page.earlier_activations,
        levels=_count_levels(page.operations),
        registries=sorted(page.registries, key=lambda registry: registry.check == "valid"),
        valid=sum(registry.check == "valid" for registry in page.registries),
        activated={(registry.activated_utc, registry.actor, registry.reason) for registry in page.registries},
        charts=charts,
        first=first,
        last=last,
    )


def _make_charts(page: HealthPage, last: date) -> ChartGroup:
    """Return the figures over the days: the first four are the curves of the tiles, all are in the table."""
    flags = (
        Series("Schema version drifts", _read_figure(page.days, "schema_drift"), "late", "flag"),
        Series("Thresholds drift", _read_figure(page.days, "threshold_drift"), "late", "flag"),
    )
    return ChartGroup("Figures", (*chart_operations(page.days), *flags), advise_on_history(page.history_start, last))


def chart_operations(days: Sequence[PageDay]) -> tuple[Series, ...]:
    """Return how many operations ran, are stale and drift, and which share is covered, over the days."""
    most = max((day.total for day in days), default=0)
    covered = {
        day.day: find_percent(day.total - day.coverage_below_c3, day.total) if day.total else None for day in days
    }
    return (
        Series("Operations that ran", _read_figure(days, "observed"), top=most),
        Series("Stale", _read_figure(days, "stale"), "late", top=most),
        Series("Drifting", _read_figure(days, "drifting"), "late", top=most),
        Series(f"Covered at {ENFORCED_LEVEL} or above", covered, unit=" %", top=100),
    )


def _read_figure(days: Sequence[PageDay], name: str) -> dict[date, float | None]:
    return {day.day: getattr(day, name) for day in days}


def advise_on_history(history_start: date | None, last: date) -> str:
    """Return what makes the curves of a page that has none; days are built up to yesterday."""
    if history_start is None:
        return "No history yet: set `history_start` in registry-pipeline.toml first."
    first, yesterday = max(find_first_day(last), history_start), last - timedelta(1)
    if yesterday < first:
        return f"No history yet: its first day, {first}, is not over."
    days = f"{first}..{yesterday}"
    return f"No history yet: `registry-pipeline build {DAILY} --as-of {days}` computes it from git and the run folders."


def _describe_condition(
    condition: HealthCondition, page: HealthPage, ordered: Sequence[PageOperation], links: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the page shows of a condition: since when, and the first operations that it is about."""
    about = [operation for operation in ordered if condition.subject in _find_groups(operation)]
    named = about[:MAX_NAMES]
    return {
        "condition": condition,
        "mood": "warn" if condition.state in ("DEGRADED_NON_BLOCKING", "UNKNOWN") else "bad",
        "history": " · ".join(_describe_history(condition.subject, page)) if condition.subject else "",
        "operations": [
            (links.get(operation.operation_id, f"#{make_anchor(operation.operation_id)}"), operation.name)
            for operation in named
        ],
        "more": len(about) - len(named),
    }


def _describe_history(subject: str, page: HealthPage) -> Iterator[str]:
    """Yield since when a figure is not zero, and a count of a week ago, as far as the days are known."""
    by_day, last = {day.day: getattr(day, subject) for day in page.days}, page.rendered.date()
    start = last
    while by_day.get(start - timedelta(1)):
        start -= timedelta(1)
    # The day before is known, or it was unknown: then the figure may be older.
    before, age = by_day.get(start - timedelta(1)), (last - start).days
    if before is not None or age:
        words = "since" if before is not None else "at least since"
        yield f"{words} {format_day(start, with_year=True)}"
    a_week_ago = by_day.get(last - timedelta(7))
    if a_week_ago is not None and not isinstance(a_week_ago, bool):
        yield f"{a_week_ago} a week ago"
    elif age:
        yield f"{plural(age, 'day')} ago"


def make_anchor(operation_id: str) -> str:
    """Return a name for an operation in addresses and files, which no other operation has."""
    # Ids as the catalog prescribes them are kept; what an older table may contain is hashed.
    if operation_id.startswith("OP-") and len(operation_id) <= _MAX_PLAIN and _PLAIN.issuperset(operation_id):
        return operation_id
    return f"id-{sha256(operation_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _find_groups(operation: PageOperation) -> list[str]:
    """Return the groups of an operation that the page can show alone, by the names of `OperationCounts`."""
    groups = {
        "stale": operation.is_stale,
        "drifting": bool(operation.drift_reasons),
        "coverage_below_c3": operation.coverage_level < ENFORCED_LEVEL,
        "no_run": operation.evidence != "OBSERVED",
    }
    return [name for name, is_member in groups.items() if is_member]


def _make_filters(page: HealthPage) -> list[tuple[str, str, int]]:
    """Return anchor, label and number of each group of operations that is not empty, and of all."""
    counts = Counter(group for operation in page.operations for group in _find_groups(operation))
    attention = sum(not set(_find_groups(operation)) <= {"no_run"} for operation in page.operations)
    labels = {"attention": "Needs attention", "stale": "Stale", "drifting": "Drifting"}
    labels |= {"coverage_below_c3": f"Below {ENFORCED_LEVEL}", "no_run": "No run"}
    counts["attention"] = attention
    groups = [(name, label, counts[name]) for name, label in labels.items() if counts[name]]
    return [*groups, ("all", "All", len(page.operations))] if groups else []


def _make_urgency_key(operation: PageOperation) -> tuple[bool, float, bool, bool, float, str]:
    """Return a key that puts the most stale operation first, then drifting and uncovered ones, then the oldest."""
    age, limit = operation.age_days, max(operation.limit_days, 1)
    share = 0.0 if age is None else age / limit
    return (
        not operation.is_stale,
        -share if operation.is_stale else 0.0,
        not operation.drift_reasons,
        operation.coverage_level >= ENFORCED_LEVEL,
        -share,
        operation.operation_id,
    )


def describe_operation(operation: PageOperation, last: date, links: Mapping[str, str]) -> dict[str, Any]:
    """Return what the row of an operation shows; x is in units of the strip."""
    first = find_first_day(last)
    runs = [run for run in operation.runs if first <= run.created.date() <= last]
    late = _find_stale_days(operation, first, last)
    return {
        "operation": operation,
        "anchor": make_anchor(operation.operation_id),
        "groups": " ".join(_find_groups(operation)),
        "link": links.get(operation.operation_id, ""),
        "label": plural(len(runs), "run") + (f", stale on {plural(len(late), 'day')}" if late else ""),
        "sealed": draw_ticks(sorted({run.created.date() for run in runs if run.sealed}), first),
        "unsealed": draw_ticks(sorted({run.created.date() for run in runs if not run.sealed}), first),
        "late": _draw_spans(late, first),
        "drift": [DRIFT_REASONS.get(reason, (reason,))[0] for reason in operation.drift_reasons],
        "level": int(level) if (level := operation.coverage_level[1:2]) in set("12345") else 0,
    }


def _find_stale_days(operation: PageOperation, first: date, last: date) -> list[date]:
    """Return the days of the page at whose end the operation was stale; the last day is the page's, and not over."""
    moments = sorted(run.created for run in operation.runs)
    days = []
    for day in (first + timedelta(number) for number in range((last - first).days)):
        end = last_second(day)
        number = bisect_right(moments, end)
        if number and is_stale_age((end - moments[number - 1]).days, operation.limit_days):
            days.append(day)
    return [*days, last] if operation.is_stale else days


def _draw_spans(days: Sequence[date], first: date) -> str:
    """Return a path with a line for each span of days that follow each other."""
    spans: list[list[int]] = []
    for number in ((day - first).days for day in days):
        if spans and sum(spans[-1]) == number:
            spans[-1][1] += 1
        else:
            spans.append([number, 1])
    return "".join(f"M{start * DAY_WIDTH} 6h{count * DAY_WIDTH}" for start, count in spans)


def _make_tiles(
    page: HealthPage, charts: Sequence[Mapping[str, Any]], filters: Sequence[tuple[str, str, int]]
) -> list[dict[str, Any]]:
    """Return the figures at the top: a number, what it is, its rows, and its curve, or its share without history."""
    counts, total = page.counts, page.counts.total
    enforced = total - counts.coverage_below_c3
    percent = "none" if total == 0 else f"{100 * enforced / total:.0f} %"
    figures = (
        (f"{counts.observed} / {total}", "operations ran", "no_run", counts.observed, "tick"),
        (str(counts.stale), "stale", "stale", counts.stale, "late"),
        (str(counts.drifting), "drifting", "drifting", counts.drifting, "late"),
        (percent, f"covered at {ENFORCED_LEVEL} or above", "coverage_below_c3", enforced, "tick"),
    )
    anchors = {anchor for anchor, _, _ in filters}
    return [
        {
            "number": number,
            "label": label,
            "anchor": anchor if anchor in anchors else "",
            "share": find_percent(part, total),
            "mood": mood,
            "chart": charts[position] if charts else None,
        }
        for position, (number, label, anchor, part, mood) in enumerate(figures)
    ]


def _describe_folders(runs_by_seal: Mapping[str, int]) -> dict[str, Any]:
    """Return the number of run folders, and the share of each seal state in percent with its class."""
    moods = {"sealed": "tick", "partial": "late", "unsealed": "dim"}
    total = sum(runs_by_seal.values())
    shares = [(find_percent(runs_by_seal.get(name, 0), total), mood) for name, mood in moods.items()]
    counts = ", ".join(f"{runs_by_seal.get(name, 0):,} {name}".replace(",", " ") for name in moods)
    return {"total": f"{total:,}".replace(",", " "), "counts": counts, "shares": shares}


def _list_loose_folders(runs_by_seal: Mapping[str, int]) -> list[tuple[str, int, str, str]]:
    """Return the seal states that prove nothing, with the number of run folders, the meaning, and a command."""
    states = (
        ("partial", "one of the two seal files is missing", "registry-pipeline verify --all"),
        ("unsealed", "nothing shows later whether they were altered", "registry-pipeline seal PATH"),
    )
    rows = [(name, runs_by_seal.get(name, 0), meaning, command) for name, meaning, command in states]
    return [row for row in rows if row[1]]


def _count_levels(operations: Sequence[PageOperation]) -> list[dict[str, Any]]:
    """Return each coverage level with its number of operations, and their share of the most frequent one's."""
    counts = Counter([operation.coverage_level for operation in operations])
    most = max(counts.values(), default=0)
    return [
        {"level": level, "count": count, "share": find_percent(count, most), "enforced": level >= ENFORCED_LEVEL}
        for level, count in ((level, counts[level]) for level in sorted({*COVERAGE_LEVELS, *counts}))
    ]
