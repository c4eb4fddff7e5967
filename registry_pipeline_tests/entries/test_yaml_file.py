"""`load_yaml` and `dump_yaml`: YAML 1.2 in, the smallest change out."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from registry_pipeline.errors import NotFoundError, RefusedError, RegistryPipelineError
from registry_pipeline.registries.entries.references import insert_or_update_entry
from registry_pipeline.yaml.compose import parse_yaml, parse_yaml_values
from registry_pipeline.yaml.document import YamlDocuments, _edit_by_round_trip, dump_yaml, edit_yaml, load_yaml
from registry_pipeline.yaml.edit import EditError

COMMENTED = """\
# head
types:
  # about gauge
  - id: gauge  # the first
    description: no
    version: 010
    inbound:
      # why
      - service # because
    # end of gauge

  # about service
  - id: service
    description: |
      Long
      text

# foot
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "types.yaml"
    place.write_text(COMMENTED)
    return place


def test_values_are_those_of_yaml_1_2(file: Path) -> None:
    entry = load_yaml(file)["types"][0]

    assert entry["description"] == "no"
    assert entry["version"] == 10


def test_loading_and_dumping_leaves_the_file_unchanged(file: Path) -> None:
    before = file.stat()

    dump_yaml(file, load_yaml(file))

    assert file.read_text() == COMMENTED
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_a_comment_moves_with_its_entry(file: Path) -> None:
    data = load_yaml(file)
    insert_or_update_entry(data["types"], "id", {"id": "lock", "description": "Between."})
    dump_yaml(file, data)

    between = file.read_text()
    assert between == COMMENTED.replace(
        "\n  # about service", "\n  - id: lock\n    description: Between.\n\n  # about service"
    )
    del data["types"][0]
    dump_yaml(file, data)
    assert file.read_text().startswith("# head\ntypes:\n  - id: lock")
    for gone in ("about gauge", "the first", "because", "end of gauge"):
        assert gone not in file.read_text()


def test_an_update_changes_the_lines_of_its_field_alone(file: Path) -> None:
    data = load_yaml(file)
    gauge = {**data["types"][0], "inbound": ["archive", "service"], "status": "active"}
    insert_or_update_entry(data["types"], "id", gauge)

    dump_yaml(file, data)

    assert file.read_text() == COMMENTED.replace("      # why\n", "      - archive\n      # why\n").replace(
        "because\n", "because\n    status: active\n"
    )


def test_several_documents_are_kept_apart(tmp_path: Path) -> None:
    place = tmp_path / "a.yaml"
    place.write_text("# one\nscope: a\n---\n# two\nroutes:\n  - when_to_use: x\n")

    data = load_yaml(place)
    assert isinstance(data, YamlDocuments)
    data[1]["routes"].append({"when_to_use": "z"})
    dump_yaml(place, data)

    assert place.read_text() == "# one\nscope: a\n---\n# two\nroutes:\n  - when_to_use: x\n  - when_to_use: z\n"


def test_anchors_and_merge_keys_stay_as_they_are(tmp_path: Path) -> None:
    place = tmp_path / "a.yaml"
    text = "x: &x {a: 1}\nlist:\n  - id: m\n    <<: *x\n    b: 2\n"
    place.write_text(text)
    data = load_yaml(place)

    insert_or_update_entry(data["list"], "id", {"id": "o", "a": 3})
    dump_yaml(place, data)

    assert place.read_text() == text + "  - id: o\n    a: 3\n"


def test_an_alias_keeps_its_value_when_its_anchor_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "a.yaml"
    place.write_text("list:\n  - id: m\n    tags: &t [a]\n  - id: o\n    tags: *t\n")

    dump_yaml(place, {"list": [{"id": "o", "tags": ["a"]}]})

    assert parse_yaml_values(place.read_bytes()) == [{"list": [{"id": "o", "tags": ["a"]}]}]


def test_a_change_that_would_lose_a_comment_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "a.yaml"
    text = "list: [\n  a, # about a\n  b, # about b\n]\n"
    place.write_text(text)

    with pytest.raises(RefusedError, match="without losing a comment"):
        dump_yaml(place, {"list": ["a", "c", "d"]})

    assert place.read_text() == text


def test_an_empty_file_loads_as_nothing_and_a_new_one_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert load_yaml(tmp_path / "empty.yaml") is None

    for name, text in (("empty.yaml", "# nothing yet\n"), ("new.yaml", "")):
        dump_yaml(tmp_path / name, {"types": [{"id": "a"}]})

        assert (tmp_path / name).read_text() == f"{text}types:\n  - id: a\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.yaml", "new.yaml"]


