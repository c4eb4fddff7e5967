"""Every code of this room has a case folder, and a row that `explain` can print."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline.model.codes import CODES

CASES = Path(__file__).parents[1] / "cases"
ELSEWHERE = {"POINTER_REWOUND", "POINTER_EDITED"}  # the chain has its own cases
FAMILIES = {"schema": "schema", "pointer": "pointers", "history": "history", "delta": "delta", "inputs": "inputs"}
OURS = {
    code: "inputs" if code.startswith("INPUT_") else FAMILIES[row.family]
    for code, row in CODES.items()
    if row.family in FAMILIES and code not in ELSEWHERE
}


@pytest.mark.parametrize("code", sorted(OURS))
def test_a_code_has_a_case_and_an_explanation(code: str) -> None:
    assert list((CASES / OURS[code]).glob(f"{code}__*"))
    assert CODES[code].message
    assert CODES[code].hint


def test_every_case_is_named_after_a_code() -> None:
    for family in FAMILIES.values():
        names = {path.name.split("__")[0] for path in (CASES / family).iterdir() if path.is_dir()}

        assert names - {"good", "all_at_once"} <= set(CODES)
