"""Every code of these families has a case folder, and a row that `explain` can print."""

from __future__ import annotations

import pytest

from registry_pipeline.findings.codes import CODES
from registry_pipeline_tests.cases.layout import find_cases

ELSEWHERE = {"POINTER_REWOUND", "POINTER_EDITED"}  # the chain has its own cases
FAMILIES = {"schema": "schema", "pointer": "pointers", "history": "history", "delta": "delta", "inputs": "inputs"}
OURS = {
    code: "inputs" if code.startswith("INPUT_") else FAMILIES[row.family]
    for code, row in CODES.items()
    if row.family in FAMILIES and code not in ELSEWHERE
}


@pytest.mark.parametrize("code", sorted(OURS))
def test_a_code_has_a_case_and_an_explanation(code: str) -> None:
    assert code in {case.code for case in find_cases(OURS[code])}
    assert CODES[code].message
    assert CODES[code].hint


def test_every_case_is_named_after_a_code() -> None:
    for family in FAMILIES.values():
        assert {case.code for case in find_cases(family)} - {"good", "all_at_once"} <= set(CODES)