REFUSED = {
    "a key twice": (b"a: 1\na: 2\n", "the key 'a' is duplicated"),
    "no YAML": (b"a: [\n", "did not find expected"),
    "no UTF-8": (b"a: \xff\n", "not UTF-8"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_a_text_that_is_no_strict_yaml_is_refused_and_never_overwritten(
    tmp_path: Path, data: bytes, message: str
) -> None:
    place = tmp_path / "a.yaml"
    place.write_bytes(data)

    with pytest.raises(RefusedError, match=message):
        load_yaml(place)
    with pytest.raises(RefusedError, match=message):
        dump_yaml(place, {"a": 1})

    assert place.read_bytes() == data


def test_a_missing_file_a_link_and_a_pipe_are_reported(tmp_path: Path) -> None:
    import os

    (tmp_path / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")

    with pytest.raises(NotFoundError):
        load_yaml(tmp_path / "none.yaml")
    for name in ("link.yaml", "pipe.yaml"):
        with pytest.raises(RefusedError):
            load_yaml(tmp_path / name)
        with pytest.raises(RefusedError):
            dump_yaml(tmp_path / name, {"a": 1})
    assert not (tmp_path / "elsewhere.yaml").exists()


LAYOUTS = {
    "flow": ("types: [{id: a}, {id: c}]\n", "types: [{id: a}, {id: b}, {id: c}]\n"),
    "dashes at the margin": ("types:\n- id: a\n- id: c\n", "types:\n- id: a\n- id: b\n- id: c\n"),
    "no last line end": ("types:\n  - id: a\n  - id: c", "types:\n  - id: a\n  - id: b\n  - id: c"),
    "windows": ("types:\r\n  - id: a\r\n", "types:\r\n  - id: a\r\n  - id: b\r\n"),
    "nothing": ("types:\n", "types:\n  - id: b\n"),
    "null with a comment": ("types: # none yet\n", "types: # none yet\n  - id: b\n"),
    "an empty list": ("types: []\nx: 1\n", "types:\n  - id: b\nx: 1\n"),
    "a document mark": ("---\ntypes: []\n", "---\ntypes:\n  - id: b\n"),
    "not sorted": ("types:\n  - id: z\n  - id: a\n", "types:\n  - id: z\n  - id: a\n  - id: b\n"),
    "a literal block above": (
        "types:\n  - id: a\n    d: |\n      x\n\n\n",
        "types:\n  - id: a\n    d: |\n      x\n  - id: b\n\n\n",
    ),
    "by the other road": ("# A\ntypes:\n  -\n    id: a\n", "# A\ntypes:\n  - id: a\n  - id: b\n"),
}


@pytest.mark.parametrize(("before", "after"), LAYOUTS.values(), ids=LAYOUTS)
def test_an_entry_has_the_layout_of_its_neighbours(before: str, after: str) -> None:
    (document,) = parse_yaml_values(before.encode())
    types = insert_or_update_entry(list(document["types"] or []), "id", {"id": "b"})

    assert edit_yaml(before.encode(), [{**document, "types": types}], "types.yaml") == after.encode()


@pytest.mark.parametrize("before", ["a: 1\n", "a: 1"])
def test_another_document_is_added_and_removed_with_its_marker(before: str) -> None:
    both = edit_yaml(before.encode(), [{"a": 1}, {"b": 2}], "a.yaml")

    assert both == b"a: 1\n---\nb: 2\n"
    assert edit_yaml(both, [{"a": 1}], "a.yaml") == b"a: 1\n"
    assert parse_yaml_values(edit_yaml(both, [{"b": 2}], "a.yaml")) == [{"b": 2}]


def test_the_round_trip_loses_no_comment() -> None:
    text = "types: [ # open\n  {id: a}, # A\n]\n"

    with suppress(EditError):
        outcome = _edit_by_round_trip(text, parse_yaml(text.encode()), [{"types": [{"id": "a"}, {"id": "b"}]}])

        assert "# open" in outcome
        assert "# A" in outcome


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"id": "a"}, {"id": "a"}], "two entries have the key 'a'"),
        ({"one": [], "two": []}, "not a list of entries"),
        ({"one": 1}, "not a list of entries"),
    ],
)
def test_data_that_is_not_a_list_of_entries_is_refused(data: object, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        insert_or_update_entry(data, "id", {"id": "a", "x": 1})


def test_an_entry_without_its_key_is_refused() -> None:
    with pytest.raises(RefusedError, match="has no id"):
        insert_or_update_entry([], "id", {"name": "a"})


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "types:\n", "a: &i 1\nb: &i 2\nc: *i\n"])
def test_writing_unchanged_values_leaves_the_bytes(tmp_path: Path, text: str) -> None:
    place = tmp_path / "file.yaml"
    place.write_text(text)

    dump_yaml(place, load_yaml(place))

    assert place.read_text() == text


@pytest.mark.parametrize("value", [{1: 2}, {"a": {1, 2}}, [object()], {"a": date(2026, 3, 1)}, {"a": float("nan")}])
def test_a_value_outside_json_is_refused_and_not_written_as_text(file: Path, value: object) -> None:
    with pytest.raises(RefusedError, match="is no"):
        dump_yaml(file, value)

    assert file.read_text() == COMMENTED


def test_a_tab_that_the_second_reader_cannot_read_is_a_refusal(file: Path) -> None:
    file.write_text("types:\n  - a\t\n")

    with pytest.raises(RefusedError, match="two YAML parsers"):
        load_yaml(file)


def test_a_missing_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RegistryPipelineError, match="cannot be written: there is no folder"):
        dump_yaml(tmp_path / "new" / "file.yaml", {"a": 1})


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="not a regular file"):
        load_yaml(tmp_path)
