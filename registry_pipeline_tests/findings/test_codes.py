"""The table of finding codes is consistent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from registry_pipeline.findings import codes
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import PREFIXES
from registry_pipeline_tests.cases.families import find_codes
from registry_pipeline_tests.cases.layout import find_cases, find_families


def test_no_code_has_two_rows() -> None:
    assert len(CODES) == len(codes._ROWS)


def test_every_family_has_a_prefix() -> None:
    assert {row.family for row in CODES.values()} == set(PREFIXES)


@pytest.mark.parametrize("code", CODES)
def test_messages_are_fragments_and_hints_are_given(code: str) -> None:
    row = CODES[code]

    assert row.message
    assert row.hint
    assert row.clause
    assert not row.message.endswith(".")
    assert not row.hint.endswith(".")
    assert re.match(r"[a-z0-9{`]|[A-Z0-9_]+\b|MANIFEST|LATEST", row.message), row.message


def test_every_code_has_a_case_or_is_named_by_a_test() -> None:
    tests = (path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))
    named_by_tests = set(re.findall(r"[A-Z][A-Z0-9_]+", " ".join(tests)))
    found_by_cases = {
        code for family in find_families() for case in find_cases(family) for code in find_codes(case.expected)
    }

    assert set(CODES) - found_by_cases - named_by_tests == set()
