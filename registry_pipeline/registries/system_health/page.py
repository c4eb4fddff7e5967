"""Render the health page: one HTML file that loads nothing from elsewhere.

The same values give the same bytes. What a list leaves out is counted.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.base.values import COVERAGE_LEVELS, ENFORCED_LEVEL, OperationCounts
from registry_pipeline.registries.system_health.build import HealthState
from registry_pipeline.values import value_type

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

PAGE: Final = "system_health.html"
DAYS: Final = 120
"""How many days before its own the page shows."""
MAX_OPERATIONS: Final = 200
MAX_FINDINGS: Final = 40
MAX_ACTIVATIONS: Final = 20
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Of a strip: a day is three units wide, and a run one unit.
_DAY: Final = 3
_STATES: Final = {
    "HEALTHY": ("Healthy", "nothing needs attention", "good"),
    "DEGRADED_NON_BLOCKING": ("Degraded", "nothing is blocked", "warn"),
    "UNKNOWN": ("Unknown", "something could not be determined", "warn"),
    "DEGRADED_BLOCKING": ("Degraded", "evidence is invalid", "bad"),
    "RECOVERY_REQUIRED": ("Recovery required", "nothing can be activated", "bad"),
}
_DRIFT_WORDS: Final = {
    "op_drift_commit_mismatch": "code changed since",
    "op_drift_last_run_dirty": "ran on a dirty tree",
}


CheckState = Literal["valid", "invalid", "missing", "unknown"]
"""Whether an active run verifies, and has its schema; `unknown` if none is active."""


@value_type
class PageRun:
    """A run of an operation: the day, and whether the folder has both seal files."""

    day: date
    sealed: bool


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


def find_first_day(last: date) -> date:
    """Return the first day of a page that ends with a day."""
    return last - timedelta(DAYS - 1)


def render_health_page(page: HealthPage) -> bytes:
    """Return the page as UTF-8."""
    last = page.rendered.date()
    first = find_first_day(last)
    ordered = sorted(page.operations, key=_make_urgency_key)
    shown = ordered[:MAX_OPERATIONS]
    word, meaning, mood = _STATES[page.health.state]
    text = _load_template().render(
        page=page,
        state={"word": word, "meaning": meaning, "mood": mood},
        tiles=_make_tiles(page),
        operations=[_describe_operation(operation, first, last) for operation in shown],
        more_operations=len(ordered) - len(shown),
        findings=page.findings[:MAX_FINDINGS],
        loose=_list_loose_folders(page.runs_by_seal),
        more_findings=max(0, len(page.findings) - MAX_FINDINGS),
        activations=page.activations[:MAX_ACTIVATIONS],
        more_activations=max(0, len(page.activations) - MAX_ACTIVATIONS) + page.earlier_activations,
        levels=_count_levels(page.operations),
        charts=_draw_charts(page.days, first),
        rendered=_format_time(page.rendered),
        first=first,
        last=last,
        months=_list_months(first, last),
        width=DAYS * _DAY,
        sort_script=_read_script(),
        script_hash=base64.b64encode(sha256(_read_script().encode()).digest()).decode(),
    )
    return text.encode("utf-8", "backslashreplace")


@cache
def _load_template() -> Template:
    # Only what renders a page pays for the import.
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415

    # Every value is escaped as it is inserted, and characters that change how others are shown become escapes.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["line"] = lambda text: printable(str(text))
    environment.filters |= {"sentence": _make_sentence, "person": _shorten_actor}
    environment.filters |= {"plural": plural, "age": _format_age, "commands": _mark_commands}
    return environment.from_string((files(__package__) / "page.html").read_text(encoding="utf-8"))


def _make_sentence(text: str) -> str:
    line = printable(text)
    return f"{line[:1].upper()}{line[1:]}{'' if line.endswith('.') else '.'}"


def _shorten_actor(actor: str | None) -> str:
    """Return the name of an actor, without the address that git adds."""
    return printable((actor or "").partition(" <")[0])


def _mark_commands(advice: str) -> Markup:
    """Return advice with its commands as code: what is between backticks, or all of it if it is a command."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - as in `_load_template`

    text = printable(advice)
    if text.startswith(("registry-pipeline ", "git ")):
        text = f"`{text}`"
    parts = (escape(part) for part in text.split("`"))
    # Every second part is between backticks.
    return Markup().join(Markup('<code class="do">{}</code>').format(p) if n % 2 else p for n, p in enumerate(parts))


