"""A verdict is reported by three asset checks."""

from __future__ import annotations

from registry_pipeline.defs.assets import check_result
from registry_pipeline.defs.event_log import ROOT_KEY
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.runs.sealed_run import RunVerdict, Verdict
from registry_pipeline_tests.defs.conftest import CHECK_NAMES


def make_finding(code: str) -> Finding:
    """Return a finding with the weight and the clause of its row, whatever words its message takes."""
    row = CODES[code]
    return Finding(code, row.severity, "runs/a", None, row.message, None, None, row.clause, row.hint)


def passed(code: str | None, verdict: RunVerdict) -> dict[str, bool]:
    findings = () if code is None else (make_finding(code),)
    report = Verdict("runs/a", "a", "run_registry", verdict, "0" * 64, findings)
    return {name: check_result(name, report).passed for name in CHECK_NAMES}


def test_each_finding_fails_the_check_of_its_clause_and_no_other() -> None:
    assert passed(None, "pass") == {"seal": True, "schema": True, "rules": True}
    assert passed("HASH_MISMATCH", "fail") == {"seal": False, "schema": True, "rules": True}
    assert passed("SCHEMA_VIOLATION", "fail") == {"seal": True, "schema": False, "rules": True}
    assert passed("RUN_REMOVED", "fail") == {"seal": True, "schema": True, "rules": False}


def test_a_verdict_that_did_not_pass_fails_at_least_one_check() -> None:
    assert not passed("UNSEALED", "unsealed")["seal"]
    for row in CODES.values():
        if row.severity is Severity.ERROR:
            assert list(passed(row.code, "fail").values()).count(False) == 1, row.code


def test_a_warning_is_shown_and_fails_nothing() -> None:
    findings = (make_finding("RUN_HISTORY_UNKNOWN"),)
    report = Verdict("runs/a", "a", "run_registry", "pass", "0" * 64, findings)

    result = check_result("rules", report)

    assert result.passed
    assert (result.description or "").startswith("RUN_HISTORY_UNKNOWN: ")
    assert {name: value.value for name, value in result.metadata.items()}[ROOT_KEY] == "0" * 64
