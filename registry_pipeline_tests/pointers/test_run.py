"""Run folders and the shipped schemas. Each way to fail is a case of `cases/schema`."""

from __future__ import annotations

import json

import pytest

from registry_pipeline.canonical import StrictJsonError, parse_strict_json
from registry_pipeline.findings.codes import finding
from registry_pipeline.registries.base import check_run as check_run_module
from registry_pipeline.registries.base.check_run import check_run, find_needed_files
from registry_pipeline.registries.base.sealed_input import find_registry
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.sealed_run import RunVerdict
from registry_pipeline.values import replace
from registry_pipeline_tests.cases.layout import Case
from registry_pipeline_tests.pointers.sealed_report import RUN_FOLDER, report_of


def test_problems_have_a_location_and_a_short_message() -> None:
    verdict = check_run(report_of(Case("schema", "ENVELOPE_INVALID__lacks_three_fields")), SHIPPED.registries)

    (told_once,) = verdict.findings
    assert told_once.message.endswith("missing keys: git_commit, as_of_utc, inputs")


def test_a_huge_value_of_the_wrong_type_is_not_dumped_into_the_message() -> None:
    report = report_of(Case("schema", "good__op_status_table"))
    huge = json.dumps({"x": "y" * 1_000_000}).encode()

    verdict = check_run(
        replace(report, kept={**report.kept, "OPERATION_STATUS_TABLE_v0_1.json": huge}), SHIPPED.registries
    )

    assert all(len(f.message) < 300 for f in verdict.findings)
    assert verdict.verdict == "fail"


def test_the_findings_left_out_are_counted() -> None:
    verdict = check_run(report_of(Case("schema", "SCHEMA_VIOLATION__more_than_are_told")), SHIPPED.registries)

    assert verdict.findings[0].message == "and at least 5 more"


def test_the_items_left_out_of_a_document_are_counted() -> None:
    report = report_of(Case("schema", "good__op_status_table"))
    items = json.dumps([{"unknown": number} for number in range(40)]).encode()

    verdict = check_run(
        replace(report, kept={**report.kept, "OPERATION_STATUS_TABLE_v0_1.json": items}), SHIPPED.registries
    )

    # Each lacks keys and has one that is unknown.
    assert "and 60 more" in {f.message for f in verdict.findings}


def test_a_file_with_very_many_problems_is_checked_in_bounded_time() -> None:
    report = report_of(Case("schema", "good__run_registry"))
    kept = {**report.kept, "RUN_REGISTRY_v0_1.jsonl": b"{\n" * 100_000}

    verdict = check_run(replace(report, kept=kept), SHIPPED.registries)

    assert len(verdict.findings) == check_run_module.MAX_FINDINGS_PER_FILE + 1
    assert "at least 980 more" in {f.message.rsplit(": and ")[-1] for f in verdict.findings}


def test_seal_findings_come_first_and_stay() -> None:
    broken = finding("HASH_MISMATCH", f"{RUN_FOLDER}/DRIFT_SIGNALS_v0_1.json")
    report = replace(report_of(Case("schema", "SCHEMA_UNPARSABLE__cut_off")), verdict="fail", findings=(broken,))

    verdict = check_run(report, SHIPPED.registries)

    assert {f.code for f in verdict.findings} == {"HASH_MISMATCH", "SCHEMA_UNPARSABLE"}


def test_only_seal_checks_nothing_else() -> None:
    verdict = check_run(report_of(Case("schema", "SCHEMA_UNPARSABLE__cut_off")), SHIPPED.registries, only_seal=True)

    assert (verdict.findings, verdict.verdict) == ((), "pass")


@pytest.mark.parametrize("state", ["unsealed", "partial"])
def test_a_folder_without_a_complete_seal_keeps_its_state(state: RunVerdict) -> None:
    report = replace(report_of(Case("schema", "SCHEMA_UNPARSABLE__cut_off")), verdict=state)

    verdict = check_run(report, SHIPPED.registries)

    assert (verdict.verdict, verdict.findings) == (state, ())


def test_an_artifact_that_the_verifier_did_not_keep_raises_value_error() -> None:
    report = replace(report_of(Case("schema", "good__drift_signals")), kept={})

    with pytest.raises(ValueError, match="keep=find_needed_files"):
        check_run(report, SHIPPED.registries)


def test_an_artifact_that_could_not_be_read_is_left_to_the_seal() -> None:
    report = replace(report_of(Case("schema", "good__drift_signals")), kept={}, verdict="fail")

    assert check_run(report, SHIPPED.registries).findings == ()


def test_a_schema_that_is_not_shipped_is_reported() -> None:
    spec = replace(
        SHIPPED.registries["drift_signals"], schemas=(("DRIFT_SIGNALS_v0_1.json", "REGISTRY_gone_v0_1.schema.json"),)
    )

    verdict = check_run(report_of(Case("schema", "good__drift_signals")), {"drift_signals": spec})

    assert [f.code for f in verdict.findings] == ["SCHEMA_UNKNOWN"]


def test_the_copy_of_a_schema_in_the_folder_is_never_used() -> None:
    report = report_of(Case("schema", "SCHEMA_VIOLATION__hash_in_upper_case"))
    lenient = {**report.kept, "DRIFT_SIGNALS_v0_1.schema.json": b"true"}

    assert check_run(replace(report, kept=lenient), SHIPPED.registries).verdict == "fail"


def test_the_registry_in_run_json_wins_over_artifact_names() -> None:
    assert find_registry({"registry_id": "x"}, ["DRIFT_SIGNALS_v0_1.json"], SHIPPED.registries) == ("x", True)
    assert find_registry({"registry_id": None}, ["DRIFT_SIGNALS_v0_1.json"], SHIPPED.registries) == (
        "drift_signals",
        False,
    )
    assert find_registry({"registry_id": 5}, ["notes.md"], SHIPPED.registries) == (None, False)
    assert find_registry(None, [], SHIPPED.registries) == (None, False)


def test_needed_files_are_those_that_a_schema_checks() -> None:
    assert "POINTERS_AFTER.json" in find_needed_files(SHIPPED.registries)
    assert "SYSTEM_HEALTH_REPORT_v0_1.md" not in find_needed_files(SHIPPED.registries)


def test_an_artifact_must_be_strict_json() -> None:
    with pytest.raises(StrictJsonError):
        parse_strict_json(b'{"a": 1, "a": 1}')
