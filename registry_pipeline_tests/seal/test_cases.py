from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_pipeline.model.codes import CODES
from registry_pipeline_tests.seal.recipes import case_folders, judge_case, told

CASES = case_folders()
SEAL_CODES = {code for code, row in CODES.items() if row.family in ("seal", "hashes")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_a_case_gives_exactly_the_findings_that_it_expects(case: Path, tmp_path: Path) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))

    report = judge_case(case, tmp_path)

    assert told(report) == expected
    json.dumps([finding.to_json() for finding in report.findings]).encode("ascii")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_the_name_of_a_case_tells_its_code_and_its_weight(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    codes = {finding["code"] for finding in expected["findings"]}
    severities = {finding["severity"] for finding in expected["findings"]}
    code = case.name.split("__")[0]

    if case.parent.name == "good":
        assert (code, expected["verdict"], codes) == ("VALID", "pass", set())
    else:
        assert code in codes
        assert ("error" in severities) == (case.parent.name == "bad")
        assert (expected["verdict"] == "pass") <= (case.parent.name == "warn")


def test_every_seal_code_has_a_case() -> None:
    named = {case.name.split("__")[0] for case in CASES}

    assert SEAL_CODES - named == set()
    assert named - SEAL_CODES == {"VALID"}
