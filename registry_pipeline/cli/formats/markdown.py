"""Format the text output of a command as Markdown, for the summary of a GitHub job or a comment."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from registry_pipeline.cli.reporter import Column, Page, format_message
from registry_pipeline.cli.settings import Settings
from registry_pipeline.findings.display import markdown_code, markdown_text
from registry_pipeline.findings.finding import SEVERITY_RANK, Finding, Severity

_MAX_FINDINGS: Final = 100
# GitHub refuses the summary of a step if it is larger than 1 MiB. Two commands of a step fit.
_MAX_BYTES: Final = 500_000
_INDENT: Final = 2


class MarkdownPage(Page):
    """The text output of a command as Markdown: lines are paragraphs or lists, findings are a table."""

    def __init__(self, settings: Settings, command: str) -> None:
        super().__init__(settings)
        self._bytes = self._omitted = self._depth = 0
        self._kind = ""
        self._write("heading", f"### {markdown_text(command)}")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Print a table."""
        if not self.settings.quiet:
            self._write_table(columns, ([markdown_text(cell) for cell in row] for row in rows))

    def findings(self, findings: Iterable[Finding]) -> None:
        """Print a table of findings, errors first; after 100 one line counts the others by code."""
        shown = [f for f in findings if f.severity is Severity.ERROR or not self.settings.quiet]
        ordered = sorted(shown, key=lambda finding: SEVERITY_RANK[finding.severity])
        listed, folded = ordered[:_MAX_FINDINGS], ordered[_MAX_FINDINGS:]
        if listed:
            titles = ("severity", "code", "where", "finding")
            self._write_table([Column(title) for title in titles], map(_format_finding_row, listed))
        if folded:
            counts = sorted(Counter(finding.code for finding in folded).items())
            codes = ", ".join(f"{code} x{number}" for code, number in counts)
            self._write("", f"and {len(folded)} more: {codes}. `--format text` lists them.")

    def finish(self) -> None:
        """Print how many lines were left out, if any."""
        if self._omitted:
            sys.stdout.write(f"\n{self._omitted} more lines are left out. `--format text` prints them.\n")
        sys.stdout.write("\n")

    def _print_line(self, text: str, style: str, styled: int | None = None) -> None:  # noqa: ARG002 - one of Page
        """Print one line: an indented one as an item of a list, one with a bold style as bold."""
        content = markdown_text(text.strip())
        depth = (len(text) - len(text.lstrip())) // _INDENT
        if not content:
            self._kind, self._depth = "", 0
        elif depth:
            # Markdown shows an item that is two levels deeper than the one before as code.
            self._depth = min(depth, self._depth + 1)
            self._write("list", f"{' ' * (self._depth - 1) * _INDENT}- {content}")
        else:
            # Each line is a paragraph, because Markdown joins the lines of one.
            self._depth = 0
            self._write("", f"**{content}**" if "bold" in style else content)

    def _write_table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        self._kind, self._depth = "", 0  # a table after a table is another one
        self._write("table", f"| {' | '.join(markdown_text(column.title) for column in columns)} |")
        self._write("table", f"|{'|'.join('---:' if column.right else '---' for column in columns)}|")
        for row in rows:
            self._write("table", f"| {' | '.join(row)} |")

    def _write(self, kind: str, line: str) -> None:
        """Print a line, after an empty one unless it continues a list or table; leave it out if the page is full."""
        text = line if kind and kind == self._kind else f"\n{line}"
        size = len(text.encode("utf-8", "backslashreplace")) + 1
        if self._omitted or self._bytes + size > _MAX_BYTES:
            self._omitted += 1
            return
        self._bytes += size
        self._kind = kind
        sys.stdout.write(f"{text}\n")


def _format_finding_row(finding: Finding) -> list[str]:
    location = f":{finding.location}" if finding.location else ""
    # A bar ends a cell of a table, even inside code.
    where = markdown_code(f"{finding.path}{location}").replace("|", "\\|")
    return [finding.severity.value, finding.code, where, markdown_text(format_message(finding))]
