"""`explain` and `roles rules`: the table of codes, and that of the other words of the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import click

from registry_pipeline.cli.completion import complete_code
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter, format_template
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import CODES, rows_of_family
from registry_pipeline.findings.finding import PREFIXES, CodeRow, did_you_mean

if TYPE_CHECKING:
    from registry_pipeline.findings.words import WordRow

_SPECIFICATION: Final = "docs/reference/specification.md"
_MEMBERS: Final = ("code", "severity", "clause", "message", "hint", "prefix")


@command(
    "explain",
    ("explain HASH_MISMATCH", "what is wrong, and what to do"),
    ("explain unsealed", "a verdict, a state or another word at the start of a printed line"),
    ("explain --json", "the table of all codes"),
)
@click.argument("word", metavar="[WORD]...", nargs=-1, shell_complete=complete_code)
def explain_command(reporter: Reporter, word: tuple[str, ...]) -> int:
    """Explain a code or a printed word, or list every code.

    WORD is the code of a finding, or the first word of any line that a command prints: the prefix of a finding, a
    verdict, a state, the name of a registry. More words of the line are ignored. Prints the meaning and the heading
    of the specification that describes it; for a code also the severity, the message and what to do.
    """
    if not word:
        _print_codes(reporter, list(CODES.values()), _print_table)
        return 0
    # A finding's line starts with its prefix, and the code says more.
    first, *others = [part.rstrip(":,;") for text in word for part in text.split()] or [""]
    if first in PREFIXES.values() and others and others[0] in CODES:
        first = others[0]
    row = CODES.get(first)
    if row is None and first not in _read_words():
        row = CODES.get(first.upper())
    if row is not None:
        _print_codes(reporter, [row], lambda page, rows: _print_row(page, rows[0]))
    elif first in PREFIXES.values():
        _print_codes(reporter, [row for row in CODES.values() if row.prefix == first], _print_table)
    else:
        _print_word(reporter, _find_word(first))
    return 0


def _print_codes(reporter: Reporter, rows: list[CodeRow], print_rows: Callable[[Page, list[CodeRow]], None]) -> None:
    document = {"codes": [{name: getattr(row, name) for name in _MEMBERS} for row in rows], "words": []}
    reporter.print_result(document, (), lambda page: print_rows(page, rows))


def _print_word(reporter: Reporter, row: WordRow) -> None:
    def print_text(page: Page) -> None:
        page.line(row.word, style="bold")
        page.line(f"  meaning    {row.meaning}")
        page.line(f"  reference  {_SPECIFICATION}, heading {row.clause}")

    words = [{"word": row.word, "meaning": row.meaning, "clause": row.clause}]
    reporter.print_result({"codes": [], "words": words}, (), print_text)


def _read_words() -> Mapping[str, WordRow]:
    from registry_pipeline.findings.words import WORDS  # noqa: PLC0415 - not needed for a code

    return WORDS


def _find_word(word: str) -> WordRow:
    """Return the row of a word or registry; raise NotFoundError with a similar code or word if it is unknown."""
    from registry_pipeline.findings.words import WordRow  # noqa: PLC0415 - not needed for a code
    from registry_pipeline.registries.catalog import SHIPPED  # noqa: PLC0415 - likewise

    # The verdict of many runs is printed as FAIL.
    words = _read_words()
    row = words.get(word) or words.get(word.lower()) or words.get(word.upper())
    if row is not None:
        return row
    if word in SHIPPED.registries:
        spec = SHIPPED.registries[word]
        return WordRow(word, f"a registry ({spec.kind}): {spec.title}", "Registry table")
    suggestion = did_you_mean(word.upper(), CODES) or did_you_mean(word, [*words, *SHIPPED.registries])
    question = f"did you mean {suggestion}? " if suggestion else ""
    raise NotFoundError(f"there is no code {word}", f"{question}`registry-pipeline explain` lists all codes")


def _print_table(page: Page, rows: list[CodeRow]) -> None:
    columns = [Column("code"), Column("severity"), Column("clause"), Column("message", below=True)]
    page.table(columns, ([row.code, row.severity.value, row.clause, format_template(row.message)] for row in rows))


def _print_row(page: Page, row: CodeRow) -> None:
    page.line(f"{row.code} ({row.severity.value})", style="bold")
    page.line(f"  message    {format_template(row.message)}")
    page.line(f"  hint       {format_template(row.hint)}")
    page.line(f"  reference  {_SPECIFICATION}, heading {row.clause}")
    page.line(f"  shown as   {row.prefix}: {row.code} …")


@command("rules", ("roles rules", "every code, its severity and its message"))
def roles_rules_command(reporter: Reporter, /) -> int:
    """List the rules of the role pack.

    An error that the baseline has too is reported as a warning. `explain CODE` describes one rule in full.
    """
    rows = rows_of_family("roles")
    keys = ("code", "severity", "clause", "message", "hint")
    document = {"rules": [{key: str(getattr(row, key)) for key in keys} for row in rows], "findings": []}

    def print_rules(page: Page) -> None:
        columns = [Column("code"), Column("severity"), Column("what is wrong", below=True)]
        page.table(columns, [(row.code, row.severity.value, format_template(row.message)) for row in rows])

    reporter.print_result(document, (), print_rules)
    return 0
