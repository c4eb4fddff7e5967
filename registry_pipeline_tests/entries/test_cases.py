"""The cases of entries cover every code, and what they write passes the check."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.findings.codes import CODES, rows_of_family
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.registries.entries.library import read_library
from registry_pipeline.registries.entries.rules import RULES, check_library
from registry_pipeline.registries.entries.service import check_entries
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.entries.run_cases import run_entries_case, write_repository

CASES = find_cases("entries")
WRITTEN = [case for case in CASES if case.expected["outcome"] == "written"]


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case.id)
def test_a_written_entry_passes_the_check(case: Case, tmp_path: Path) -> None:
    before = write_repository(case, tmp_path / "before" / "repository")
    had_errors = has_errors(check_library(read_library(before)))
    run_entries_case(case, tmp_path)

    _, found, _ = check_entries(load_repository(tmp_path / "repository"))

    assert had_errors or not has_errors(found)


def test_every_code_has_a_case_and_a_row_of_the_rule_table() -> None:
    cased = {case.code for case in CASES} - {"good"}

    assert cased == {row.code for row in rows_of_family("entries")} == {rule.code for rule in RULES}
    assert all(CODES[code].hint for code in cased)
    assert {CODES[code].prefix for code in cased} == {"ENTRIES_INVALID"}
