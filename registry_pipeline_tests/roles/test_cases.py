"""Every code of the role rules has a case."""

from __future__ import annotations

from registry_pipeline.findings.codes import rows_of_family
from registry_pipeline_tests.cases.layout import find_cases

# These need more than two packs; their tests are named after what they check.
ELSEWHERE = {"RR032", "RR033", "RR034", "RR035", "RR036"}


def test_every_code_has_a_case() -> None:
    named = {case.code for case in find_cases("roles")}

    assert {row.code for row in rows_of_family("roles")} == (named - {"pass"}) | ELSEWHERE
