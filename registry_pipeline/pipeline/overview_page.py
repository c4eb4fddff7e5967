"""Render the overview of several repositories as one unsealed page, or as Markdown."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from registry_pipeline.canonical import short, utc_text
from registry_pipeline.findings.display import list_some, markdown_text
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.overview import RepositoryRow
from registry_pipeline.registries.system_health.build import SEVERITY
from registry_pipeline.registries.system_health.charts import ChartGroup, Series, draw_charts
from registry_pipeline.registries.system_health.page import STATES
from registry_pipeline.registries.system_health.template import format_time, render_template

TITLE: Final = "Repositories"
_MAX_REASONS: Final = 3
_MAX_REASON: Final = 150
UNREADABLE: Final = "cannot be read"
COLUMNS: Final = (
    "repository",
    "state",
    "active",
    "since",
    "by",
    "stale",
    "drifting",
    "findings",
    "newest run",
    "chain head",
)


def render_overview_page(rows: Sequence[RepositoryRow], now: datetime, folder: Path | None) -> bytes:
    """Return the page as UTF-8; links are relative to the folder that it is written to, else absolute."""
    last, ordered = now.astimezone(UTC).date(), order_by_severity(rows)
    most = max((count for row in rows for count in (row.stale_by_day or {}).values()), default=0)
    series = (Series(row.name, row.stale_by_day, "late", top=most) for row in ordered if row.stale_by_day)
    group = ChartGroup("Stale operations", tuple(series), "Fewer than two days are known.")
    return render_template(
        "overview.html",
        title=TITLE,
        unsealed=f"Written {format_time(now)}. `registry-pipeline report` in a repository seals the page of it.",
        rendered=now,
        headline=describe_health(rows),
        mood="good" if all(_find_mood(row) == "good" for row in rows) else _find_mood(ordered[0]),
        rows=[_describe_row(row, folder) for row in ordered],
        charts=draw_charts(group, last),
    )


def order_by_severity(rows: Sequence[RepositoryRow]) -> list[RepositoryRow]:
    """Return the rows: those that cannot be read first, then those with errors, then the worst state first."""

    def rank(row: RepositoryRow) -> tuple[bool, bool, int]:
        state = -1 if row.status is None else SEVERITY.index(row.status.inspection.health.state)
        return row.status is None, bool(row.list_errors()), state

    return sorted(rows, key=rank, reverse=True)


def describe_health(rows: Sequence[RepositoryRow]) -> str:
    """Return how many repositories are healthy, and how many cannot be read."""
    healthy = sum(_find_mood(row) == "good" for row in rows)
    unreadable = sum(row.status is None for row in rows)
    text = f"{healthy} of {len(rows)} repositories healthy"
    return text + (f", {unreadable} {UNREADABLE}" if unreadable else "")


def list_reasons(row: RepositoryRow) -> list[str]:
    """Return why a repository is not healthy: the first reasons, long ones shortened, and the number of the others."""
    if row.problem is not None:
        return [row.problem.message]
    reasons = [] if row.status is None else [c.reason for c in row.status.inspection.health.conditions]
    # An error in what is not active, such as the role pack, does not change the health state.
    others = {f.code for f in row.list_errors() if not any(f.code in reason for reason in reasons)}
    reasons = [*([f"errors: {', '.join(sorted(others))}"] if others else []), *reasons]
    # The longest one names all registries without an active run.
    shown = [list_some(r.split(", "), ", ") if len(r) > _MAX_REASON else r for r in reasons[:_MAX_REASONS]]
    return [*shown, f"and {len(reasons) - len(shown)} more"] if len(reasons) > len(shown) else shown


def find_next_step(row: RepositoryRow) -> str:
    """Return what to do about a repository: the advice if it cannot be read, else the command with its whole state."""
    # The commands that a condition proposes are for the working directory, which is another one here.
    return _format_command(row, "status") if row.problem is None else row.problem.hint or ""


def _format_command(row: RepositoryRow, *words: str) -> str:
    return shlex.join(["registry-pipeline", "-C", str(row.root), *words])


def list_cells(row: RepositoryRow) -> list[str]:
    """Return the texts of a row, by the columns."""
    document = row.to_json()
    active, run, head = document["active"] or {}, document["newest_run"] or {}, document["chain_head"] or {}
    counted = [document[name] for name in ("stale", "drifting")]
    findings = [plural(document[name], noun) for name, noun in (("errors", "error"), ("warnings", "warning"))]
    return [
        row.name,
        document["health_state"] or UNREADABLE,
        f"{active['registries']} of {active['in_use']}" if active else "-",
        active.get("since_utc") or "-",
        (active.get("actor") or "-").partition(" <")[0],
        *("-" if count is None else str(count) for count in counted),
        ", ".join(text for text in findings if not text.startswith("0 ")) or "none",
        run.get("created_utc") or "-",
        short(head["root_sha256"]) if head else "-",
    ]


def render_overview_markdown(rows: Sequence[RepositoryRow], now: datetime) -> bytes:
    """Return the overview as Markdown, in UTF-8."""
    lines = [f"# {TITLE}", "", f"{describe_health(rows)}, {utc_text(now)}", ""]
    lines += [_format_cells(COLUMNS), "|" + "---|" * len(COLUMNS)]
    ordered = order_by_severity(rows)
    lines += [_format_cells(list_cells(row)) for row in ordered]
    reasons = [f"{row.name}: {reason}" for row in ordered for reason in list_reasons(row)]
    lines += ["", *(f"- {markdown_text(reason)}" for reason in reasons)] if reasons else []
    return "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")


def _format_cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(markdown_text, cells))} |"


def _find_mood(row: RepositoryRow) -> str:
    return "bad" if row.status is None or row.list_errors() else STATES[row.status.inspection.health.state][2]


def _describe_row(row: RepositoryRow, folder: Path | None) -> Mapping[str, Any]:
    """Return what the template shows of a repository."""
    state = None if row.status is None else row.status.inspection.health.state
    return {
        **row.to_json(),
        "word": UNREADABLE.capitalize() if state is None else STATES[state][0],
        "meaning": "" if state is None else STATES[state][1],
        "mood": _find_mood(row),
        "reasons": list_reasons(row),
        "next_step": find_next_step(row),
        "link": None if row.page is None else _make_link(row.page, folder),
        "verify": _format_command(row, "verify", "--all"),
    }


def _make_link(page: Path, folder: Path | None) -> str:
    return page.as_uri() if folder is None else quote(os.fsencode(os.path.relpath(page, folder.resolve())))
