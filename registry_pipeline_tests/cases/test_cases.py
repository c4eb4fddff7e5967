"""Every case of every family gives its expected result. A new case folder is a new test."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline_tests.cases.families import FAMILIES, check_case, run_case
from registry_pipeline_tests.cases.layout import BASES, ROOT, Case, find_cases, find_families

CASES = [pytest.param(case, id=f"{family}-{case.id}") for family in FAMILIES for case in find_cases(family)]


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_the_expected_result(case: Case, tmp_path: Path) -> None:
    assert run_case(case, tmp_path) == case.expected


@pytest.mark.parametrize("case", CASES)
def test_the_name_of_a_case_and_its_expected_result_agree(case: Case) -> None:
    check_case(case)


def test_every_family_with_cases_is_run() -> None:
    assert find_families() == sorted(FAMILIES)


def test_every_base_is_used() -> None:
    for family in FAMILIES:
        used = {case.document.get("base") for case in find_cases(family)}
        bases = ROOT / family / BASES

        assert {path.name for path in bases.iterdir()} == used - {None} if bases.exists() else used == {None}
