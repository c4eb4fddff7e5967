"""Every code of the run index has a case, and a row that `explain` can print."""

from __future__ import annotations

import pytest

from registry_pipeline.findings.codes import CODES
from registry_pipeline_tests.cases.layout import find_cases, find_good_cases

CASES = find_cases("run_index")
OURS = sorted(code for code in CODES if code.startswith("RI"))
ELSEWHERE = {"RI052": "a git commit without the log: test_baseline.py", "RI070": "a side index: test_side_index.py"}


@pytest.mark.parametrize("code", OURS)
def test_a_code_has_a_case_and_an_explanation(code: str) -> None:
    assert code in ELSEWHERE or any(case.code == code for case in CASES)
    assert CODES[code].message
    assert CODES[code].hint


def test_there_are_enough_cases_and_some_are_good() -> None:
    assert len(CASES) >= 60
    assert len(find_good_cases("run_index")) >= 8
