"""`run-index show`, `list`, `failed-uniqueness` and `latest`, and `overrides list`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.commands.logs import add_options, format_options, print_records
from registry_pipeline.cli.group import Command, command
from registry_pipeline.cli.param_types import Moment
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.finding import plural
from registry_pipeline.registries.run_index.gates import find_field_changes, index_overrides
from registry_pipeline.registries.run_index.log_file import Entry, overrides_log, run_index_log
from registry_pipeline.registries.run_index.query import ORDERS, VIEWS, Query, find_latest, find_records, find_run
from registry_pipeline.registries.run_index.record import OVERRIDE_TYPES, OVERRIDE_UPDATE, UNIQUENESS, Record
from registry_pipeline.registries.run_index.scan import read_log
from registry_pipeline.registries.run_index.service import read_rule_context

_ALMOST_A_SECOND: Final = timedelta(microseconds=999_999)
_LAST_TIME: Final = datetime.max.replace(tzinfo=UTC) - _ALMOST_A_SECOND
_GATE_WORDS: Final = {
    None: "-",
    "PASS": "pass",
    "PASS_WITH_MINOR_FIXES": "fixes",
    "REWRITE_REQUIRED": "rewrite",
    "PIVOT_REQUIRED": "pivot",
}
_lane_options = add_options(
    click.option("--artist", "artist_id", metavar="ID", help="Runs of this artist."),
    click.option("--genre", "genre_id", metavar="ID", help="Runs of this genre."),
)
_output_options = add_options(
    click.option("--no-index", is_flag=True, help="Read the whole log instead of the side index."), format_options
)
_list_options = add_options(
    _lane_options,
    click.option("--since", type=Moment(time.min), metavar="TIME", help="Not before this day (UTC) or instant."),
    click.option("--until", type=Moment(time.max), metavar="TIME", help="Not after this day (UTC) or instant."),
    click.option(
        "--view",
        type=click.Choice(VIEWS),
        default="current",
        show_default=True,
        help="The current record of each run, all records, or those that a later one replaced.",
    ),
    click.option(
        "--order-by",
        type=click.Choice([*ORDERS, *(f"-{name}" for name in ORDERS)]),
        metavar="[-]FIELD",
        default="-created_utc",
        show_default=True,
        help="The field to order by; with - in front, the greatest first.",
    ),
    click.option(
        "-n",
        "--limit",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="The number of records; 0 is all.",
    ),
    _output_options,
    click.pass_obj,
)


@command(
    "show",
    ("run-index show RUN-20260105-0900-AAAA", "the current record"),
    ("run-index show RUN-20260105-0900-AAAA --history", "all its records, and what each of them changed"),
)
@click.argument("run", metavar="RUN")
@click.option("--history", is_flag=True, help="Every record of the run, oldest first, with the fields that changed.")
@_output_options
def show_command(reporter: Reporter, run: str, history: bool, no_index: bool) -> int:
    """Show the records of a run.

    The current record is the one with the greatest last_updated_utc (created_utc if it has none), then machine_id, then
    position in the log. Exits 7 if the index has no such run.
    """
    log = run_index_log(find_repository(reporter.settings.repo))
    result = find_run(log, run, use_index=not no_index)
    if not result.entries:
        raise NotFoundError(f"{log.display_path} has no run {run}", "see `registry-pipeline run-index list`")
    entries = result.entries if history else result.entries[-1:]
    changes = _list_changes(entries)

    def print_text(page: Page) -> None:
        _print_record(page, entries[0])
        for item in changes[1:]:
            page.line(f"line {item['line']}", style="bold")
            for change in item["changes"]:
                page.line(_format_change(**change))
        page.findings(result.findings)

    records = [entry.record for entry in entries]
    print_records(reporter, records, print_text, findings=result.findings, history=changes if history else [])
    return 0


def _list_changes(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the line of each record of a run, with the fields that differ from the record before it (first: none)."""
    changes: list[dict[str, Any]] = [{"line": entries[0].number, "changes": []}]
    for previous, entry in pairwise(entries):
        changed = find_field_changes(previous.record, entry.record)
        changes.append({"line": entry.number, "changes": changed})
    return changes


def _print_record(page: Page, entry: Entry) -> None:
    page.line(f"{entry.record['run_id']}  line {entry.number}", style="bold")
    width = max(map(len, entry.record))
    for name, value in entry.record.items():
        if name not in ("record_type", "run_id"):
            page.line(f"  {name:<{width}}  {_format_value(value)}")


def _format_change(field: str, before: object, after: object) -> str:
    if before is None:
        return f"  + {field}  {_format_value(after)}"
    if after is None:
        return f"  - {field}  {_format_value(before)}"
    return f"  ~ {field}  {_format_value(before)} -> {_format_value(after)}"


def _format_value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@click.command(
    "list",
    cls=Command,
    examples=[
        ("run-index list --artist ART-heron --genre GEN-ambient", "the runs of a lane, newest first"),
        ("run-index list --since 2026-01-05 --until 2026-01-11 --order-by run_id", "a week, both days included"),
        ("run-index list --view superseded -n 5 --json", "records that a later one replaced"),
        ("run-index list --format csv -n 20", "twenty of them for a spreadsheet"),
    ],
)
@_list_options
def list_command(reporter: Reporter, /, **options: Any) -> int:
    """List runs of the index.

    By lane (artist and genre) and by created_utc. Days are whole UTC days; an instant counts exactly. --format parquet
    writes columns of text and lists, with -o to a file.
    """
    return _list_records(reporter, **options)


