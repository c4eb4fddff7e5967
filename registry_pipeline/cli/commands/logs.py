"""The commands that `run-index` and `overrides` share (append, check, merge), and the output of records.

After one of these commands, `--format` replaces the global option: `table` is `text`; `csv` and `parquet` are bytes
without anything else on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from registry_pipeline.canonical import json_document
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, exit_code_of, fail_on_option, matches_fail_on
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import SCHEMA_VERSION, Page, Reporter
from registry_pipeline.cli.settings import FORMATS, remember_format
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import overwrite_file
from registry_pipeline.findings.finding import Finding, count_findings, has_errors, plural, verdict_of
from registry_pipeline.registries.run_index.append import AppendResult, parse_batch
from registry_pipeline.registries.run_index.check import CheckResult
from registry_pipeline.registries.run_index.log_file import Log, overrides_log, run_index_log
from registry_pipeline.registries.run_index.merge import MergeResult, merge_files
from registry_pipeline.registries.run_index.record import MACHINES, Record
from registry_pipeline.registries.run_index.service import (
    append_batch,
    append_overrides,
    check_overrides_of,
    check_runs_of,
)
from registry_pipeline.values import value_type

MACHINE_VARIABLE: Final = "REGISTRY_PIPELINE_MACHINE"
_RAW: Final = "registry_pipeline.raw_cells"
_FORMATS: Final = ("table", "json", "csv", "parquet", "text", "github")
_MAX_INPUT: Final = 1 << 30
_MAX_LISTED: Final = 20
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def _remember_format(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value == "table":
        remember_format(ctx, "text")
    elif value in FORMATS:
        remember_format(ctx, value)
    return value


def _remember_raw(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_RAW] = value


def format_options(command: _Decorated) -> _Decorated:
    """Add `--format`, `--raw` and `-o` to a command that prints records, as its arguments `form` and `output`."""
    output = click.option(
        "-o", "--output", type=_FILE, metavar="FILE", help="Write the json, csv or parquet output to this file."
    )
    form = click.option(
        "--format",
        "form",
        type=click.Choice(_FORMATS),
        callback=_remember_format,
        is_eager=True,
        help="Output format; table is text, csv and parquet are for other programs. In csv, a text that a spreadsheet "
        "would run as a formula (it starts with =, +, -, @, TAB or CR) gets an apostrophe before it.",
    )
    raw = click.option(
        "--raw",
        is_flag=True,
        expose_value=False,
        callback=_remember_raw,
        help="With --format csv: write every text unchanged, for programs that are not spreadsheets.",
    )
    return form(raw(output(command)))


def machine_option(command: _Decorated) -> _Decorated:
    """Add `--machine` to a command that must know on which machine it runs."""
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
    form: str | None,
    output: Path | None,
    more: dict[str, Any] | None = None,
    findings: Sequence[Finding] = (),
) -> None:
    """Print records in the chosen format, or write them to a file.

    `form` is the value of the command's own `--format`; `more` are further members of the JSON document.

    Raises:
        BusyError, RefusedError, WriteError: as `overwrite_file`.
    """
    document = {"records": [dict(record) for record in records], "count": len(records)} | (more or {})
    raw = click.get_current_context().meta.get(_RAW, False)
    if raw and form != "csv":
        raise click.UsageError("--raw belongs to --format csv")
    encode = _encoder(form, raw=raw)
    if encode is not None and reporter.settings.format != "text":
        raise click.UsageError(f"--format {form} contradicts --format {reporter.settings.format}")
    if output is not None:
        if encode is None and reporter.settings.format != "json":
            raise click.UsageError("-o writes output of --format json, csv or parquet")
        data = json_document({"schema_version": SCHEMA_VERSION} | document) if encode is None else encode(records)
        overwrite_file(output, data)
        reporter.note(f"{plural(len(records), 'record')} in {output}")
    elif encode is not None:
        if form == "parquet" and reporter.is_terminal:
            raise click.UsageError("parquet cannot be printed to a terminal: use -o FILE, or redirect the output")
        reporter.print_bytes(encode(records))
    else:
        reporter.print_result(document, findings, print_text)


def _encoder(form: str | None, *, raw: bool) -> Callable[[Sequence[Record]], bytes] | None:
    if form not in ("csv", "parquet"):
        return None
    from registry_pipeline.registries.run_index.query import csv_bytes, parquet_bytes  # noqa: PLC0415 - rarely needed

    return partial(csv_bytes, raw=raw) if form == "csv" else parquet_bytes


@value_type
class LogKind:
    """What differs between the shared commands of the two groups.

    Attributes:
        group: the command-line group.
        subject: what the records are about.
        open: returns the log of a repository.
        append: appends valid records; called with the repository, the records, the reporter and the machine.
        check: checks the log; called with the repository, the baseline, the reporter and the machine.
        texts: help text by command.
        checks: examples of `check`.
        for_machine: whether the rules depend on the machine.
    """

    group: str
    subject: str
    open: Callable[[Repository], Log]
    append: Callable[[Repository, Sequence[Record], Reporter, str | None], AppendResult]
    check: Callable[[Repository, str | None, Reporter, str | None], CheckResult]
    texts: dict[str, str]
    checks: list[tuple[str, str]]
    for_machine: bool = False

    @property
    def example_path(self) -> str:
        """The path of the log in the example repository."""
        return f"60-REGISTRY/data/{'run-index' if self.subject == 'run' else 'overrides-log'}.jsonl"

    def add_options(self, command: _Decorated) -> _Decorated:
        """Add the options that only this log has."""
        return machine_option(command) if self.for_machine else command


def _append_command(kind: LogKind) -> Command:
    @click.command(
        "append",
        cls=Command,
        help=kind.texts["append"],
        examples=[
            (f"{kind.group} append {kind.example_path}", "a file of JSON lines; a record that exists is not repeated")
        ],
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
            result = kind.append(repository, records, reporter, machine)
        return print_append_result(reporter, result, log.display_path)

    return command


def _read_input(source: Path | None, record: str | None) -> tuple[bytes, str]:
    """Return the JSON lines to append, and their name in findings."""
    if (source is None) == (record is None):
        raise click.UsageError("name a FILE of JSON lines, or - for standard input, or use --record JSON")
    if record is not None:
        return record.encode("utf-8", "surrogateescape"), "--record"
    if str(source) == "-":
        return sys.stdin.buffer.read(_MAX_INPUT), "standard input"
    try:
        return Path(str(source)).read_bytes(), str(source)
    except OSError as error:
        raise NotFoundError(f"{source} cannot be read: {error.strerror}", "name a file of JSON lines") from None


def print_append_result(reporter: Reporter, result: AppendResult, log_name: str) -> int:
    """Print the result of an append and return the exit code."""
    counts = {"added": len(result.added), "already_there": len(result.repeated)}
    document = _document(result.findings, counts, result.changed_files)
    document["records"] = [dict(record) for record in result.added]

    def print_text(page: Page) -> None:
        page.findings(result.findings)
        if result.refused:
            page.line(f"refused: nothing was appended to {log_name}", style="bold red")
            return
        for record in result.added[:_MAX_LISTED]:
            page.line(f"appended  {record['run_id' if record['record_type'] == 'RUN' else 'override_id']}")
        if len(result.added) > _MAX_LISTED:
            page.line(f"and {len(result.added) - _MAX_LISTED} more")
        already = f", {len(result.repeated)} there already" if result.repeated else ""
        page.line(f"{plural(len(result.added), 'record')} appended to {log_name}{already}", style="bold green")

    reporter.print_result(document, result.findings, print_text)
    return int(ExitCode.REFUSED if result.refused else ExitCode.FINE)


def _document(findings: Sequence[Finding], counts: dict[str, int], changed_files: Sequence[str]) -> dict[str, Any]:
    return {
        "verdict": verdict_of(findings),
        "findings": [finding.to_json() for finding in findings],
        "counts": counts | count_findings(findings),
        "changed_files": list(changed_files),
    }


def _check_command(kind: LogKind) -> Command:
    @click.command("check", cls=Command, help=kind.texts["check"], examples=kind.checks)
    @click.option(
        "--baseline",
        metavar="REF|active",
        help="Check that every line of a git commit, or of the active snapshot, still exists.",
    )
    @kind.add_options
    @fail_on_option
    @click.pass_obj
    def command(reporter: Reporter, baseline: str | None, fail_on: frozenset[str], machine: str | None = None) -> int:
        repository = find_repository(reporter.settings.repo)
        result = kind.check(repository, baseline, reporter, machine)
        return _print_check_result(reporter, kind, result, kind.open(repository).display_path, fail_on)

    return command


def _print_check_result(
    reporter: Reporter, kind: LogKind, result: CheckResult, log_name: str, fail_on: frozenset[str]
) -> int:
    sizes = {"lines": result.lines, "records": result.records, f"{kind.subject}s": result.subjects}

    def print_text(page: Page) -> None:
        page.findings(result.findings)
        counts = count_findings(result.findings)
        verdict, style = ("FAIL", "bold red") if has_errors(result.findings) else ("pass", "bold green")
        checked = f"{plural(result.records, 'record')} of {plural(result.subjects, kind.subject)} in {log_name}"
        found = f"{plural(counts['errors'], 'error')}, {plural(counts['warnings'], 'warning')}"
        page.line(f"{verdict}: {checked}; {found}", style=style)

    reporter.print_result(_document(result.findings, sizes, ()), result.findings, print_text)
    failing = matches_fail_on(fail_on, result.findings)
    return combine_exit_codes([exit_code_of(result.findings), ExitCode.FAIL_ON * failing])


def _merge_command(kind: LogKind) -> Command:
    @click.command(
        "merge",
        cls=Command,
        help=kind.texts["merge"],
        examples=[
            (
                f"{kind.group} merge {kind.example_path} {kind.example_path} -o merged.jsonl",
                "the merge of a log with itself is the log",
            )
        ],
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
    merged = result.merged
    counts = {"in_both": merged.in_both, "only_in_a": merged.only_first, "only_in_b": merged.only_second}

    def print_text(page: Page) -> None:
        page.findings(result.findings)
        if result.refused:
            page.line(f"refused: {target} was not written", style="bold red")
            return
        origins = f"{merged.in_both} in both, {merged.only_first} only in A, {merged.only_second} only in B"
        unchanged = "" if result.changed else "; the file did not change"
        page.line(f"{plural(sum(counts.values()), 'record')} in {target}: {origins}{unchanged}", style="bold green")

    changed = [str(target)] if result.changed else []
    reporter.print_result(_document(result.findings, counts, changed), result.findings, print_text)
    if not result.refused:
        return int(ExitCode.FINE)
    return int(ExitCode.INVALID_EVIDENCE if merged.data is None else ExitCode.REFUSED)


_MERGE_HELP: Final = """{title}

    The result contains every line of both logs once, in an order that keeps the order of each; where neither decides,
    the fields do. It does not matter which log is named first, and a second merge changes nothing. {collision} with one
    id, or a line that is not a record, are errors (exit 3). An existing file C is replaced only if the result contains
    all of its lines (else exit 5).
    """
_RUNS: Final = LogKind(
    group="run-index",
    subject="run",
    open=run_index_log,
    append=lambda repository, records, reporter, machine: append_batch(
        repository, records, machine_id=machine, now=reporter.settings.now
    ),
    check=lambda repository, baseline, reporter, machine: check_runs_of(
        repository, baseline=baseline, machine_id=machine, now=reporter.settings.now
    ),
    texts={
        "append": """Append records to the run index.

        JSON lines from a file, from standard input (-), or one record as --record. They are validated together with
        the records that the index has of their runs. Any error refuses all of them (exit 5) and changes nothing. A
        record that the index contains already is not written again. What a crash left at the end of the log is moved
        to a file beside it and reported.
        """,
        "check": """Check the run index.

        Every line, every record, the gates of every run's current record, and the overrides as they are now: a run
        whose override was voided is a finding again. --baseline checks that no older line was changed, removed or
        moved. Exits 3 on an error, also if a log that the commit at HEAD contains is missing; 7 if there is no log or
        no such baseline, or git cannot read the repository.
        """,
        "merge": _MERGE_HELP.format(title="Merge the run indexes of two machines.", collision="Two runs"),
    },
    checks=[
        ("run-index check", "every line, record and run"),
        ("run-index check --baseline HEAD --format github", "and that no committed line is missing, for a workflow"),
        ("run-index check --fail-on warning --json", "warnings fail too"),
    ],
    for_machine=True,
)
_OVERRIDES: Final = LogKind(
    group="overrides",
    subject="override",
    open=overrides_log,
    append=lambda repository, records, _reporter, _machine: append_overrides(repository, records),
    check=lambda repository, baseline, _reporter, _machine: check_overrides_of(repository, baseline=baseline),
    texts={
        "append": """Append overrides, or updates of them, to the overrides log.

        JSON lines from a file, from standard input (-), or one record as --record. Any error refuses all of them (exit
        5) and changes nothing. An update with status voided withdraws the permission of an override: `run-index check`
        then reports its run again.
        """,
        "check": """Check the overrides log.

        Every line and record, that updates name overrides of the log, and that overrides agree with the run that they
        name unless they are voided. Exits 3 on an error, also if a log that the commit at HEAD contains is missing; 7
        if there is no log or no such baseline, or git cannot read the repository.
        """,
        "merge": _MERGE_HELP.format(title="Merge the overrides logs of two machines.", collision="Two overrides"),
    },
    checks=[
        ("overrides check", "every line and record, and the runs that they name"),
        ("overrides check --baseline HEAD", "and that no committed line is missing"),
    ],
)
run_index_append, overrides_append = map(_append_command, (_RUNS, _OVERRIDES))
run_index_check, overrides_check = map(_check_command, (_RUNS, _OVERRIDES))
run_index_merge, overrides_merge = map(_merge_command, (_RUNS, _OVERRIDES))
