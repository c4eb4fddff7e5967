"""Findings of one code are folded in text output, and in no other format."""

from __future__ import annotations

import re

from registry_pipeline.cli.reporter import format_finding, format_finding_group, group_findings
from registry_pipeline.findings.codes import finding, rows_of_family
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline_tests.cli.conftest import Repository


def make_findings(count: int, *, same: bool = True) -> list[Finding]:
    return [
        finding("MANIFEST_SHAPE", f"run/{n}.json", location=f"line {n}", detail="no list" if same else f"no list {n}")
        for n in range(count)
    ]


def test_three_findings_of_a_code_have_a_line_each() -> None:
    findings = make_findings(3)

    assert format_finding_group(findings) == list(map(format_finding, findings))


def test_more_findings_have_a_count_and_the_first_three_places() -> None:
    head, *places = format_finding_group(make_findings(12))

    assert head.startswith("SEAL_INVALID: MANIFEST_SHAPE 12 findings: manifest.json: no list (Manifest) -> rebuild ")
    assert places == [
        "  run/0.json:line 0",
        "  run/1.json:line 1",
        "  run/2.json:line 2",
        "  and 9 more (--verbose lists all)",
    ]


def test_a_message_that_differs_is_printed_at_its_place() -> None:
    lines = format_finding_group(make_findings(4, same=False))

    assert lines[0] == "SEAL_INVALID: MANIFEST_SHAPE 4 findings (Manifest) -> rebuild the run; never edit a sealed run"
    assert lines[1] == "  run/0.json:line 0: manifest.json: no list 0"


def test_findings_of_one_code_with_another_severity_are_another_group() -> None:
    findings = [*make_findings(2), finding("MANIFEST_SHAPE", "x", severity=Severity.WARNING, detail="no list")]

    assert [len(group) for group in group_findings(findings)] == [2, 1]


def test_findings_about_a_pointer_name_its_registry() -> None:
    about_the_file = {"POINTER_FILE_MISSING", "POINTER_SHAPE", "POINTER_DUPLICATE_KEY", "POINTER_UNKNOWN_REGISTRY"}

    assert {row.code for row in rows_of_family("pointer") if "{registry}" not in row.message} == about_the_file


def test_a_run_that_a_build_replaced_is_no_finding_of_the_text(built: Repository) -> None:
    replaced = built.active("drift_signals")
    built.tamper(replaced, "DRIFT_SIGNALS_v0_1.json")

    result = built("build", now="2026-03-02T12:00:00Z")

    assert result.code == 0
    assert "POINTER_INVALID" not in result.out
    assert f"replaced .codex/RUNS/{replaced}, which did not verify\n" in result.out


def test_a_run_that_stays_active_is_still_a_finding(built: Repository) -> None:
    built.tamper(built.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json")

    text = built("build", "--no-activate", now="2026-03-02T12:00:00Z").out

    assert "POINTER_INVALID: POINTER_SEAL_INVALID" in text
    assert "the active run of drift_signals does not verify: HASH_MISMATCH; it is not used" in text


def test_no_run_id_is_repeated_in_a_refusal(built: Repository) -> None:
    built("build", "run_registry", "--only", "--force", now="2026-03-02T12:00:00Z")

    text = built("activate", "run_registry", "latest", "--reason", "new").out
    (mixed,) = [line for line in text.splitlines() if "ACTIVATE_MIXED" in line and "op_status_table would" in line]
    ids = re.findall(r"[0-9-]{10}__[0-9]{6}__\w+", mixed)

    assert len(ids) == len(set(ids)) > 1


def test_verbose_and_quiet_fold_nothing(built: Repository) -> None:
    for number in range(5):
        (built.runs / f"2026-03-01__13000{number}__import").mkdir()
        (built.runs / f"2026-03-01__13000{number}__import/manifest.json").write_text('{"a": 1, "a": 1}')
        (built.runs / f"2026-03-01__13000{number}__import/MANIFEST.sha256").write_text("")

    folded, verbose, quiet = (built("verify", "--all", *words).out for words in ((), ("-v",), ("-q",)))

    head = "SEAL_INVALID: MANIFEST_JSON_DUPLICATE_KEY "
    places = [line for line in quiet.splitlines() if line.startswith(head)]

    assert f"{head}5 findings: manifest.json: " in folded
    assert all(line.startswith(f"{head}.codex/RUNS/") for line in places)
    assert verbose.count(head) == len(places) == 5
