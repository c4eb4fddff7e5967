"""Print results as text, as JSON or in a format of `formats`, with progress bars on stderr."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from registry_pipeline.canonical import json_document
from registry_pipeline.cli.exit_codes import ConditionResult, ExitCode
from registry_pipeline.cli.formats.report import Message, Report, make_condition_messages
from registry_pipeline.cli.settings import Format, Settings
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.display import MAX_LISTED, markdown_text, printable, printable_lines
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.findings.line_ends import fold_line_end_damage
from registry_pipeline.values import asdict, replace, value_type

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


# Seconds after which progress is drawn: what ends earlier needs none.
_PROGRESS_DELAY: Final = 1.0


class Progress:
    """Progress that is not drawn; the base class of drawn progress."""

    def start_step(self, text: str) -> None:
        """Start a step named `text`, with no item done."""

    def set_done(self, count: int, of: int | None = None) -> None:
        """Set how many items of the step are done, and the total if it is known."""


@contextmanager
def draw_progress(reporter: Reporter, what: str, total: int | None = None) -> Iterator[Progress]:
    """Draw progress on stderr after the block has run for a second, with the rate and the remaining time.

    Nothing is drawn if stderr is no terminal, if `total` is 0, or with `--quiet`.
    """
    if reporter.settings.quiet or not sys.stderr.isatty() or total == 0:
        yield Progress()
        return
    from rich import progress as rich_progress  # noqa: PLC0415 - only for a terminal
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class _RateColumn(rich_progress.ProgressColumn):
        def render(self, task: rich_progress.Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:,.0f}/s")

    columns = (
        rich_progress.SpinnerColumn(),
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        _RateColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    console = Console(stderr=True, color_system="auto" if reporter.settings.color else None)
    bar = rich_progress.Progress(*columns, console=console, transient=True)
    task = bar.add_task(printable(what), total=total)

    class _DrawnProgress(Progress):
        def start_step(self, text: str) -> None:
            # The rate and the remaining time are those of the step.
            bar.reset(task, description=printable(text))

        def set_done(self, count: int, of: int | None = None) -> None:
            bar.update(task, completed=count, total=total if of is None else of)

    # A timer, because a step such as waiting for a lock reports nothing while it lasts.
    timer = threading.Timer(_PROGRESS_DELAY, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield _DrawnProgress()
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started:
            bar.stop()


_FIELDS: Final = re.compile(r"(?:(?<!{){[a-z_]+})+")


def format_finding_head(finding: Finding) -> str:
    """Return the start of a finding's line: `<PREFIX>: CODE`, with the prefix of the original validators."""
    return f"{CODES[finding.code].prefix}: {finding.code}"


def format_finding(finding: Finding) -> str:
    """Return `<PREFIX>: CODE path[:location]: message expected … got … (clause) -> hint`."""
    return f"{format_finding_head(finding)} {_format_place(finding)}: {format_message(finding)}"


def _format_place(finding: Finding) -> str:
    return f"{finding.path}:{finding.location}" if finding.location else finding.path


def format_message(finding: Finding) -> str:
    """Return `message: expected … got … (clause) -> hint`, without the parts that the finding lacks."""
    return f"{_format_problem(finding)} {_format_advice(finding)}"


def _format_problem(finding: Finding) -> str:
    expected = "" if finding.expected is None else f" expected {finding.expected}"
    got = "" if finding.got is None else f" got {finding.got}"
    return f"{finding.message}{':' if expected or got else ''}{expected}{got}"


def _format_advice(finding: Finding) -> str:
    return f"({finding.clause}){f' -> {finding.hint}' if finding.hint else ''}"


