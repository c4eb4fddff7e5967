"""Every case folder is judged as it expects; every code of the table has one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.model.codes import rows_of_family
from registry_pipeline_tests.roles.all_recipes import RECIPES
from registry_pipeline_tests.roles.recipes import CASES, judge, write

FOLDERS = sorted(CASES.iterdir())
# These need more than two packs; their tests are named after what they judge.
ELSEWHERE = {"RR032", "RR033", "RR034", "RR035", "RR036"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_case_is_judged_as_expected(folder: Path) -> None:
    baseline = folder / "baseline.json"
    expected = json.loads((folder / "expected.json").read_bytes())

    told = judge((folder / "current.json").read_bytes(), baseline.read_bytes() if baseline.exists() else None)

    assert told == expected
    assert (folder.name.split("__")[0] == "pass") == (expected == [])
    assert folder.name.split("__")[0] in {"pass", *(each["code"] for each in expected)}


def test_every_code_has_a_case() -> None:
    named = {folder.name.split("__")[0] for folder in FOLDERS}

    assert {row.code for row in rows_of_family("roles")} == (named - {"pass"}) | ELSEWHERE


def test_the_folders_are_what_the_recipes_say(tmp_path: Path) -> None:
    for recipe in RECIPES:
        write(recipe, tmp_path)

    assert {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")} == {
        path.relative_to(CASES): path.read_bytes() for path in CASES.rglob("*.json")
    }
