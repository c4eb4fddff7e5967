"""How the verbs of `run-index` and `overrides` answer with records: table, json, csv or parquet (decision 13).

`--format` of these verbs stands in the place of the global one. `table` and `text` are one, `json` and `github` are
what they are everywhere, `csv` and `parquet` are bytes without anything beside them; `-o` writes an answer into a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from registry_pipeline.canon import json_document
from registry_pipeline.cli.reporter import SCHEMA_VERSION, Column, Page, Reporter
from registry_pipeline.cli.settings import FORMATS, remember_format
from registry_pipeline.files.atomic_write import overwrite_file
from registry_pipeline.model.finding import Finding, has_errors
from registry_pipeline.run_index.query import ORDERS, VIEWS
from registry_pipeline.run_index.record import MACHINES, UNIQUENESS, Record
from registry_pipeline.run_index.tables import csv_bytes, parquet_bytes

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


def answer_records(
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


def tell_runs(page: Page, records: Sequence[Record]) -> None:
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


def counts_of(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each weight."""
    return {f"{name}s": sum(each.severity == name for each in findings) for name in ("error", "warning", "info")}


def verdict_of(findings: Sequence[Finding]) -> str:
    """Return the verdict of SPEC 6: pass, warn where there are warnings, fail where there are errors."""
    if has_errors(findings):
        return "fail"
    return "warn" if any(each.severity == "warning" for each in findings) else "pass"
