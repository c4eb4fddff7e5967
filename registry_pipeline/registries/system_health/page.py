"""Render the health page: one HTML file that loads nothing from elsewhere.

The same values give the same bytes. What a list leaves out is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal

from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.base.values import COVERAGE_LEVELS, ENFORCED_LEVEL, OperationCounts
from registry_pipeline.registries.system_health.build import HealthState
from registry_pipeline.registries.system_health.charts import (
    DAY_WIDTH,
    DAYS,
    ChartGroup,
    Series,
    draw_charts,
    draw_ticks,
    find_first_day,
)
from registry_pipeline.registries.system_health.template import render_template
from registry_pipeline.values import value_type

PAGE: Final = "system_health.html"
MAX_OPERATIONS: Final = 200
MAX_FINDINGS: Final = 40
MAX_ACTIVATIONS: Final = 20
_STATES: Final = {
    "HEALTHY": ("Healthy", "nothing needs attention", "good"),
    "DEGRADED_NON_BLOCKING": ("Degraded", "nothing is blocked", "warn"),
    "UNKNOWN": ("Unknown", "something could not be determined", "warn"),
    "DEGRADED_BLOCKING": ("Degraded", "evidence is invalid", "bad"),
    "RECOVERY_REQUIRED": ("Recovery required", "nothing can be activated", "bad"),
}
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
DAILY: Final = "drift_signals_daily"


CheckState = Literal["valid", "invalid", "missing", "unknown"]
"""Whether an active run verifies, and has its schema; `unknown` if none is active."""


@value_type
class PageRun:
    """A run of an operation: the day, and whether the folder has both seal files."""

    day: date
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
    """One day of drift_signals_daily."""

    day: date
    observed: int
    stale: int
    drifting: int
    # The drift of the schema version and of the threshold version; None if unknown.
    schema_drift: bool | None
    threshold_drift: bool | None


@value_type
class PageInput:
    """An active run that the page is made from."""

    registry_id: str
    run_id: str
    root_sha256: str


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
    days: tuple[PageDay, ...]
    activations: tuple[PageActivation, ...]
    earlier_activations: int
    findings: tuple[PageFinding, ...]
    inputs: tuple[PageInput, ...]
    # Says that the ages of operations are outdated; "" if they are not.
    outdated: str = ""


def render_health_page(page: HealthPage, links: Mapping[str, str] | None = None, unsealed: str = "") -> bytes:
    """Return the page as UTF-8.

    In a folder of pages `links` has the address of the page of each operation. `unsealed` says how to get a sealed
    page, for a page that is in no run folder.
    """
    last = page.rendered.date()
    first = find_first_day(last)
    ordered = sorted(page.operations, key=_make_urgency_key)
    shown = ordered[:MAX_OPERATIONS]
    word, meaning, mood = _STATES[page.health.state]
    return render_template(
        "page.html",
        title=page.title,
        unsealed=unsealed,
        folder=None if links is None else "",
        page=page,
        state={"word": word, "meaning": meaning, "mood": mood},
        tiles=_make_tiles(page),
        operations=[describe_operation(operation, last, links or {}) for operation in shown],
        more_operations=[
            {"id": operation.operation_id, "link": (links or {}).get(operation.operation_id)}
            for operation in ordered[MAX_OPERATIONS:]
        ],
        findings=page.findings[:MAX_FINDINGS],
        loose=_list_loose_folders(page.runs_by_seal),
        more_findings=max(0, len(page.findings) - MAX_FINDINGS),
        activations=page.activations[:MAX_ACTIVATIONS],
        more_activations=max(0, len(page.activations) - MAX_ACTIVATIONS) + page.earlier_activations,
        levels=_count_levels(page.operations),
        charts=draw_charts(_make_charts(page.days, first, last), last),
        first=first,
        last=last,
    )


def _make_charts(days: Sequence[PageDay], first: date, last: date) -> ChartGroup:
    """Return the figures over the days that matter at a glance."""

    def count(name: str) -> dict[date, float | None]:
        return {day.day: getattr(day, name) for day in days}

    return ChartGroup(
        "The last days",
        (
            Series("Stale", count("stale"), "late"),
            Series("Drifting", count("drifting"), "late"),
            Series("Operations that ran", count("observed")),
            Series("Schema version drifts", count("schema_drift"), "late", "flag"),
            Series("Thresholds drift", count("threshold_drift"), "late", "flag"),
        ),
        f"No history yet: `registry-pipeline build {DAILY} --as-of {first}..{last}` computes it from git and the run "
        "folders.",
    )


def _make_urgency_key(operation: PageOperation) -> tuple[bool, float, bool, float, str]:
    """Return a key that puts the most overdue operation first, then drifting ones, then the oldest."""
    age, limit = operation.age_days, max(operation.limit_days, 1)
    share = 0.0 if age is None else age / limit
    return (
        not operation.is_stale,
        -share if operation.is_stale else 0.0,
        not operation.drift_reasons,
        -share,
        operation.operation_id,
    )


def describe_operation(operation: PageOperation, last: date, links: Mapping[str, str]) -> dict[str, Any]:
    """Return what the row of an operation shows; x is in units of the strip."""
    first = find_first_day(last)
    runs = [run for run in operation.runs if first <= run.day <= last]
    late = _find_late_spans(operation, [run.day for run in operation.runs], first, last)
    return {
        "operation": operation,
        "link": links.get(operation.operation_id, ""),
        "label": plural(len(runs), "run") + (f", overdue on {plural(sum(n for _, n in late), 'day')}" if late else ""),
        "sealed": draw_ticks(sorted({run.day for run in runs if run.sealed}), first),
        "unsealed": draw_ticks(sorted({run.day for run in runs if not run.sealed}), first),
        "late": "".join(f"M{(start - first).days * DAY_WIDTH} 13h{count * DAY_WIDTH}" for start, count in late),
        "width": DAYS * DAY_WIDTH,
        "drift": [DRIFT_REASONS.get(reason, (reason,))[0] for reason in operation.drift_reasons],
        "level": int(level) if (level := operation.coverage_level[1:2]) in set("12345") else 0,
    }


def _find_late_spans(operation: PageOperation, days: Sequence[date], first: date, last: date) -> list[tuple[date, int]]:
    """Return the first day and the length of each span of the page in which the operation was stale."""
    spans = []
    known = sorted(set(days))
    for run, following in pairwise([*known, last + timedelta(1)]):
        start, end = max(run + timedelta(operation.limit_days), first), min(following, last + timedelta(1))
        if start < end and operation.limit_days > 0:
            spans.append((start, (end - start).days))
    return spans


def _make_tiles(page: HealthPage) -> list[dict[str, Any]]:
    """Return the figures at the top: a number, what it is, and shares of a bar in percent with their class."""
    counts, total = page.counts, page.counts.total
    enforced = total - counts.coverage_below_c3
    sealed, partial, unsealed = (page.runs_by_seal.get(name, 0) for name in ("sealed", "partial", "unsealed"))
    runs = sealed + partial + unsealed
    percent = "none" if total == 0 else f"{100 * enforced / total:.0f} %"
    return [
        {
            "number": f"{counts.observed} / {total}",
            "label": "operations ran",
            "bar": [(_share(counts.observed, total), "tick")],
        },
        {"number": str(counts.stale), "label": "past their limit", "bar": [(_share(counts.stale, total), "late")]},
        {"number": str(counts.drifting), "label": "drifting", "bar": [(_share(counts.drifting, total), "late")]},
        {"number": percent, "label": "covered at C3 or above", "bar": [(_share(enforced, total), "tick")]},
        {
            "number": f"{runs:,}".replace(",", " "),
            "label": f"run folders: {sealed} sealed, {partial} partial, {unsealed} unsealed",
            "bar": [(_share(sealed, runs), "tick"), (_share(partial, runs), "late"), (_share(unsealed, runs), "dim")],
        },
    ]


def _list_loose_folders(runs_by_seal: Mapping[str, int]) -> list[tuple[str, int, str, str]]:
    """Return the seal states that prove nothing, with the number of run folders, the meaning, and a command."""
    states = (
        ("partial", "one of the two seal files is missing", "registry-pipeline verify --all"),
        ("unsealed", "nothing shows later whether they were altered", "registry-pipeline seal PATH"),
    )
    rows = [(name, runs_by_seal.get(name, 0), meaning, command) for name, meaning, command in states]
    return [row for row in rows if row[1]]


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _count_levels(operations: Sequence[PageOperation]) -> list[dict[str, Any]]:
    """Return each coverage level with its number of operations, and their share of the most frequent one's."""
    counts = Counter([operation.coverage_level for operation in operations])
    most = max(counts.values(), default=0)
    return [
        {"level": level, "count": count, "share": _share(count, most), "enforced": level >= ENFORCED_LEVEL}
        for level, count in ((level, counts[level]) for level in sorted({*COVERAGE_LEVELS, *counts}))
    ]
