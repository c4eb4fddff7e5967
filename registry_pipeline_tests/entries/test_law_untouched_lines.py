"""Law: an insertion only adds lines; an update changes no line of another entry."""

from __future__ import annotations

import difflib
import re
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from registry_pipeline.yaml.compose import parse_yaml_values
from registry_pipeline_tests.entries.test_law_idempotent import inserted
from registry_pipeline_tests.entries.yaml_texts import entries, files

# A literal block that keeps its last newline; its value depends on whether a line follows.
BLOCK_HEADER = re.compile(r" \|\d?\+?\r?$", re.MULTILINE)


@given(files(), entries(key="zzz"), st.sampled_from(["\n", "\r\n"]))
def test_a_new_entry_leaves_every_line_where_it_was(
    file: tuple[str, list[dict[str, Any]]], entry: dict[str, Any], newline: str
) -> None:
    before = file[0].replace("\n", newline)
    # A block that the end of the file ended has another value with a line after it: see the next test.
    assume(before.endswith("\n") or not BLOCK_HEADER.search(before))

    after = inserted(before.encode(), entry).decode()

    old, new = before.splitlines(), after.splitlines()
    gone = [line[2:] for line in difflib.ndiff(old, new) if line.startswith("- ")]
    assert gone == (["types: []"] if not file[1] else [])
    assert ("\r\n" in after) == (newline == "\r\n")


def test_a_block_that_the_end_of_the_file_ended_keeps_its_value() -> None:
    before = b"types:\n# about a\n- id: a\n- id: b\n  name: |\n    x"

    after = inserted(before, {"id": "zzz"})

    assert after.startswith(b"types:\n# about a\n- id: a\n- id: b\n")
    assert parse_yaml_values(after)[0]["types"] == [{"id": "a"}, {"id": "b", "name": "x"}, {"id": "zzz"}]


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