@click.command(
    "failed-uniqueness",
    cls=Command,
    examples=[
        ("run-index failed-uniqueness", "every run whose current record has a FAIL"),
        ("run-index failed-uniqueness --artist ART-heron --since 2026-01-01 --json", "those of an artist since a day"),
    ],
)
@_list_options
def failed_uniqueness_command(reporter: Reporter, /, **options: Any) -> int:
    """List runs that failed a uniqueness check.

    Those with FAIL in uniqueness_hook, uniqueness_scene or uniqueness_scripture. `run-index check` reports which of
    them passed the gate without an override.
    """
    return _list_records(reporter, **options, failed=True)


def _list_records(
    reporter: Reporter, *, since: datetime | None, until: datetime | None, no_index: bool, **conditions: Any
) -> int:
    if since is not None and until is not None and until < since:
        raise click.UsageError("--until is before --since")
    query = Query(
        # Records have whole seconds: one of 09:00:00 is not at or after 09:00:00.5, so `since` is rounded up.
        since=None if since is None else utc_text(min(since, _LAST_TIME) + _ALMOST_A_SECOND),
        until=None if until is None else utc_text(until),
        **conditions,
    )
    log = run_index_log(find_repository(reporter.settings.repo))
    result = find_records(log, query, use_index=not no_index)

    def print_text(page: Page) -> None:
        _print_runs(page, result.records)
        page.line(f"{plural(len(result.entries), 'record')} of {log.display_path}", style="dim")
        page.findings(result.findings)

    print_records(reporter, result.records, print_text, findings=result.findings, view=query.view)
    return 0


def _print_runs(page: Page, records: Sequence[Record]) -> None:
    columns = [*map(Column, ("created", "artist", "genre", "by", "at", "gates", "uniqueness"))]
    if records:
        page.table([*columns, Column("run", below=True)], map(_format_run_row, records))


def _format_run_row(record: Record) -> list[str]:
    cells = [record[name] for name in ("created_utc", "artist_id", "genre_id", "created_by", "machine_id")]
    gates = [record.get(f"qa_gate{number}") for number in range(4)]
    failed = [name.removeprefix("uniqueness_") for name in UNIQUENESS if record.get(name) == "FAIL"]
    return [
        *cells,
        " ".join(_GATE_WORDS.get(gate, str(gate)) for gate in gates),
        f"FAIL {', '.join(failed)}" if failed else "-",
        record["run_id"],
    ]


@command(
    "latest",
    ("run-index latest --artist ART-heron --genre GEN-ambient", "the newest success of a lane"),
    ("run-index latest --json", "the newest of all"),
)
@_lane_options
@_output_options
def latest_command(reporter: Reporter, artist_id: str | None, genre_id: str | None, no_index: bool) -> int:
    """Find the latest successful run.

    The newest current record with qa_gate2 PASS whose run breaks no rule; a run that failed a uniqueness check counts
    only while an override allows it. Exits 7 if there is none.
    """
    repository = find_repository(reporter.settings.repo)
    log = run_index_log(repository)
    context, _ = read_rule_context(repository)
    result = find_latest(log, context, artist_id=artist_id, genre_id=genre_id, use_index=not no_index)
    if not result.entries:
        lane = " ".join(filter(None, (artist_id, genre_id)))
        raise NotFoundError(
            f"{log.display_path} has no successful run{f' of {lane}' if lane else ''}",
            "see `registry-pipeline run-index list` and `registry-pipeline run-index check`",
        )

    def print_text(page: Page) -> None:
        _print_runs(page, result.records)
        page.findings(result.findings)

    print_records(reporter, result.records, print_text, findings=result.findings)
    return 0


@command(
    "list",
    ("overrides list", "every override and its status"),
    ("overrides list --status voided --json", "those that were withdrawn"),
)
@click.option("--run", metavar="RUN", help="Overrides of this run.")
@click.option("--type", "kind", type=click.Choice(list(OVERRIDE_TYPES)), help="Overrides of this type.")
@click.option("--status", type=click.Choice(OVERRIDE_UPDATE.fields["status"].values), help="Overrides in this status.")
@format_options
def list_overrides_command(reporter: Reporter, run: str | None, kind: str | None, status: str | None) -> int:
    """List the overrides.

    In the order of the log, each with the status of its last update, its time and its author; `active` if there is no
    update. A voided override allows nothing.
    """
    log = overrides_log(find_repository(reporter.settings.repo))
    content = read_log(log)
    filters = {"run_id": run, "override_type": kind, "status": status}
    records = [
        record
        for override in index_overrides(log.display_path, content.entries).by_id.values()
        if all(value in (None, (record := override.to_json())[name]) for name, value in filters.items())
    ]

    def print_text(page: Page) -> None:
        names = ("created_utc", "override_type", "status", "approved_by", "run_id", "override_id")
        titles = ("created", "type", "status", "approved by", "run")
        if records:
            rows = [[str(record[name]) for name in names] for record in records]
            page.table([*map(Column, titles), Column("override", below=True)], rows)
        page.line(f"{plural(len(records), 'override')} of {log.display_path}", style="dim")

    print_records(reporter, records, print_text, findings=content.findings)
    return 0
