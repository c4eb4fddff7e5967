"""Every rule has a folder: the repository before, what is asked, the findings, the files after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.config import load_governed
from registry_pipeline.entries.contents import read_contents
from registry_pipeline.entries.coordination import WHEN, check_contents
from registry_pipeline.model.codes import CODES, rows_of_family
from registry_pipeline.model.finding import has_errors
from registry_pipeline.runbook.entries import check_entries
from registry_pipeline_tests.entries.case_folders import CASES, files_of, outcome_of, repository_of

FOLDERS = sorted(CASES.iterdir())
WRITTEN = [each for each in FOLDERS if json.loads((each / "expected.json").read_bytes())["outcome"] == "written"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_asked_ends_as_expected(folder: Path, tmp_path: Path) -> None:
    expected = json.loads((folder / "expected.json").read_bytes())

    got, root = outcome_of(folder, tmp_path / "repository")

    assert got == expected
    files = files_of(folder / "before") | (files_of(folder / "after") if (folder / "after").is_dir() else {})
    assert files_of(root) == {path: data for path, data in files.items() if path not in expected.get("gone", ())}
    code = folder.name.split("__")[0]
    assert code == "good" or code in {each["code"] for each in expected["findings"]} | {"EN090"}
    if expected["outcome"] == "refused":
        assert not (folder / "after").exists()
        assert any(each["severity"] == "error" for each in expected["findings"])


@pytest.mark.parametrize("folder", WRITTEN, ids=lambda folder: folder.name)
def test_what_was_written_passes_the_check(folder: Path, tmp_path: Path) -> None:
    before = repository_of(folder, tmp_path / "before")
    had_errors = has_errors(check_contents(read_contents(before)))
    _, root = outcome_of(folder, tmp_path / "repository")

    _, found, _ = check_entries(load_governed(root))

    assert had_errors or not has_errors(found)


def test_every_code_has_a_case_and_a_row_of_the_rule_table() -> None:
    cased = {folder.name.split("__")[0] for folder in FOLDERS} - {"good"}

    assert cased == {row.code for row in rows_of_family("entries")} == {row[0] for row in WHEN}
    assert all(CODES[code].hint for code in cased)
    assert {CODES[code].prefix for code in cased} == {"ENTRIES_INVALID"}
