"""Which comments go with an entry or a key, and which stay (docs/decisions/0012)."""

from __future__ import annotations

import pytest

from registry_pipeline.yaml.compose import parse_yaml_values
from registry_pipeline.yaml.document import edit_yaml

BETWEEN = """\
types: # kinds
  - id: a
    tags: [] # none yet
    # in a
  # of b
  - id: b
    tags: [p] # some
    # in b

  # of nobody

  # of c
  - id: c
    # in c
# foot
"""


def changed(text: str, after: object) -> str:
    return edit_yaml(text.encode(), [after], "types.yaml").decode()


@pytest.mark.parametrize(
    ("gone", "lost"),
    [
        ("a", "  - id: a\n    tags: [] # none yet\n    # in a\n"),
        ("b", "  # of b\n  - id: b\n    tags: [p] # some\n    # in b\n"),
        ("c", "  # of c\n  - id: c\n    # in c\n"),
    ],
)
def test_removing_an_entry_removes_its_own_comments_only(gone: str, lost: str) -> None:
    (data,) = parse_yaml_values(BETWEEN.encode())
    kept = [each for each in data["types"] if each["id"] != gone]

    assert changed(BETWEEN, {"types": kept}) == BETWEEN.replace(lost, "")


def test_removing_a_key_keeps_comments_that_belong_to_nothing() -> None:
    assert changed("a: 1\nb: 2\n  # in b\n\n# of nobody\n\nc: 3\n", {"a": 1, "c": 3}) == "a: 1\n\n# of nobody\n\nc: 3\n"


def test_a_new_last_entry_follows_the_comments_of_the_previous_one() -> None:
    text = "types:\n  - id: a\n    # in a\n# foot\n"

    assert changed(text, {"types": [{"id": "a"}, {"id": "b"}]}) == text.replace("# foot", "  - id: b\n# foot")


def test_a_comment_after_an_empty_list_stays_with_its_key() -> None:
    assert changed("types: [] # kinds\n", {"types": [{"id": "a"}]}) == "types: # kinds\n  - id: a\n"


def test_the_round_trip_keeps_the_layout_of_unchanged_lines() -> None:
    text = "types:\n  - &a\n    id: a\n    d: &d x\n  - id: y\n    d: [p,  q]\n  - id: z\n    d: *d\n"
    entries = [{"id": "a", "d": "new"}, {"id": "y", "d": ["p", "q"]}, {"id": "z", "d": "x"}]

    assert changed(text, {"types": entries}).startswith("types:\n  - ")
    assert "    d: new\n  - id: y\n" in changed(text, {"types": entries})


FLOW = "types: [ # all\n  {id: a}, # of a\n  {id: c}\n] # end\nx-more:\n  - {id: y}\n"


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        (FLOW.replace(" # of a", ""), "b", FLOW.replace(" # of a", "").replace("  {id: c}", "  {id: b},\n  {id: c}")),
        (FLOW, "d", FLOW.replace("{id: c}", "{id: c},\n  {id: d}")),
        (FLOW.replace("{id: c}", "{id: c},"), "d", FLOW.replace("{id: c}", "{id: c},\n  {id: d},")),
        (FLOW.replace("\n", "\r\n"), "d", FLOW.replace("{id: c}", "{id: c},\n  {id: d}").replace("\n", "\r\n")),
    ],
)
def test_a_list_in_brackets_over_several_lines_keeps_its_lines(before: str, new: str, after: str) -> None:
    (data,) = parse_yaml_values(before.encode())
    types = sorted([*data["types"], {"id": new}], key=lambda each: each["id"])

    assert changed(before, {**data, "types": types}) == after
