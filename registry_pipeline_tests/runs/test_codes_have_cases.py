"""Every code of the seal has a case."""

from __future__ import annotations

from registry_pipeline.findings.codes import CODES
from registry_pipeline_tests.cases.layout import find_cases

SEAL_CODES = {code for code, row in CODES.items() if row.family in ("seal", "hashes")}


def test_every_seal_code_has_a_case() -> None:
    named = {case.code for case in find_cases("seal")}

    assert SEAL_CODES - named == set()
    assert named - SEAL_CODES == {"VALID"}
