"""Text from other tools is displayed safely: no hidden character, no markup, no formula."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.findings.display import (
    is_hidden,
    markdown_block,
    markdown_code,
    markdown_text,
    printable,
    printable_lines,
    spreadsheet_cell,
)

HIDDEN = (
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029",
    *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f\u115f\u1160\u3164\uffa0\U000e0041\ud800",
)
ORDINARY = (
    "Ingest Rates (Checkpointed)",
    "Count Rows — nightly",
    "naïve name",
    "東京　駅",
    "-5",
    "a_b",
    "שלום",
    "🎬",
    "e\u0301",
)


@pytest.mark.parametrize("character", HIDDEN, ids=lambda character: f"U+{ord(character):04X}")
def test_a_hidden_character_is_shown_as_its_escape_everywhere(character: str) -> None:
    text = f"a{character}b"

    assert is_hidden(character)
    for shown in (printable(text), markdown_text(text), markdown_code(text)):
        assert not any(map(is_hidden, shown))
        assert len(shown.splitlines()) == 1
    assert not any(is_hidden(c) for c in markdown_block(text, "") if c not in "\n\t")


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == printable_lines(text) == markdown_text(text) == text
    assert markdown_code(text) == f"`{text}`"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("# title", r"\# title"),
        ("  # title", r"\# title"),
        ("<script>", r"\<script\>"),
        ("[x](y)", r"\[x\](y)"),
        ("![x](y)", r"!\[x\](y)"),
        ("a`b`", r"a\`b\`"),
        ("a\r\n\n## b", "a ## b"),
        ("\\", "\\\\"),
        ("&lt;", r"\&lt;"),
        ("**b**", r"\*\*b\*\*"),
    ],
)
def test_markup_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


@pytest.mark.parametrize("text", ["a`b", "``", "`", "a``b`c", " ", ""])
def test_code_ends_where_its_text_ends(text: str) -> None:
    shown = markdown_code(text)
    fence = re.match("`+", shown)

    assert fence is not None
    assert len(fence[0]) not in {len(run) for run in re.findall("`+", text)}
    assert shown.endswith(fence[0])
    assert shown.count(fence[0]) == 2


def test_a_block_of_code_cannot_be_closed_by_its_text() -> None:
    block = markdown_block("a\n```\n<script>\n````", "json").splitlines()

    assert block[0] == "`````json"
    assert block[-1] == "`````"
    assert block[1:-1] == ["a", "```", "<script>", "````"]


@given(st.text())
def test_no_text_leaves_its_line_or_its_cell(text: str) -> None:
    shown = markdown_text(text)

    assert len(shown.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`<>\[\]]", shown)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\tx",
            "\rx",
            "\n",
            "  =1",
            '"=1',
            "'=1",
            " \"' =1",
            "\u00a0=1",
        ),
        *(
            "\ufeff=1",
            "\u200b@x",
            "\u202e=1",
            "\uff1d1",
            "\uff0b1",
            "\uff0d1",
            "\uff20x",
            "=cmd|' /C calc'!A0",
            "\u201c=1",
        ),
    ],
)
def test_a_formula_is_no_formula_behind_an_apostrophe(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "a=1", "RUN-1", "2026-02-10T09:31Z", "5", "/srv/a.md", '["=1"]', "a -b", " ", "'"]
)
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert spreadsheet_cell(text) == text


@given(st.text())
def test_no_cell_begins_as_a_formula_once_a_reader_has_dropped_what_hides_it(text: str) -> None:
    row = io.StringIO(newline="")
    csv.writer(row).writerow([spreadsheet_cell(text), "x"])
    (cell, _), *_ = csv.reader(io.StringIO(row.getvalue(), newline=""))

    visible = "".join(c for c in cell if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co")).strip(' \u00a0"')
    assert cell in (text, f"'{text}")
    assert not visible.startswith(("=", "+", "-", "@"))
