"""Records by key, objects by JSON pointer: what leads from one artifact to another."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_document, json_line
from registry_pipeline.pipeline.diff import FieldChange, compare_artifact, find_field_changes

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab~/", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text("ab~/", max_size=2), json_values, max_size=4)
tables = st.dictionaries(st.integers(0, 6), objects, max_size=5).map(
    lambda rows: [{"id": number, **{f"x{name}": value for name, value in row.items()}} for number, row in rows.items()]
)


def lines(records: list[Any]) -> bytes:
    return b"".join(json_line(record) for record in records)


def applied(value: Any, fields: tuple[FieldChange, ...]) -> Any:
    """Return a value with changes made to it: the reading of JSON pointers by somebody else."""
    made = copy.deepcopy(value)
    for change in fields:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in change.field.split("/")[1:]]
        place = made
        for step in steps[:-1]:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if not steps:
            made = change.after
        elif isinstance(place, list):
            _change_item(place, int(steps[-1]), change)
        elif change.change == "removed":
            del place[steps[-1]]
        else:
            place[steps[-1]] = change.after
    return made


def _change_item(place: list[Any], index: int, change: FieldChange) -> None:
    if change.change == "removed":
        place[index] = Ellipsis
        while place and place[-1] is Ellipsis:
            place.pop()
    elif index == len(place):
        place.append(change.after)
    else:
        place[index] = change.after


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(objects, objects)
def test_making_the_changes_leads_from_one_object_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    fields = compare_artifact("a.json", json_document(before), json_document(after), ()).fields
    removed_last = sorted(fields, key=lambda field: field.change == "removed")
    # From the end, so that the places of the others stay what they are.
    ordered = [f for f in removed_last if f.change != "removed"] + [f for f in fields if f.change == "removed"][::-1]

    assert _same(applied(before, tuple(ordered)), after)
    assert (fields == ()) == _same(before, after)


@given(tables, tables)
def test_the_records_of_the_second_are_those_of_the_first_without_with_and_changed(
    before: list[Any], after: list[Any]
) -> None:
    comparison = compare_artifact("a.jsonl", lines(before), lines(after), ("id",))
    old = {record["id"]: record for record in before}

    made = {number: record for number, record in old.items() if record not in comparison.removed}
    made |= {record["id"]: record for record in comparison.added}
    assert set(made) == {record["id"] for record in after}
    assert {change.key["id"] for change in comparison.changed} == {
        r["id"] for r in after if r["id"] in old and not _same(old[r["id"]], r)
    }
    assert comparison.unchanged + len(comparison.changed) + len(comparison.added) == len(after)


@given(tables, tables, st.sampled_from([(), ("id",)]))
def test_from_there_back_what_was_added_is_removed(before: list[Any], after: list[Any], key: tuple[str, ...]) -> None:
    there = compare_artifact("a.json", json_document(before), json_document(after), key)
    back = compare_artifact("a.json", json_document(after), json_document(before), key)

    assert lines(sorted(there.added, key=str)) == lines(sorted(back.removed, key=str))
    assert len(there.changed) == len(back.changed)
    assert there.unchanged == back.unchanged


def test_a_field_that_is_null_is_not_a_field_that_is_absent() -> None:
    changes = list(find_field_changes({"a": None, "b": 1}, {"b": None, "c": None}))

    assert changes == [
        FieldChange("/a", "removed", None, None),
        FieldChange("/b", "changed", 1, None),
        FieldChange("/c", "added", None, None),
    ]


def test_true_is_another_value_than_one() -> None:
    assert list(find_field_changes({"a": 1}, {"a": True})) == [FieldChange("/a", "changed", 1, True)]


def test_lists_of_objects_are_compared_by_position_and_other_lists_as_one_value() -> None:
    before = {"migrations": [{"id": 1}], "warnings": ["a", "b"]}
    after = {"migrations": [{"id": 1}, {"id": 2}], "warnings": ["b"]}

    assert list(find_field_changes(before, after)) == [
        FieldChange("/migrations/1", "added", None, {"id": 2}),
        FieldChange("/warnings", "changed", ["a", "b"], ["b"]),
    ]


def test_rows_of_csv_are_records() -> None:
    comparison = compare_artifact("a.csv", b"id,n\r\n1,a\r\n2,b\r\n", b"id,n\r\n2,c\r\n3,d\r\n", ("id",))

    assert comparison.added == ({"id": "3", "n": "d"},)
    assert comparison.removed == ({"id": "1", "n": "a"},)
    assert [(dict(c.key), c.fields) for c in comparison.changed] == [
        ({"id": "2"}, (FieldChange("/n", "changed", "b", "c"),))
    ]


def test_without_a_unique_key_complete_records_are_compared() -> None:
    comparison = compare_artifact(
        "a.jsonl", lines([{"id": 1, "n": 1}, {"id": 1, "n": 2}]), lines([{"id": 1, "n": 1}]), ("id",)
    )

    assert (comparison.key, comparison.added, comparison.removed, comparison.unchanged) == (
        (),
        (),
        ({"id": 1, "n": 2},),
        1,
    )


def test_what_cannot_be_taken_apart_differs_as_bytes() -> None:
    cases = {
        "a.md": (b"a", b"b"),
        "a.json": (b"{", b"{}"),
        "b.json": (b"[]", b"{}"),
        "a.jsonl": (b"{}\nx\n", b"{}\n"),
        "a.csv": (b"a,b\n1\n", b"a,b\n"),
    }

    kinds = {path: compare_artifact(path, *sides, ()).kind for path, sides in cases.items()}

    assert set(kinds.values()) == {"bytes"}


@given(st.sampled_from(["a.json", "a.jsonl", "a.csv"]), st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_are_compared(path: str, before: bytes, after: bytes) -> None:
    json.dumps(compare_artifact(path, before, after, ("id",)).to_json())
