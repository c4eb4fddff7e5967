"""Text from names and contents that anybody may have written, as people can safely read it.

It is shown on a terminal, in Markdown (the health report, Dagster) or in a spreadsheet. Documents for programs are not
changed: JSON escapes by itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

# Unassigned characters are shown: which ones are unassigned differs between versions of Python.
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Characters of other categories that no font draws: fillers, joiners, and those that Unicode reserves to be ignored.
_HIDDEN_OTHERS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_LINE_BREAKS: Final = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
_MARKUP: Final = re.compile(r"[\\`*\[\]<>|&]")
_BACKTICKS: Final = re.compile("(`+)")
MAX_LISTED: Final = 3
# Underscores that begin or end emphasis; inside a word, as in a run id, they do not.
_EMPHASIS: Final = re.compile(r"(?<!\w)_+|(?<!_)_+(?!\w)")
_HEADING: Final = re.compile(r"\A *#")
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = re.compile("[\t\r\n]|[\\s\"'\u2018\u2019\u201c\u201d]*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


def is_hidden(character: str) -> bool:
    """Return whether a character is invisible or commands its surroundings, as ESC and the bidirectional marks do."""
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or _HIDDEN_OTHERS.match(character) is not None


def printable(text: str) -> str:
    """Return a text on one line, with every hidden character, newlines and tabs included, as its escape."""
    # Characters that Python calls printable are in no hidden category.
    if text.isprintable() and _HIDDEN_OTHERS.search(text) is None:
        return text
    return "".join(_escape(c) if is_hidden(c) else c for c in text)


def list_some(items: Sequence[str], separator: str) -> str:
    """Return the first three items, and the number of the others."""
    more = len(items) - MAX_LISTED
    return separator.join(items[:MAX_LISTED]) + (f"{separator}and {more} more" if more > 0 else "")


def printable_lines(text: str) -> str:
    """Return a text of several lines, with every hidden character but tabs and newlines as its escape."""
    return "".join(c if c in "\n\t" else printable(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is, in a line or a cell; line breaks and tabs become blanks."""
    line = _EMPHASIS.sub(lambda match: r"\_" * len(match[0]), _MARKUP.sub(r"\\\g<0>", _one_line(text)))
    return _HEADING.sub(r"\#", line)


def _one_line(text: str) -> str:
    return printable(_LINE_BREAKS.sub(" ", text))


def markdown_code(text: str) -> str:
    """Return a text as code inside a line of Markdown, whatever backticks it contains; line breaks become blanks."""
    line = _one_line(text)
    fence = "`" * (_count_longest_backticks(line) + 1)
    blank = " " if "`" in line or not line.strip() else ""
    return f"{fence}{blank}{line}{blank}{fence}"


def markdown_block(text: str, language: str) -> str:
    """Return a text of several lines as a block of code in Markdown, whatever backticks it contains."""
    fence = "`" * max(3, _count_longest_backticks(text) + 1)
    return f"{fence}{language}\n{printable_lines(text)}\n{fence}"


def _count_longest_backticks(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)


def spreadsheet_cell(text: str) -> str:
    """Return the text of a cell, with an apostrophe before it if a spreadsheet would run it as a formula.

    Blanks, quotes and hidden characters before the sign do not protect: programs drop them.
    """
    visible = "".join(c for c in text if c in "\t\r\n" or not is_hidden(c))
    return f"'{text}" if _FORMULA.match(visible) else text


def json_pointer(path: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of member names and item numbers, with hidden characters escaped."""
    return "".join(f"/{printable(str(step)).replace('~', '~0').replace('/', '~1')}" for step in path)
