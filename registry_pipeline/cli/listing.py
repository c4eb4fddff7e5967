"""What `run-index list` and `failed-uniqueness` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeVar

import click

from registry_pipeline.canon import utc_text
from registry_pipeline.cli.moments import Moment
from registry_pipeline.cli.records import answer_records, counted, tell_runs
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_governed
from registry_pipeline.run_index.logs import run_index_log
from registry_pipeline.run_index.query import Answer, Question, find_records

_TO_THE_NEXT_SECOND = timedelta(microseconds=999_999)
"""Records tell whole seconds: one of 09:00:00 is not at or after 09:00:00.5."""
_LAST = datetime.max.replace(tzinfo=UTC) - _TO_THE_NEXT_SECOND

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def lane_options(command: _Decorated) -> _Decorated:
    """Add `--artist` and `--genre`, which together are a lane."""
    artist = click.option("--artist", metavar="ID", help="Runs of this artist.")
    return artist(click.option("--genre", metavar="ID", help="Runs of this genre.")(command))


def span_options(command: _Decorated) -> _Decorated:
    """Add `--since` and `--until`, both inclusive."""
    since = click.option("--since", type=Moment(time.min), metavar="TIME", help="Not before this day (UTC) or instant.")
    until = click.option("--until", type=Moment(time.max), metavar="TIME", help="Not after this day (UTC) or instant.")
    return since(until(command))


def list_records(reporter: Reporter, options: Mapping[str, Any], *, failed: bool = False) -> int:
    """Ask the run index what the options of a verb ask, and print what it answers; return the exit code."""
    since: datetime | None = options["since"]
    until: datetime | None = options["until"]
    if since is not None and until is not None and until < since:
        raise click.UsageError("--until lies before --since")
    question = Question(
        artist_id=options["artist"],
        genre_id=options["genre"],
        since=None if since is None else utc_text(min(since, _LAST) + _TO_THE_NEXT_SECOND),
        until=None if until is None else utc_text(until),
        failed=failed,
        view=options["view"],
        order_by=options["order_by"],
        limit=options["limit"],
    )
    log = run_index_log(find_governed(reporter.settings.repo))
    found = find_records(log, question, use_index=not options["no_index"])
    answer_records(
        reporter,
        found.records,
        form=options["form"],
        output=options["output"],
        more={"view": question.view},
        findings=found.findings,
        tell=lambda page: _tell(page, found, log.shown),
    )
    return 0


def _tell(page: Page, found: Answer, shown: str) -> None:
    tell_runs(page, found.records)
    page.line(f"{counted(len(found.entries), 'record')} of {shown}", style="dim")
    page.findings(found.findings)
