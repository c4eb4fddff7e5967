"""Every case says what it says: code, severity, place and sentence, and what was appended or merged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.model.codes import CODES
from registry_pipeline_tests.run_index.playing import case_folders, play

CASES = case_folders()
OURS = sorted(code for code in CODES if code.startswith("RI"))
ELSEWHERE = {"RI052": "a git commit without the log: test_baseline.py", "RI070": "a side index: test_side_index.py"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_ends_as_it_is_told(case: Path, tmp_path: Path) -> None:
    assert play(case, tmp_path / "repository") == json.loads((case / "expected.json").read_bytes())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_about_the_code_that_it_is_named_after(case: Path) -> None:
    code, found = case.name.split("__")[0], (case / "expected.json").read_text("utf-8")

    assert (f'"{code}"' in found) == (code != "good")


@pytest.mark.parametrize("code", OURS)
def test_a_code_has_a_case_and_an_explanation(code: str) -> None:
    assert code in ELSEWHERE or any(case.name.startswith(f"{code}__") for case in CASES)
    assert CODES[code].message
    assert CODES[code].hint


def test_there_are_cases_enough_and_good_ones_among_them() -> None:
    assert len(CASES) >= 60
    assert sum(case.name.startswith("good__") for case in CASES) >= 8