def group_findings(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Return the findings of each code and severity, in the order of the first of each group."""
    groups: dict[tuple[str, Severity], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.code, finding.severity), []).append(finding)
    return list(groups.values())


def format_finding_group(group: Sequence[Finding]) -> list[str]:
    """Return the lines of findings of one code: one each, or for more than three a common one and the first three.

    The message and the hint are on the common line if all of the findings have the same.
    """
    if len(group) <= MAX_LISTED:
        return [format_finding(finding) for finding in group]
    first = group[0]
    same_problem = len({_format_problem(finding) for finding in group}) == 1
    same_hint = len({finding.hint for finding in group}) == 1
    problem = f": {_format_problem(first)}" if same_problem else ""
    advice = _format_advice(first) if same_hint else f"({first.clause})"
    lines = [f"{format_finding_head(first)} {len(group)} findings{problem} {advice}"]
    for finding in group[:MAX_LISTED]:
        problem = "" if same_problem else f": {_format_problem(finding)}"
        hint = "" if same_hint or not finding.hint else f" -> {finding.hint}"
        lines.append(f"  {_format_place(finding)}{problem}{hint}")
    return [*lines, f"  and {len(group) - MAX_LISTED} more (--verbose lists all)"]


def format_template(template: str) -> str:
    """Return a template of the table of codes, with one `…` for each run of fields."""
    return _FIELDS.sub("…", template).replace("{{", "{").replace("}}", "}")


# Version of every JSON document that states no other; raised by a change that readers must know.
SCHEMA_VERSION: Final = "0.1"
_STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_WIDE: Final = 4096
_GAP: Final = "  "
# Texts whose characters all take one cell of a terminal.
_ONE_CELL_EACH: Final = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u2013\u2014\u2026\u2192]*")
_FORCE_COLOR_VARIABLES: Final = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})
_CELL_STYLES: Final = {
    "pass": "green",
    "fail": "bold red",
    "partial": "bold red",
    "missing": "bold red",
    "active": "dim",
}


class Reporter:
    """Prints for one command; nothing else of the command line writes to stdout."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def print_result(
        self,
        document: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        findings: Sequence[Finding],
        print_text: Callable[[Page], None],
        *,
        conditions: Sequence[ConditionResult] | None = None,
        checked: Mapping[str, str] | None = None,
        nothing_checked: str = "",
    ) -> None:
        """Print the result once, in the format that the user chose.

        Args:
            document: the JSON document; a large one is given as the function that makes it. A document without
                `schema_version` gets one.
            findings: everything that was found, for the formats of other programs.
            print_text: prints the text, which is also the content of Markdown.
            conditions: the results of `--fail-on`, which every format shows; None if the command has no such option.
            checked: the paths that were checked, each with the reason if it was skipped, otherwise "".
            nothing_checked: why nothing was checked, for the formats that would be empty then.
        """
        if self.settings.format == "json":
            content = dict(document() if callable(document) else document)
            if conditions is not None:
                content["fail_on"] = [asdict(condition) for condition in conditions]
            sys.stdout.write(json_document({"schema_version": SCHEMA_VERSION} | content).decode("ascii"))
        elif self.settings.format in ("text", "markdown"):
            page = _make_page(self.settings)
            print_text(page)
            page.conditions(conditions or ())
            page.finish()
        else:
            report = Report(_find_command(), tuple(findings), tuple(conditions or ()), checked or {})
            if nothing_checked:
                failure = Message("nothing checked", Severity.ERROR, nothing_checked)
                report = replace(report, failure=failure, exit_code=int(ExitCode.NOT_FOUND))
            sys.stdout.write(_format_report(report, self.settings.format))
        sys.stdout.flush()

    def print_bytes(self, data: bytes) -> None:
        """Print a result that has its own format, such as CSV; on a terminal hidden characters are escaped."""
        if self.is_terminal:
            data = printable_lines(data.decode("utf-8", "backslashreplace")).encode("utf-8")
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal, which binary data would upset."""
        return sys.stdout.isatty()

    def note(self, text: str) -> None:
        """Print a line on stderr that is not part of the result; nothing with `--quiet`."""
        if not self.settings.quiet:
            sys.stderr.write(f"{printable(text)}\n")


@value_type
class Column:
    """A column of a table; `right` aligns numbers."""

    title: str
    right: bool = False
    # For the last column only: on a terminal that is too narrow, its cells go on lines of their own below the rows,
    # unbroken, so that they can be copied.
    below: bool = False


class Page:
    """The text output of a command: lines, tables and findings; with `--quiet` only findings that are errors."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line."""
        if not self.settings.quiet:
            self._print_line(text, style)

    def error(self, text: str) -> None:
        """Print one line about an error, also if the command is quiet."""
        self._print_line(text, _STYLES[Severity.ERROR])

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Print a table. Cells are folded to the width of a terminal and never cut in a pipe."""
        if self.settings.quiet:
            return
        cells = [list(row) for row in rows]
        lines = None if sys.stdout.isatty() else _format_plain_table(columns, cells)
        if lines is None:
            lines = _format_rich_table(self.settings, columns, cells)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in lines)

    def findings(self, findings: Iterable[Finding]) -> None:
        """Print findings, those of one code together; one line for each with `--verbose`, one for each error if quiet.

        More than three findings of one code and severity have a common line, and the first three a line below it. What
        converted line endings cause is one finding.
        """
        verbosity = self.settings.verbosity
        if not verbosity:
            findings = fold_line_end_damage(findings)
        for group in group_findings(f for f in findings if f.severity is Severity.ERROR or verbosity >= 0):
            style, styled = _STYLES[group[0].severity], len(format_finding_head(group[0]))
            lines = map(format_finding, group) if verbosity else format_finding_group(group)
            for line in lines:
                self._print_line(line, "" if line.startswith(" ") else style, styled)

    def conditions(self, conditions: Sequence[ConditionResult]) -> None:
        """Print a line for each condition of `--fail-on` that failed or is unknown; only failed ones if quiet."""
        for message in make_condition_messages(conditions):
            if message.severity is Severity.ERROR or not self.settings.quiet:
                self._print_line(f"{message.title}: {message.text}", _STYLES[message.severity])

    def finish(self) -> None:
        """Print what follows the last line."""

    def _print_line(self, text: str, style: str, styled: int | None = None) -> None:
        """Print one line; on a terminal the first `styled` characters (default: all) have the style."""
        text = printable(text)
        if not (style and self.settings.color and sys.stdout.isatty()):
            sys.stdout.write(f"{text}\n")
            return
        from rich.text import Text  # noqa: PLC0415 - only for a terminal

        line = Text(text)
        line.stylize(style, 0, styled)
        _make_console(self.settings).print(line, soft_wrap=True)


def _format_plain_table(columns: Sequence[Column], rows: list[list[str]]) -> list[str] | None:
    """Return the lines that rich would print in a pipe, or None if only rich can format the table."""
    # rich takes 40 ms to import. It is needed for wide or combining characters, for texts that it would strip or
    # fold, and for colours that the environment forces.
    titles = [printable(column.title) for column in columns]
    cells = [titles, *([printable(cell) for cell in row] for row in rows)]
    if not all(_ONE_CELL_EACH.fullmatch(cell) and cell == cell.strip() for row in cells for cell in row):
        return None
    widths = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    too_wide = sum(widths) + len(_GAP) * len(widths) > _WIDE
    if not all(widths) or too_wide or not _FORCE_COLOR_VARIABLES.isdisjoint(os.environ):
        return None
    return [
        _GAP.join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        for row in cells
    ]


def _format_rich_table(settings: Settings, columns: Sequence[Column], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table by rich; cells of a column with `below` follow their rows if they do not fit."""
    console = _make_console(settings)
    table = _make_rich_table(columns, rows)
    full_width = console.measure(table, options=console.options.update(width=_WIDE)).maximum
    if columns[-1].below and full_width > console.width:
        # The last column does not fit: print its cells below the rows, unless the other columns do not fit either.
        title, *lines = _render_lines(console, _make_rich_table(columns[:-1], [row[:-1] for row in rows]))
        if len(lines) == len(rows):
            below = ([f"    {printable(row[-1])}"] if row[-1] else [] for row in rows)
            return [title, *(text for line, cell in zip(lines, below, strict=True) for text in (line, *cell))]
    return _render_lines(console, table)