@cache
def _read_script() -> str:
    return (files(__package__) / "sort.js").read_text(encoding="utf-8").strip()


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


def _format_age(days: int | None) -> str:
    """Return an age in days as people say it."""
    if days is None:
        return "unknown"
    return "today" if days == 0 else f"in {-days} d" if days < 0 else f"{days} d"


def _describe_operation(operation: PageOperation, first: date, last: date) -> dict[str, Any]:
    """Return what the row of an operation shows; x is in units of the strip."""
    runs = [run for run in operation.runs if first <= run.day <= last]
    late = _find_late_spans(operation, [run.day for run in operation.runs], first, last)
    return {
        "operation": operation,
        "label": plural(len(runs), "run") + (f", overdue on {plural(sum(n for _, n in late), 'day')}" if late else ""),
        "sealed": _draw_ticks(sorted({run.day for run in runs if run.sealed}), first),
        "unsealed": _draw_ticks(sorted({run.day for run in runs if not run.sealed}), first),
        "late": "".join(f"M{(start - first).days * _DAY} 13h{count * _DAY}" for start, count in late),
        "drift": [_DRIFT_WORDS.get(reason, reason) for reason in operation.drift_reasons],
        "level": int(level) if (level := operation.coverage_level[1:2]) in set("12345") else 0,
    }


def _draw_ticks(days: Sequence[date], first: date) -> str:
    """Return a path with a vertical line for each day."""
    return "".join(f"M{(day - first).days * _DAY + 1} 2v12" for day in days)


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


def _list_months(first: date, last: date) -> list[tuple[int, str]]:
    """Return the x of the first day of each month in the page, with its name."""
    days = [first + timedelta(number) for number in range((last - first).days + 1)]
    return [((day - first).days * _DAY, _MONTHS[day.month - 1]) for day in days if day.day == 1]


def _format_time(moment: datetime) -> str:
    # Not `strftime`, whose names depend on the locale.
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


# Of a small chart, in units.
_CHART_HEIGHT: Final = 60


def _draw_charts(days: Sequence[PageDay], first: date) -> list[dict[str, Any]]:
    """Return a small chart of each figure over the days; none without at least two days."""
    if len(days) < 2:
        return []
    figures: tuple[tuple[str, str, list[int]], ...] = (
        ("Stale", "late", [day.stale for day in days]),
        ("Drifting", "late", [day.drifting for day in days]),
        ("Versions drifting", "late", [[day.schema_drift, day.threshold_drift].count(True) for day in days]),
        ("Operations that ran", "tick", [day.observed for day in days]),
    )
    xs = [(day.day - first).days * _DAY for day in days]
    charts = []
    for title, mood, values in figures:
        top = max(*values, 1)
        heights = (_CHART_HEIGHT - 2 - round((_CHART_HEIGHT - 10) * value / top, 1) for value in values)
        points = list(zip(xs, heights, strict=True))
        charts.append(
            {
                "title": title,
                "mood": mood,
                "last": values[-1],
                "label": f"{title}, {days[0].day} to {days[-1].day}: {min(values)} to {max(values)}, now {values[-1]}",
                "path": _draw_steps(points),
                "top": max(values),
            }
        )
    return charts


def _draw_steps(points: Sequence[tuple[int, float]]) -> str:
    """Return a path of steps through points; points of the same height are drawn as one line."""
    path = f"M{points[0][0]} {points[0][1]:g}"
    for height, group in groupby(points[1:], key=lambda point: point[1]):
        xs = [x for x, _ in group]
        path += f"H{xs[0]}V{height:g}H{xs[-1] + _DAY}"
    return path
