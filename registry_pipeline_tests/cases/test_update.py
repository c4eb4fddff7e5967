"""The update command rewrites expected results and nothing else; a case with a wrong layout is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline_tests.cases import layout
from registry_pipeline_tests.cases.layout import (
    Case,
    LayoutError,
    apply_edits,
    find_cases,
    format_json,
    read_base,
    to_text,
)
from registry_pipeline_tests.cases.update import main

WARNING = {
    "code": "CAPTURE_ENTRY_REMOVED",
    "severity": "warning",
    "path": "schema/applied_migrations.json",
    "message": "the active snapshot lists 'b', but the source does not",
}
EXPECTED = {
    "captured": ["applied_migrations_snapshot.json"],
    "records": None,
    "inputs": ["schema/applied_migrations.json"],
    "findings": [WARNING],
}
FILES = {
    "write": {
        "input/schema/applied_migrations.json": '["a"]',
        "previous/applied_migrations_snapshot.json": '["a", "b"]',
    },
    "arguments": {"registry_id": "migration_ledger"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A case of its own, in the only family of a folder of cases."""
    monkeypatch.setattr(layout, "ROOT", tmp_path)
    for function in (find_cases, read_base, layout._files_of):
        monkeypatch.setattr(layout, function.__name__, function.__wrapped__)
    monkeypatch.setattr("registry_pipeline_tests.cases.update.find_cases", find_cases.__wrapped__)
    folder = tmp_path / "capture" / "CAPTURE_ENTRY_REMOVED__mine"
    folder.mkdir(parents=True)
    return folder


def write(folder: Path, **document: Any) -> None:
    (folder / "case.json").write_text(json.dumps(FILES | document))


def expected(folder: Path) -> Any:
    return json.loads((folder / "case.json").read_bytes())["expected"]


def test_a_reworded_message_is_rewritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, expected=EXPECTED | {"findings": [WARNING | {"message": "other words"}]})

    assert main(["capture"]) == 0
    assert expected(folder) == EXPECTED
    assert '-  "message": "other words"' in capsys.readouterr().out.replace("    ", "")


@pytest.mark.parametrize("changed", [{"code": "CAPTURE_MISSING"}, {"severity": "error"}, {"path": "elsewhere"}])
def test_another_result_is_rewritten_on_request_only(folder: Path, changed: dict[str, str]) -> None:
    other = EXPECTED | {"findings": [WARNING | changed | {"message": "other words"}]}
    write(folder, expected=other)

    assert main(["capture"]) == 1
    assert expected(folder) == other
    assert main(["capture", "--results"]) == 0
    assert expected(folder) == EXPECTED


def test_a_new_case_gets_its_result_and_a_dry_run_writes_nothing(folder: Path) -> None:
    write(folder)
    before = (folder / "case.json").read_bytes()

    assert main(["capture", "--dry-run"]) == 0
    assert (folder / "case.json").read_bytes() == before
    assert main(["capture"]) == 0
    assert expected(folder) == EXPECTED


def test_what_is_beside_the_cases_stays(folder: Path) -> None:
    write(folder, expected=EXPECTED)
    (folder / "overlay" / "input").mkdir(parents=True)
    (folder / "overlay" / "input" / "NOTES.md").write_text("mine\n")
    (folder.parent / "draft").mkdir()
    before = layout.read_folder(folder.parent)

    assert main(["capture", "--results"]) == 0
    assert layout.read_folder(folder.parent) == before


def test_an_unknown_family_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["captures"])

    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"bse": "tides"}, r"unknown keys \['bse'\]"),
        ({"base": "nowhere"}, "there is no such base"),
        ({"remove": ["a.txt"]}, "remove: the base has no file a.txt"),
        ({"edit": {"a.txt": [["a", "b"]]}}, "edit: the base has no file a.txt"),
        ({"base": "letters", "edit": {"a.txt": [["b", "c"]]}}, "must occur once: 'b'"),
        ({"base": "letters", "edit": {"a.txt": [["a", "c"]]}}, "must occur once: 'a'"),
        ({"base": "letters", "write": {"a.txt": "a-a"}}, "a.txt is the same as in the base"),
    ],
)
def test_a_bad_layout_is_refused_with_the_name_of_the_case(folder: Path, document: Any, message: str) -> None:
    base = folder.parent / "_base" / "letters"
    base.mkdir(parents=True)
    (base / "a.txt").write_text("a-a")
    (folder / "case.json").write_text(json.dumps(document))

    with pytest.raises(LayoutError, match=message) as caught:
        Case("capture", folder.name).files()
    assert "capture/" in str(caught.value)


def test_texts_and_edits() -> None:
    assert to_text(["one", {"repeat": "[", "times": 3}, "two"]) == "one\n[[[two\n"
    assert apply_edits(b"a b\n", [("a", "c"), ("", ["d"])]) == b"c b\nd\n"


def test_json_that_fits_takes_one_line() -> None:
    value = {"a": [1, {"b": "x" * 100}], "c": {}}

    assert json.loads(format_json(value)) == value
    assert format_json({"a": [1, 2]}) == '{"a": [1, 2]}'
    assert len(format_json(value).splitlines()) > 1