def _make_rich_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - only a table that needs rich imports it
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", collapse_padding=True)
    for column in columns:
        table.add_column(printable(column.title), justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell), style=_CELL_STYLES.get(cell, "")) for cell in row))
    return table


def _render_lines(console: Console, table: Table) -> list[str]:
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def _make_console(settings: Settings) -> Console:
    from rich.console import Console  # noqa: PLC0415

    width = None if sys.stdout.isatty() else _WIDE
    system: Literal["auto"] | None = "auto" if settings.color else None
    return Console(file=sys.stdout, width=width, color_system=system, highlight=False, markup=False, emoji=False)


def _make_page(settings: Settings) -> Page:
    if settings.format == "text":
        return Page(settings)
    from registry_pipeline.cli.formats.markdown import MarkdownPage  # noqa: PLC0415 - only for this format

    return MarkdownPage(settings, _find_command())


def _find_command() -> str:
    context = click.get_current_context(silent=True)
    return "registry-pipeline" if context is None else context.command_path


def _format_report(report: Report, form: Format) -> str:
    # Each format is imported only when it is asked for.
    if form == "junit":
        from registry_pipeline.cli.formats.junit import format_junit  # noqa: PLC0415

        return format_junit(report)
    if form == "sarif":
        from registry_pipeline.cli.formats.sarif import format_sarif  # noqa: PLC0415

        return format_sarif(report)
    from registry_pipeline.cli.formats.annotations import format_annotations  # noqa: PLC0415

    return format_annotations(report)


def report_failure(message: str, advice: str, code: int, *, form: Format) -> None:
    """Print why a command failed: one line on stderr, and in every format but text also on stdout."""
    text = f"{printable(message)}{f' -> {printable(advice)}' if advice else ''}"
    sys.stderr.write(f"error: {text}\n")
    if form == "json":
        failure = {"message": printable(message), "advice": printable(advice), "exit_code": int(code)}
        document = {"schema_version": SCHEMA_VERSION, "error": failure, "findings": []}
        sys.stdout.write(json_document(document).decode("ascii"))
    elif form == "markdown":
        sys.stdout.write(f"### registry-pipeline\n\n**error:** {markdown_text(text)}\n\n")
    elif form != "text":
        failed = Message("registry-pipeline", Severity.ERROR, text)
        sys.stdout.write(_format_report(Report("registry-pipeline", failure=failed, exit_code=int(code)), form))
