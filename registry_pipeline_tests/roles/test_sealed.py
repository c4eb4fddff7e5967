"""A sealed run keeps its verdict: run.json and the sealed pack give it again, without git."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_document
from registry_pipeline.capture_table import ROLE_ARTIFACT
from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.check import check_against_baseline, make_registry_document
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.read import check_sealed_run, make_comparison_record, read_sealed_check
from registry_pipeline.registries.roles.report import PublishedPack, RoleRegistryViolation
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.schema import check_value
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.old_role_pack import DEFECTS, OLD, WITH_NEW_DEFECT
from registry_pipeline_tests.role_packs import PACK, SHRUNK, SMALL
from registry_pipeline_tests.roles.json_strategies import VALUES

FOLDER = ".codex/RUNS/2026-03-01__120000__role_registry_build"


def pack_of(text: str | bytes) -> ParsedPack:
    return parse_pack(text.encode() if isinstance(text, str) else text, PACK)


def sealed(pack: ParsedPack, record: Any = None, document: Any = None) -> SealReport:
    """Return the report of a sealed run of a pack; without a record it is a run of an old version."""
    registry_document = make_registry_document(pack) if document is None else document
    files = {ROLE_ARTIFACT: json_document(registry_document), "pack.json": pack.data}
    run_json = {} if record is None else {"comparison": json.loads(json_document(record))}
    return SealReport(FOLDER, FOLDER.rpartition("/")[2], "pass", "0" * 64, (), run_json, (), files)


def content(
    violations: tuple[RoleRegistryViolation, ...],
) -> set[tuple[str, str, str | None, str, tuple[str, ...], str]]:
    return {
        (v.finding.code, v.finding.severity, v.finding.location, v.finding.message, v.ids, v.fingerprint)
        for v in violations
    }


def compared(case: Case) -> tuple[ParsedPack, PublishedPack | None, tuple[RoleRegistryViolation, ...]] | None:
    """Return the packs of a case and the violations of their comparison, None where no role can be read."""
    files = case.files()
    pack = pack_of(files["current.json"])
    if pack.snapshot is None:
        return None
    before = files.get("baseline.json")
    baseline = None if before is None else PublishedPack(pack_of(before), "main:p", commit="1" * 40)
    return pack, baseline, check_against_baseline(pack, baseline)


def comparison_schema_findings(record: Any) -> list[Any]:
    """Return what the envelope's schema says of the record."""
    problems = check_value("RUN_ENVELOPE_v0_1.schema.json", {"comparison": json.loads(json_document(record))})
    return [each for each in problems if each.pointer.startswith("/comparison")]


@pytest.mark.parametrize("case", find_cases("roles"), ids=lambda case: case.id)
def test_the_sealed_run_of_every_case_gives_the_verdict_of_the_comparison(case: Case) -> None:
    packs = compared(case)
    if packs is None:
        return  # such a pack is never sealed, which test_role_registry shows
    pack, baseline, violations = packs
    record = make_comparison_record(pack, [] if baseline is None else [baseline], violations, ())

    again = read_sealed_check(sealed(pack, record))

    # Where a defect of the pack itself was published is not recorded; it is no part of the verdict.
    assert {each[:2] + each[4:] for each in content(again.violations)} == {
        each[:2] + each[4:] for each in content(violations)
    }
    assert {each.finding.location for each in again.violations} == {each.finding.location for each in violations}
    assert {each.finding.path for each in again.violations} <= {f"{FOLDER}/pack.json"}
    assert comparison_schema_findings(record) == []


@given(st.sampled_from(find_cases("roles")), st.data())
def test_only_waived_violations_stay_waived(case: Case, data: st.DataObject) -> None:
    packs = compared(case)
    if packs is None:
        return
    pack, _, violations = packs
    waived = data.draw(st.sets(st.sampled_from(violations)) if violations else st.just(set()))
    remaining = tuple(each for each in violations if each not in waived)
    record = make_comparison_record(pack, (), remaining, waived)

    again = read_sealed_check(sealed(pack, record))

    assert {(v.fingerprint, v.finding.severity) for v in again.violations} == {
        (v.fingerprint, v.finding.severity) for v in remaining
    }
    assert {v.fingerprint for v in again.waived} == {v.fingerprint for v in waived}


def test_a_violation_that_the_record_does_not_tolerate_is_an_error() -> None:
    pack = pack_of(WITH_NEW_DEFECT)
    record = make_comparison_record(pack, (), check_against_baseline(pack, PublishedPack(pack_of(OLD), "main:p")), ())
    assert len(record["tolerated"]) == DEFECTS

    record["tolerated"] = record["tolerated"][1:]

    assert sum(each.severity is Severity.ERROR for each in check_sealed_run(sealed(pack, record))) == 2


@given(
    st.recursive(
        VALUES, lambda inner: st.fixed_dictionaries({"tolerated": inner, "violations": inner, "waived": inner})
    )
)
def test_a_record_of_any_shape_is_parsed_and_tolerates_nothing(record: Any) -> None:
    pack = pack_of(WITH_NEW_DEFECT)

    findings = check_sealed_run(sealed(pack, record if record is not None else {}))

    errors = [each for each in findings if each.severity is Severity.ERROR]
    unrecorded = [each for each in findings if each.code == "RR030"]
    assert len(errors) == DEFECTS + 1 if isinstance(record, dict) or record is None else len(unrecorded) == 1


def test_a_run_that_records_no_comparison_is_reported_as_not_checked() -> None:
    (finding,) = check_sealed_run(sealed(pack_of(SMALL)))

    assert (finding.code, finding.severity) == ("RR030", Severity.WARNING)
    assert "build role_registry --force" in finding.message


def test_a_folder_without_a_pack_cannot_be_checked() -> None:
    report = sealed(pack_of(SMALL), {})
    files = {ROLE_ARTIFACT: report.kept[ROLE_ARTIFACT]}

    (finding,) = check_sealed_run(SealReport(FOLDER, "r", "pass", "0" * 64, (), {}, (), files))

    assert (finding.code, finding.severity) == ("RR030", Severity.ERROR)


def test_a_document_that_differs_from_its_pack_is_found() -> None:
    pack = pack_of(SMALL)
    document = make_registry_document(pack)
    document["contracts"][0]["surface_sha256"] = "0" * 64
    record = make_comparison_record(pack, (), (), ())

    assert [each.code for each in check_sealed_run(sealed(pack, record))] == []
    assert [each.code for each in check_sealed_run(sealed(pack, record, document))] == ["RR036"]


def test_violations_of_a_comparison_are_recorded_with_their_publication() -> None:
    before, after = pack_of(SMALL), pack_of(SHRUNK)
    violations = check_against_baseline(after, PublishedPack(before, "main:p", {"chart_designer": "2" * 40}))
    record = make_comparison_record(after, [PublishedPack(before, "main:p", commit="1" * 40)], violations, ())

    again = read_sealed_check(sealed(after, record))

    assert record["baselines"] == [{"source": "main:p", "commit": "1" * 40, "sha256": before.sha256}]
    assert content(again.violations) == content(violations)
    assert [(v.published_by, v.baseline_location) for v in again.violations] == [
        (v.published_by, v.baseline_location) for v in violations
    ]
    assert again.violations[0].published_by == "2" * 40
