"""Law: an insertion only adds lines; an update changes no line of another entry."""

from __future__ import annotations

import difflib
import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from registry_pipeline_tests.entries.test_law_idempotent import inserted
from registry_pipeline_tests.entries.yaml_texts import entries, files

BLOCK_HEADER = re.compile(r"\|(\d?)\+?$")


@example(("types:\n  - id: a\n    name: |\n      x", [{"id": "a", "name": "x"}]), {"id": "zzz"}, "\n")
@given(files(), entries(key="zzz"), st.sampled_from(["\n", "\r\n"]))
def test_a_new_entry_leaves_every_line_where_it_was(
    file: tuple[str, list[dict[str, Any]]], entry: dict[str, Any], newline: str
) -> None:
    before = file[0].replace("\n", newline)

    after = inserted(before.encode(), entry).decode()

    old, new = before.splitlines(), after.splitlines()
    gone = [line[2:] for line in difflib.ndiff(old, new) if line.startswith("- ")]
    if gone and file[1] and not before.endswith("\n"):
        # The end of the file ended a block, so its value has no final newline. With a line after it only `|-` says so.
        assert [BLOCK_HEADER.sub(r"|\1-", line) in new for line in gone] == [True]
    else:
        assert gone == (["types: []"] if not file[1] else [])
    assert ("\r\n" in after) == (newline == "\r\n")


@given(files(), st.data())
def test_an_update_leaves_the_lines_of_the_others(file: tuple[str, list[dict[str, Any]]], data: st.DataObject) -> None:
    text, there = file
    if not there:
        return
    at = data.draw(st.integers(0, len(there) - 1))
    entry = data.draw(entries(key=there[at]["id"]))

    after = inserted(text.encode(), entry).decode()

    mark = f"- id: {entry['id']}"
    start = next(i for i, line in enumerate(text.split("\n")) if line.strip() == mark or line.strip().startswith(mark))
    head = text.split("\n")[: start + 1]
    assert after.split("\n")[: start + 1] == head
    if at + 1 < len(there):
        following = f"- id: {there[at + 1]['id']}"
        rest = text[text.index(following) :]
        assert after.endswith(rest)
