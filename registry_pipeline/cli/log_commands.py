"""How the verbs of `run-index` and `overrides` answer with records: table, json, csv or parquet (decision 13).

`--format` of these verbs stands in the place of the global one. `table` and `text` are one, `json` and `github` are
what they are everywhere, `csv` and `parquet` are bytes without anything beside them; `-o` writes an answer into a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.cli.exit_codes import ExitCode, code_of, combined, holds
from registry_pipeline.cli.param_types import Moment
from registry_pipeline.cli.reporter import SCHEMA_VERSION, Column, Page, Reporter
from registry_pipeline.cli.settings import FORMATS, remember_format
from registry_pipeline.config import find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import overwrite_file
from registry_pipeline.findings.finding import Finding, count_findings, has_errors
from registry_pipeline.registries.run_index.append import Appended
from registry_pipeline.registries.run_index.export import csv_bytes, parquet_bytes
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.query import ORDERS, VIEWS, Query, QueryResult, find_records
from registry_pipeline.registries.run_index.record import MACHINES, UNIQUENESS, Record
from registry_pipeline.registries.run_index.service import LogChecked
from registry_pipeline.registries.run_index.store import MergeOutcome

_RAW: Final = "registry_pipeline.raw_cells"
_WORDS: Final = ("table", "json", "csv", "parquet", "text", "github")
MACHINE_VARIABLE: Final = "REGISTRY_PIPELINE_MACHINE"
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def _told(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value == "table":
        remember_format(ctx, "text")
    elif value in FORMATS:
        remember_format(ctx, value)
    return value


def _remember_raw(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_RAW] = value


def format_options(command: _Decorated) -> _Decorated:
    """Add `--format`, `-o` and `--raw` to a verb that answers with records; `form` and `output` are its arguments."""
    output = click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write a json, csv or parquet answer into this file.",
    )
    form = click.option(
        "--format",
        "form",
        type=click.Choice(_WORDS),
        callback=_told,
        is_eager=True,
        help="How to answer; table is text, csv and parquet are for other programs. In csv, a text that a spreadsheet "
        "would run as a formula (it begins with =, +, -, @, TAB or CR) gets an apostrophe before it.",
    )
    raw = click.option(
        "--raw",
        is_flag=True,
        expose_value=False,
        callback=_remember_raw,
        help="With --format csv: write every text as it is, for programs that are no spreadsheet.",
    )
    return form(raw(output(command)))


def view_options(command: _Decorated) -> _Decorated:
    """Add `--view`, `--order-by` and `--limit` to a verb that lists records."""
    orders = [*ORDERS, *(f"-{name}" for name in ORDERS)]
    view = click.option(
        "--view",
        type=click.Choice(VIEWS),
        default="current",
        show_default=True,
        help="Of each run the current record, all, or those that a later one replaced.",
    )
    order = click.option(
        "--order-by",
        type=click.Choice(orders),
        metavar="[-]FIELD",
        default="-created_utc",
        show_default=True,
        help="The field to order by; with - before it the greatest first.",
    )
    limit = click.option(
        "-n", "--limit", type=click.IntRange(min=0), default=0, show_default=True, help="How many; 0 is all."
    )
    return view(order(limit(command)))


def scan_option(command: _Decorated) -> _Decorated:
    """Add `--no-index` to a verb that asks the side index."""
    return click.option("--no-index", is_flag=True, help="Read the whole log instead of asking the side index.")(
        command
    )


def machine_option(command: _Decorated) -> _Decorated:
    """Add `--machine` to a verb that needs to know on which machine it runs."""
    return click.option(
        "--machine",
        type=click.Choice(MACHINES),
        envvar=MACHINE_VARIABLE,
        help=f"The machine on which this runs; so does {MACHINE_VARIABLE} in the environment.",
    )(command)


def print_records(
    reporter: Reporter,
    records: Sequence[Record],
    *,
    form: str | None,
    output: Path | None,
    more: dict[str, Any] | None = None,
    findings: Sequence[Finding] = (),
    tell: Callable[[Page], None],
) -> None:
    """Print records once, in the form that was asked for, or write them into a file.

    Raises:
        BusyError, RefusedError, WriteError: as `overwrite_file`.
    """
    document = {"records": [dict(record) for record in records], "count": len(records)} | (more or {})
    raw = click.get_current_context().meta.get(_RAW, False)
    if raw and form != "csv":
        raise click.UsageError("--raw belongs to --format csv")
    make = partial(csv_bytes, raw=raw) if form == "csv" else parquet_bytes if form == "parquet" else None
    if make is not None and reporter.settings.format != "text":
        raise click.UsageError(f"--format {form} contradicts --format {reporter.settings.format}")
    if output is not None:
        if make is None and reporter.settings.format != "json":
            raise click.UsageError("-o writes an answer of --format json, csv or parquet")
        data = json_document({"schema_version": SCHEMA_VERSION} | document) if make is None else make(records)
        overwrite_file(output, data)
        reporter.note(f"{len(records)} record{'' if len(records) == 1 else 's'} in {output}")
    elif make is not None:
        if form == "parquet" and reporter.is_watched:
            raise click.UsageError("a parquet file is no text for a terminal: say -o FILE, or redirect it")
        reporter.hand_over(make(records))
    else:
        reporter.answer(document, findings, tell)


def print_runs(page: Page, records: Sequence[Record]) -> None:
    """Write a table of RUN records, a line each."""
    columns = [*map(Column, ("created", "artist", "genre", "by", "at", "gates", "uniqueness"))]
    if records:
        page.table([*columns, Column("run", below=True)], map(_row, records))


def _row(record: Record) -> list[str]:
    gates = " ".join(_short(record.get(f"qa_gate{number}")) for number in range(4))
    failed = [name.removeprefix("uniqueness_") for name in UNIQUENESS if record.get(name) == "FAIL"]
    told = [record[name] for name in ("created_utc", "artist_id", "genre_id", "created_by", "machine_id")]
    return [*told, gates, f"FAIL {', '.join(failed)}" if failed else "-", record["run_id"]]


def _short(gate: str | None) -> str:
    words = {"PASS": "pass", "PASS_WITH_MINOR_FIXES": "fixes", "REWRITE_REQUIRED": "rewrite", "PIVOT_REQUIRED": "pivot"}
    return "-" if gate is None else words.get(gate, gate)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def verdict_of(findings: Sequence[Finding]) -> str:
    """Return the verdict of SPEC 6: pass, warn where there are warnings, fail where there are errors."""
    if has_errors(findings):
        return "fail"
    return "warn" if any(each.severity == "warning" for each in findings) else "pass"


_MOST: Final = 1 << 30
_SHOWN: Final = 20


def read_batch(source: Path | None, record: str | None) -> tuple[bytes, str]:
    """Return the text of a batch, and how findings name it.

    Raises:
        NotFoundError: the file cannot be read.
    """
    if (source is None) == (record is None):
        raise click.UsageError("name a FILE of JSON lines, or - for standard input, or say --record JSON")
    if record is not None:
        return record.encode("utf-8", "surrogateescape"), "--record"
    if str(source) == "-":
        return sys.stdin.buffer.read(_MOST), "standard input"
    try:
        return Path(str(source)).read_bytes(), str(source)
    except OSError as error:
        raise NotFoundError(f"{source} cannot be read: {error.strerror}", "name a file of JSON lines") from None


def print_appended(reporter: Reporter, done: Appended, shown: str) -> int:
    """Print what an append did; return its exit code."""
    counts = {"added": len(done.added), "already_there": len(done.repeated)} | count_findings(done.findings)
    document = {
        "verdict": verdict_of(done.findings),
        "findings": [each.to_json() for each in done.findings],
        "counts": counts,
        "changed_files": list(done.changed_files),
        "records": [dict(record) for record in done.added],
    }
    reporter.answer(document, done.findings, lambda page: _print_appended(page, done, shown))
    return int(ExitCode.REFUSED if done.refused else ExitCode.FINE)


def _print_appended(page: Page, done: Appended, shown: str) -> None:
    page.findings(done.findings)
    if done.refused:
        page.line(f"refused: nothing was appended to {shown}", style="bold red")
        return
    for record in done.added[:_SHOWN]:
        told = record.get("run_id") if record["record_type"] == "RUN" else record["override_id"]
        page.line(f"appended  {told}")
    if len(done.added) > _SHOWN:
        page.line(f"and {len(done.added) - _SHOWN} more")
    already = f", {len(done.repeated)} there already" if done.repeated else ""
    page.line(f"{counted(len(done.added), 'record')} appended to {shown}{already}", style="bold green")


def print_checked(reporter: Reporter, checked: LogChecked, about: tuple[str, str], fail_on: frozenset[str]) -> int:
    """Print what a check found; `about` is what the log is about, and its name. Return the exit code."""
    noun, shown = about
    sizes = {"lines": checked.lines, "records": checked.records, f"{noun}s": checked.subjects}
    document = {
        "verdict": verdict_of(checked.findings),
        "findings": [each.to_json() for each in checked.findings],
        "counts": sizes | count_findings(checked.findings),
        "changed_files": [],
    }

    def tell(page: Page) -> None:
        page.findings(checked.findings)
        counts = count_findings(checked.findings)
        passed = not has_errors(checked.findings)
        told = f"{counted(checked.records, 'record')} of {counted(checked.subjects, noun)} in {shown}"
        weights = f"{counted(counts['errors'], 'error')}, {counted(counts['warnings'], 'warning')}"
        page.line(f"{'pass' if passed else 'FAIL'}: {told}; {weights}", style="bold green" if passed else "bold red")

    reporter.answer(document, checked.findings, tell)
    failing = holds(fail_on, checked.findings)
    return combined([code_of(checked.findings), ExitCode.ASKED_TO_FAIL * failing])


_TO_THE_NEXT_SECOND = timedelta(microseconds=999_999)
"""Records tell whole seconds: one of 09:00:00 is not at or after 09:00:00.5."""
_LAST = datetime.max.replace(tzinfo=UTC) - _TO_THE_NEXT_SECOND


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
    question = Query(
        artist_id=options["artist"],
        genre_id=options["genre"],
        since=None if since is None else utc_text(min(since, _LAST) + _TO_THE_NEXT_SECOND),
        until=None if until is None else utc_text(until),
        failed=failed,
        view=options["view"],
        order_by=options["order_by"],
        limit=options["limit"],
    )
    log = run_index_log(find_repository(reporter.settings.repo))
    found = find_records(log, question, use_index=not options["no_index"])
    print_records(
        reporter,
        found.records,
        form=options["form"],
        output=options["output"],
        more={"view": question.view},
        findings=found.findings,
        tell=lambda page: _print_listing(page, found, log.shown),
    )
    return 0


def _print_listing(page: Page, found: QueryResult, shown: str) -> None:
    print_runs(page, found.records)
    page.line(f"{counted(len(found.entries), 'record')} of {shown}", style="dim")
    page.findings(found.findings)


def print_merged(reporter: Reporter, outcome: MergeOutcome, target: Path) -> int:
    """Print what a merge did; return its exit code."""
    merged, findings = outcome.merged, outcome.findings
    sizes = {"in_both": merged.in_both, "only_in_a": merged.only_first, "only_in_b": merged.only_second}
    document = {
        "verdict": verdict_of(findings),
        "findings": [each.to_json() for each in findings],
        "counts": sizes | count_findings(findings),
        "changed_files": [str(target)] if outcome.changed else [],
    }

    def tell(page: Page) -> None:
        page.findings(findings)
        if outcome.refused:
            page.line(f"refused: {target} was not written", style="bold red")
            return
        total = counted(sum(sizes.values()), "record")
        told = f"{merged.in_both} in both, {merged.only_first} only in A, {merged.only_second} only in B"
        page.line(f"{total} in {target}: {told}{'' if outcome.changed else '; it was so already'}", style="bold green")

    reporter.answer(document, findings, tell)
    if not outcome.refused:
        return int(ExitCode.FINE)
    return int(ExitCode.EVIDENCE_INVALID if merged.data is None else ExitCode.REFUSED)
