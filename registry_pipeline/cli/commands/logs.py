"""The commands that `run-index` and `overrides` share (append, check, merge), and the output of records.

After one of these commands, `--format` replaces the global option: `table` is `text`; `csv` and `parquet` are bytes
without anything else on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from registry_pipeline.canonical import json_document
from registry_pipeline.cli.exit_codes import (
    ConditionResult,
    ExitCode,
    check_conditions,
    combine_exit_codes,
    exit_code_of,
    fail_on_option,
    has_failed,
)
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import SCHEMA_VERSION, Page, Reporter
from registry_pipeline.cli.settings import FORMATS, remember_format
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import overwrite_file
from registry_pipeline.findings.finding import Finding, count_findings, has_errors, plural, verdict_of
from registry_pipeline.registries.run_index.append import AppendResult, parse_batch
from registry_pipeline.registries.run_index.log_file import Log, overrides_log, run_index_log
from registry_pipeline.registries.run_index.merge import MergeResult, merge_files
from registry_pipeline.registries.run_index.record import MACHINES, Record
from registry_pipeline.registries.run_index.service import append_to_log, check_log
from registry_pipeline.values import value_type

MACHINE_VARIABLE: Final = "REGISTRY_PIPELINE_MACHINE"
_META: Final = f"{__name__}."
_FORMATS: Final = ("table", "json", "csv", "parquet", "text", "github", "markdown", "junit", "sarif")
_MAX_LISTED: Final = 20
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def _remember_option(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    ctx.meta[f"{_META}{param.name}"] = value
    if value == "table":
        remember_format(ctx, "text")
    elif value in FORMATS:
        remember_format(ctx, value)


def _make_output_option(*names: str, **attributes: Any) -> Callable[[_Decorated], _Decorated]:
    return click.option(*names, expose_value=False, callback=_remember_option, **attributes)


def add_options(*options: Callable[[Any], Any]) -> Callable[[_Decorated], _Decorated]:
    """Return a decorator that adds several options, in the order in which the help lists them."""

    def decorate(command: _Decorated) -> _Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


format_options = add_options(
    _make_output_option(
        "--format",
        "form",
        type=click.Choice(_FORMATS),
        is_eager=True,
        help="Output format; table is text, csv and parquet are for other programs. In csv, a text that a spreadsheet "
        "would run as a formula (it starts with =, +, -, @, TAB or CR) gets an apostrophe before it.",
    ),
    _make_output_option(
        "--raw",
        is_flag=True,
        help="With --format csv: write every text unchanged, for programs that are not spreadsheets.",
    ),
    _make_output_option(
        "-o", "--output", type=_FILE, metavar="FILE", help="Write the json, csv or parquet output to this file."
    ),
)
"""Adds the options of a command that prints records by `print_records`."""


def machine_option(command: _Decorated) -> _Decorated:
    """Add the optional `--machine`, which the environment may also give, to a command."""
    return click.option(
        "--machine",
        type=click.Choice(MACHINES),
        envvar=MACHINE_VARIABLE,
        help=f"The machine on which this runs; default: {MACHINE_VARIABLE} in the environment.",
    )(command)


def print_records(
    reporter: Reporter,
    records: Sequence[Record],
    print_text: Callable[[Page], None],
    *,
    findings: Sequence[Finding],
    **members: Any,
) -> None:
    """Print records in the format of `format_options`, or write them to a file; JSON has further `members`.

    Findings are in text and annotations only.

    Raises:
        UsageError: the options contradict each other. BusyError, RefusedError, WriteError: as `overwrite_file`.
    """
    meta = click.get_current_context().meta
    form, raw, output = (meta[f"{_META}{name}"] for name in ("form", "raw", "output"))
    document = {"records": [dict(record) for record in records], "count": len(records)} | members
    if raw and form != "csv":
        raise click.UsageError("--raw belongs to --format csv")
    if form in ("csv", "parquet"):
        if reporter.settings.format != "text":
            raise click.UsageError(f"--format {form} contradicts --format {reporter.settings.format}")
        if form == "parquet" and output is None and reporter.is_terminal:
            raise click.UsageError("parquet cannot be printed to a terminal: use -o FILE, or redirect the output")
        from registry_pipeline.registries.run_index.query import format_csv, format_parquet  # noqa: PLC0415 - rarely needed

        data = format_csv(records, raw=raw) if form == "csv" else format_parquet(records)
    elif output is None:
        reporter.print_result(document, findings, print_text)
        return
    elif reporter.settings.format == "json":
        data = json_document({"schema_version": SCHEMA_VERSION} | document)
    else:
        raise click.UsageError("-o writes output of --format json, csv or parquet")
    if output is None:
        reporter.print_bytes(data)
    else:
        overwrite_file(output, data)
        reporter.note(f"{plural(len(records), 'record')} in {output}")


@value_type
class LogKind:
    """What differs between the shared commands of the two groups."""

    group: str
    subject: str
    open: Callable[[Repository], Log]
    example_path: str  # in the example repository
    add_options: Callable[[_Decorated], _Decorated]


_RUNS: Final = LogKind("run-index", "run", run_index_log, "60-REGISTRY/data/run-index.jsonl", machine_option)
_OVERRIDES: Final = LogKind(
    "overrides", "override", overrides_log, "60-REGISTRY/data/overrides-log.jsonl", lambda command: command
)


def _make_append_command(kind: LogKind, help_text: str) -> Command:
    example = f"{kind.group} append {kind.example_path}"

    @click.command(
        "append",
        cls=Command,
        help=help_text,
        examples=[(example, "a file of JSON lines; a record that exists is not repeated")],
    )
    @click.argument("source", metavar="[FILE|-]", type=click.Path(allow_dash=True, path_type=Path), required=False)
    @click.option("--record", metavar="JSON", help="The record itself.")
    @kind.add_options
    @click.pass_obj
    def command(reporter: Reporter, source: Path | None, record: str | None, machine: str | None = None) -> int:
        repository = find_repository(reporter.settings.repo)
        log = kind.open(repository)
        records, findings = parse_batch(log, *_read_input(source, record))
        result = AppendResult(findings=findings, refused=True)
        if records and not has_errors(findings):
            result = append_to_log(repository, log, records, machine_id=machine, now=reporter.settings.now)
        return print_append_result(reporter, result, log)

    return command


def _read_input(source: Path | None, record: str | None) -> tuple[bytes, str]:
    """Return the JSON lines to append, and their name in findings; UsageError unless one source is named."""
    if (source is None) == (record is None):
        raise click.UsageError("name a FILE of JSON lines, or - for standard input, or use --record JSON")
    if record is not None:
        return record.encode("utf-8", "surrogateescape"), "--record"
    if str(source) == "-":
        return sys.stdin.buffer.read(), "standard input"
    try:
        return Path(str(source)).read_bytes(), str(source)
    except OSError as error:
        raise NotFoundError(f"{source} cannot be read: {error.strerror}", "name a file of JSON lines") from None


def print_append_result(reporter: Reporter, result: AppendResult, log: Log) -> int:
    """Print the result of an append and return the exit code: 5 if it was refused, else 0."""
    counts = {"added": len(result.added), "already_there": len(result.repeated)}
    lines = [f"appended  {record[log.id_key]}" for record in result.added[:_MAX_LISTED]]
    if len(result.added) > _MAX_LISTED:
        lines.append(f"and {len(result.added) - _MAX_LISTED} more")
    already = f", {len(result.repeated)} there already" if result.repeated else ""
    lines.append(f"{plural(len(result.added), 'record')} appended to {log.display_path}{already}")
    if result.refused:
        lines = [f"refused: nothing was appended to {log.display_path}"]
    records = [dict(record) for record in result.added]
    _print_log_result(
        reporter, result.findings, counts, lines, failed=result.refused, changed=result.changed_files, records=records
    )
    return int(ExitCode.REFUSED if result.refused else ExitCode.FINE)


def _print_log_result(
    reporter: Reporter,
    findings: Sequence[Finding],
    counts: dict[str, int],
    lines: Sequence[str],
    *,
    failed: bool,
    changed: Sequence[str] = (),
    conditions: Sequence[ConditionResult] | None = None,
    checked: str | None = None,
    **members: Any,
) -> None:
    """Print findings, then lines, of which the last is the summary; JSON has counts, changed files and `members`."""
    document = {
        "verdict": verdict_of(findings),
        "findings": [finding.to_json() for finding in findings],
        "counts": counts | count_findings(findings),
        "changed_files": list(changed),
    }

    def print_text(page: Page) -> None:
        page.findings(findings)
        for line in lines[:-1]:
            page.line(line)
        page.line(lines[-1], style="bold red" if failed else "bold green")

    paths = {} if checked is None else {checked: ""}
    reporter.print_result(document | members, findings, print_text, conditions=conditions, checked=paths)


def _make_check_command(kind: LogKind, help_text: str, examples: Sequence[tuple[str, str]]) -> Command:
    @click.command("check", cls=Command, help=help_text, examples=examples)
    @click.option(
        "--baseline",
        metavar="REF|active",
        help="Check that every line of a git commit, or of the active snapshot, still exists.",
    )
    @kind.add_options
    @fail_on_option("warning")
    @click.pass_obj
    def command(reporter: Reporter, baseline: str | None, fail_on: tuple[str, ...], machine: str | None = None) -> int:
        repository = find_repository(reporter.settings.repo)
        log = kind.open(repository)
        result = check_log(repository, log, baseline=baseline, machine_id=machine, now=reporter.settings.now)
        sizes = {"lines": result.lines, "records": result.records, f"{kind.subject}s": result.subjects}
        content = f"{plural(result.records, 'record')} of {plural(result.subjects, kind.subject)} in {log.display_path}"
        counts, failed = count_findings(result.findings), has_errors(result.findings)
        found = f"{plural(counts['errors'], 'error')}, {plural(counts['warnings'], 'warning')}"
        summary = f"{'FAIL' if failed else 'pass'}: {content}; {found}"
        conditions = check_conditions(fail_on, result.findings)
        _print_log_result(
            reporter,
            result.findings,
            sizes,
            [summary],
            failed=failed,
            conditions=conditions,
            checked=log.display_path,
        )
        return combine_exit_codes([exit_code_of(result.findings), ExitCode.FAIL_ON * has_failed(conditions)])

    return command


def _make_merge_command(kind: LogKind, title: str) -> Command:
    example = f"{kind.group} merge {kind.example_path} {kind.example_path} -o merged.jsonl"

    @click.command(
        "merge",
        cls=Command,
        help=_MERGE_HELP.format(title=title, subject=kind.subject),
        examples=[(example, "the merge of a log with itself is the log")],
    )
    @click.argument("one", metavar="A", type=_FILE)
    @click.argument("two", metavar="B", type=_FILE)
    @click.option("-o", "--output", metavar="C", type=_FILE, required=True, help="The merged file; may be A or B.")
    @click.pass_obj
    def command(reporter: Reporter, one: Path, two: Path, output: Path) -> int:
        log = kind.open(find_repository(reporter.settings.repo))
        return _print_merge_result(reporter, merge_files(log, one, two, output), output)

    return command


def _print_merge_result(reporter: Reporter, result: MergeResult, target: Path) -> int:
    """Print the result of a merge and return the exit code: 3 for invalid logs, 5 for a refused write, else 0."""
    counts = {"in_both": result.in_both, "only_in_a": result.only_first, "only_in_b": result.only_second}

    origins = f"{result.in_both} in both, {result.only_first} only in A, {result.only_second} only in B"
    unchanged = "" if result.changed else "; the file did not change"
    summary = f"{plural(sum(counts.values()), 'record')} in {target}: {origins}{unchanged}"
    if result.refused:
        summary = f"refused: {target} was not written"
    changed = [str(target)] if result.changed else []
    _print_log_result(reporter, result.findings, counts, [summary], failed=result.refused, changed=changed)
    if not result.refused:
        return int(ExitCode.FINE)
    return int(ExitCode.INVALID_EVIDENCE if result.data is None else ExitCode.REFUSED)


_MERGE_HELP: Final = """{title}

    The result contains every line of both logs once, in an order that keeps the order of each; where neither decides,
    the fields do. It does not matter which log is named first, and a second merge changes nothing. Two {subject}s with
    one id, or a line that is not a record, are errors (exit 3). An existing file C is replaced only if the result
    contains all of its lines (else exit 5).
    """
run_index_append = _make_append_command(
    _RUNS,
    """Append records to the run index.

    JSON lines from a file, from standard input (-), or one record as --record. They are validated together with
    the records that the index has of their runs. Any error refuses all of them (exit 5) and changes nothing. A
    record that the index contains already is not written again. What a crash left at the end of the log is moved
    to a file beside it and reported.
    """,
)
run_index_check = _make_check_command(
    _RUNS,
    """Check the run index.

    Every line, every record, the gates of every run's current record, and the overrides as they are now: a run
    whose override was voided is a finding again. --baseline checks that no older line was changed, removed or
    moved. Exits 3 on an error, also if a log that the commit at HEAD contains is missing; 7 if there is no log or
    no such baseline, or git cannot read the repository.
    """,
    [
        ("run-index check", "every line, record and run"),
        ("run-index check --baseline HEAD --format github", "and that no committed line is missing, for a workflow"),
        ("run-index check --fail-on warning --json", "warnings fail too"),
    ],
)
run_index_merge = _make_merge_command(_RUNS, "Merge the run indexes of two machines.")
overrides_append = _make_append_command(
    _OVERRIDES,
    """Append overrides, or updates of them, to the overrides log.

    JSON lines from a file, from standard input (-), or one record as --record. Any error refuses all of them (exit
    5) and changes nothing. An update with status voided withdraws the permission of an override: `run-index check`
    then reports its run again.
    """,
)
overrides_check = _make_check_command(
    _OVERRIDES,
    """Check the overrides log.

    Every line and record, that updates name overrides of the log, and that overrides agree with the run that they
    name unless they are voided. Exits 3 on an error, also if a log that the commit at HEAD contains is missing; 7
    if there is no log or no such baseline, or git cannot read the repository.
    """,
    [
        ("overrides check", "every line and record, and the runs that they name"),
        ("overrides check --baseline HEAD", "and that no committed line is missing"),
    ],
)
overrides_merge = _make_merge_command(_OVERRIDES, "Merge the overrides logs of two machines.")
