"""The one way in which a verb answers: text, JSON, or GitHub annotations (SPEC 6)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from registry_pipeline.canonical import json_document
from registry_pipeline.cli.format import annotation, failure_annotation, finding_head, finding_line, summary_annotation
from registry_pipeline.cli.settings import Format, Settings
from registry_pipeline.findings.display import printable, printable_lines
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.values import value_type

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

SCHEMA_VERSION: Final = "0.1"
"""Of every JSON document that a command prints and that states no other; a change that readers must know raises it."""
_STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_WIDE: Final = 4096
_GAP: Final = "  "
_ONE_CELL_EACH: Final = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u2013\u2014\u2026\u2192]*")
"""Texts whose characters all take one cell of a terminal."""

_FORCING: Final = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})
_CELL_STYLES: Final = {
    "pass": "green",
    "fail": "bold red",
    "partial": "bold red",
    "missing": "bold red",
    "active": "dim",
}


class Reporter:
    """Answers for one command; nothing else of the command line writes to stdout."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def answer(
        self,
        document: Mapping[str, Any],
        findings: Sequence[Finding],
        tell: Callable[[Page], None],
        *,
        fold_after: int | None = None,
    ) -> None:
        """Print the answer once: `document` as JSON, or what `tell` writes, or the findings as annotations.

        A workflow shows few annotations of a step: those after `fold_after` become one that sums them up.
        """
        if self.settings.format == "json":
            sys.stdout.write(json_document({"schema_version": SCHEMA_VERSION} | dict(document)).decode("ascii"))
        elif self.settings.format == "github":
            shown = findings if fold_after is None else findings[:fold_after]
            sys.stdout.writelines(f"{annotation(each)}\n" for each in shown)
            if len(shown) < len(findings):
                sys.stdout.write(f"{summary_annotation(findings[len(shown) :])}\n")
        else:
            tell(Page(self.settings))
        sys.stdout.flush()

    def hand_over(self, data: bytes) -> None:
        """Print an answer that is bytes of a format of its own, such as CSV, and nothing beside it.

        On a terminal hidden characters are escaped; a pipe or a file gets every byte as it is.
        """
        if self.is_watched:
            data = printable_lines(data.decode("utf-8", "backslashreplace")).encode("utf-8")
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()

    @property
    def is_watched(self) -> bool:
        """Whether the answer goes to a terminal, which bytes that are no text would upset."""
        return sys.stdout.isatty()

    def note(self, text: str) -> None:
        """Tell something on stderr that is no part of the answer."""
        if not self.settings.quiet:
            sys.stderr.write(f"{printable(text)}\n")

    @property
    def draws_progress(self) -> bool:
        """Whether somebody is watching: progress is for terminals."""
        return sys.stderr.isatty() and not self.settings.quiet


@value_type
class Column:
    """A column of a table; `right` for numbers.

    `below` marks the last column of a table with long names: where the terminal is too narrow for them, each stands on
    a line of its own under its row, whole, so that it can be copied.
    """

    title: str
    right: bool = False
    below: bool = False


class Page:
    """The text answer: lines, tables and findings; coloured and fitted on a terminal, plain and whole in a pipe."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line."""
        if self.settings.quiet:
            return
        self._write(text, style)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Write a table; on a terminal its cells are folded to the width, in a pipe they are never cut."""
        if self.settings.quiet:
            return
        told = [list(row) for row in rows]
        plain = None if sys.stdout.isatty() else _plain_table(columns, told)
        if plain is not None:
            self._print(plain)
            return
        console = _console(self.settings)
        whole = _table(columns, told)
        wanted = console.measure(whole, options=console.options.update(width=_WIDE)).maximum
        if not columns[-1].below or wanted <= console.width:
            self._print(_drawn(console, whole))
            return
        head, *lines = _drawn(console, _table(columns[:-1], [row[:-1] for row in told]))
        if len(lines) != len(told):  # narrower still
            self._print(_drawn(console, whole))
            return
        self._print([head])
        for line, row in zip(lines, told, strict=True):
            self._print([line, *([f"    {printable(row[-1])}"] if row[-1] else [])])

    def findings(self, findings: Iterable[Finding]) -> None:
        """Write the findings, one line each; quiet keeps the errors."""
        for each in findings:
            if each.severity is Severity.ERROR or not self.settings.quiet:
                self._write(finding_line(each), _STYLES[each.severity], styled=len(finding_head(each)))

    def _write(self, text: str, style: str, styled: int | None = None) -> None:
        """Write one line; on a terminal its first `styled` characters, or all, have the style."""
        shown = printable(text)
        if not style or not self._is_terminal():
            sys.stdout.write(f"{shown}\n")
            return
        from rich.text import Text  # noqa: PLC0415

        line = Text(shown)
        line.stylize(style, 0, styled)
        _console(self.settings).print(line, soft_wrap=True)

    def _print(self, lines: Iterable[str]) -> None:
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in lines)

    def _is_terminal(self) -> bool:
        return self.settings.color and sys.stdout.isatty()


def _plain_table(columns: Sequence[Column], rows: list[list[str]]) -> list[str] | None:
    """Return a table as rich draws it in a pipe, without the 40 ms that rich takes; None if only rich can draw it.

    Rich is left what needs more than counting characters: wide or combining characters, texts that it would strip or
    fold, and colours that the environment forces.
    """
    titles = [printable(column.title) for column in columns]
    cells = [titles, *([printable(cell) for cell in row] for row in rows)]
    if not all(_ONE_CELL_EACH.fullmatch(cell) and cell == cell.strip() for row in cells for cell in row):
        return None
    widths = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    if not all(widths) or sum(widths) + len(_GAP) * len(widths) > _WIDE or not _FORCING.isdisjoint(os.environ):
        return None
    return [
        _GAP.join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        for row in cells
    ]


def _table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - only a text answer with a table pays for it

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", collapse_padding=True)
    for column in columns:
        made.add_column(printable(column.title), justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_text(cell) for cell in row))
    return made


def _drawn(console: Console, table: Table) -> list[str]:
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def _console(settings: Settings) -> Console:
    from rich.console import Console  # noqa: PLC0415

    width = None if sys.stdout.isatty() else _WIDE
    system: Literal["auto"] | None = "auto" if settings.color else None
    return Console(file=sys.stdout, width=width, color_system=system, highlight=False, markup=False, emoji=False)


def _text(cell: str) -> RenderableType:
    from rich.text import Text  # noqa: PLC0415

    return Text(printable(cell), style=_CELL_STYLES.get(cell, ""))


def report_failure(message: str, advice: str, code: int, *, form: Format) -> None:
    """Tell why a command could not do its work: one line on stderr, and on stdout what the format has for it."""
    told = f"{printable(message)}{f' -> {printable(advice)}' if advice else ''}"
    sys.stderr.write(f"error: {told}\n")
    if form == "json":
        failure = {"message": printable(message), "advice": printable(advice), "exit_code": int(code)}
        document = {"schema_version": SCHEMA_VERSION, "error": failure, "findings": []}
        sys.stdout.write(json_document(document).decode("ascii"))
    elif form == "github":
        sys.stdout.write(f"{failure_annotation(told)}\n")
