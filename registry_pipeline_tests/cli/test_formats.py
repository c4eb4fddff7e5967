"""The output formats for other programs: annotations, Markdown, JUnit and SARIF."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from registry_pipeline.cli.exit_codes import ConditionResult
from registry_pipeline.cli.formats.annotations import format_annotations
from registry_pipeline.cli.formats.junit import format_junit
from registry_pipeline.cli.formats.markdown import MarkdownPage
from registry_pipeline.cli.formats.report import Message, Report
from registry_pipeline.cli.formats.sarif import format_sarif
from registry_pipeline.cli.reporter import Column
from registry_pipeline.cli.settings import Settings
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import is_hidden, printable
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.values import replace
from registry_pipeline_tests.cli.conftest import Repository, call, environment
from registry_pipeline_tests.laws import examples

ANY_TEXT: Final = st.text(st.characters(), min_size=1)
FORMATS: Final = ("json", "github", "markdown", "junit", "sarif")

# What GitHub and editors need of a SARIF log; the whole schema is that of the standard.
SARIF: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results", "invocations", "automationDetails", "columnKind"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "semanticVersion", "rules"],
                                "properties": {"rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}}},
                            }
                        },
                    },
                    "automationDetails": {"type": "object", "required": ["id"]},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "exitCode": {"type": "integer"},
                                "toolExecutionNotifications": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["level", "message"],
                                        "properties": {"message": {"$ref": "#/$defs/text"}},
                                    },
                                },
                            },
                        },
                    },
                    "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
                },
            },
        },
    },
    "$defs": {
        "level": {"enum": ["error", "warning", "note"]},
        "text": {
            "type": "object",
            "required": ["text"],
            "properties": {"text": {"type": "string", "minLength": 1}},
            "additionalProperties": False,
        },
        "rule": {
            "type": "object",
            "required": ["id", "shortDescription", "help", "defaultConfiguration"],
            "properties": {
                "id": {"type": "string", "minLength": 1},
                "shortDescription": {"$ref": "#/$defs/text"},
                "help": {"$ref": "#/$defs/text"},
                "defaultConfiguration": {"properties": {"level": {"$ref": "#/$defs/level"}}},
            },
        },
        "result": {
            "type": "object",
            "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string", "minLength": 1},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"$ref": "#/$defs/level"},
                "message": {"$ref": "#/$defs/text"},
                "locations": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/location"}},
            },
        },
        "location": {
            "type": "object",
            "required": ["physicalLocation"],
            "additionalProperties": False,
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation"],
                    "additionalProperties": False,
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "required": ["uri"],
                            "properties": {"uri": {"type": "string", "format": "uri-reference"}},
                        },
                        "region": {
                            "type": "object",
                            "required": ["startLine"],
                            "additionalProperties": False,
                            "properties": {
                                "startLine": {"type": "integer", "minimum": 1},
                                "startColumn": {"type": "integer", "minimum": 1},
                            },
                        },
                    },
                },
                "logicalLocations": {"type": "array", "items": {"required": ["fullyQualifiedName"]}},
            },
        },
    },
}
is_sarif = jsonschema_rs.validator_for(SARIF, validate_formats=True)


def read_sarif(text: str) -> dict[str, Any]:
    """Return the one run of a SARIF log, checked by its schema."""
    document = json.loads(text)
    assert list(map(str, is_sarif.iter_errors(document))) == []
    run: dict[str, Any] = document["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    return run


def read_junit(text: str) -> dict[str, ET.Element]:
    """Return the test cases of a JUnit document by name; its totals must be those of the cases."""
    root = ET.fromstring(text)  # noqa: S314 - our own text
    (suite,) = root
    cases = suite.findall("testcase")
    kinds = Counter(child.tag for case in cases for child in case)
    for element in (root, suite):
        totals = [int(element.attrib[name]) for name in ("tests", "failures", "errors", "skipped")]
        assert totals == [len(cases), kinds["failure"], kinds["error"], kinds["skipped"]]
    by_name = {case.attrib["name"]: case for case in cases}
    assert len(by_name) == len(cases)
    return by_name


def state_of(case: ET.Element) -> str:
    """Return failure, error, skipped or pass."""
    states = [child.tag for child in case if child.tag != "system-out"]
    assert len(states) <= 1
    return states[0] if states else "pass"


@pytest.fixture
def damaged(built: Repository) -> Repository:
    """A repository in which an active run was altered."""
    built.tamper(built.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json")
    return built


# --- annotations


def levels(text: str) -> Counter[str]:
    return Counter(line.split(" ")[0].strip(":") for line in text.splitlines())


def many(*numbers: int) -> tuple[Finding, ...]:
    """Return so many errors, warnings and infos, all different."""
    sample = finding("UNLISTED_FILE", "run/a")
    return tuple(
        replace(sample, severity=severity, path=f"{severity.value}/{number}")
        for severity, count in zip(Severity, numbers, strict=True)
        for number in range(count)
    )


def test_ten_annotations_of_each_level_are_all_shown() -> None:
    text = format_annotations(Report("c", many(10, 10, 10)))

    assert levels(text) == {"error": 10, "warning": 10, "notice": 10}
    assert "more findings" not in text


def test_after_ten_of_a_level_a_notice_counts_all_others() -> None:
    text = format_annotations(Report("c", many(12, 3, 11)))

    assert levels(text) == {"error": 10, "warning": 3, "notice": 10}
    last = text.splitlines()[-1]
    assert last.startswith("::notice title=4 more findings::and 4 more: UNLISTED_FILE x4 -> ")


@given(st.tuples(*[st.integers(0, 30)] * 3))
def test_no_level_has_more_annotations_than_github_shows_and_none_is_uncounted(numbers: tuple[int, int, int]) -> None:
    lines = format_annotations(Report("c", many(*numbers))).splitlines()

    summaries = [line for line in lines if "more findings::" in line]
    folded = sum(int(line.split("title=")[1].split(" ")[0]) for line in summaries)
    assert len(summaries) == any(number > 10 for number in numbers)
    assert len(lines) - len(summaries) + folded == sum(numbers)
    assert max(levels("\n".join(lines)).values(), default=0) <= 10


def test_the_failed_condition_is_shown_before_ten_errors() -> None:
    failed = ConditionResult("drift", "failed", "3 of 4 operations drift")

    text = format_annotations(Report("c", many(10, 0, 0), (failed,)))

    assert text.startswith("::error title=--fail-on drift failed::3 of 4 operations drift\n")
    assert levels(text) == {"error": 10, "notice": 1}


# --- JUnit


def test_junit_has_a_case_for_each_run_folder(damaged: Repository) -> None:
    results = damaged("verify", "--all", "--json").document("verify")["results"]
    result = damaged("verify", "--all", "--format", "junit")

    cases = read_junit(result.out)
    states = {"pass": "pass", "fail": "failure", "partial": "skipped", "unsealed": "skipped"}
    assert result.code == 3
    for folder in results:
        has_errors = any(f["severity"] == "error" for f in folder["findings"])
        assert state_of(cases[folder["path"]]) == ("failure" if has_errors else states[folder["verdict"]])
    altered = cases[f".codex/RUNS/{damaged.active('drift_signals')}"]
    failure = altered.find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "HASH_MISMATCH"
    assert "SEAL_INVALID: HASH_MISMATCH " in str(failure.text)


def test_junit_shows_warnings_as_output_of_a_case_that_passes(seen: Repository) -> None:
    folder = "2026-01-10__101010__run_registry_build"

    cases = read_junit(seen("verify", folder, "--format", "junit").out)

    case = cases[f".codex/RUNS/{folder}"]
    assert state_of(case) == "pass"
    assert "SCHEMA_INVALID: " in str(case.findtext("system-out"))


def test_junit_has_cases_for_pointers_and_conditions(seen: Repository) -> None:
    cases = read_junit(seen("status", "--fail-on", "drift,warning", "--format", "junit").out)

    pointers = str(seen.pointers.relative_to(seen.root))
    assert state_of(cases["--fail-on drift"]) == "failure"
    assert state_of(cases["--fail-on warning"]) == state_of(cases[pointers]) == "pass"
    assert f".codex/RUNS/{seen.active('run_registry')}" in cases
    assert list(read_junit(seen("verify", "--chain", "--format", "junit").out)) == [pointers]


def test_what_could_not_be_checked_is_an_error_in_junit() -> None:
    unreadable = finding("CONFIG_GIT_UNREADABLE", ".git", detail="broken")

    assert state_of(read_junit(format_junit(Report("c", (unreadable,))))[".git"]) == "error"


# --- SARIF


def test_sarif_has_a_result_for_each_finding_and_a_rule_for_each_code(damaged: Repository) -> None:
    document = damaged("verify", "--all", "--json").document("verify")
    findings = [*document["findings"], *(f for r in document["results"] for f in r["findings"])]

    result = damaged("verify", "--all", "--format", "sarif")

    run = read_sarif(result.out)
    assert result.code == 3
    assert Counter(r["ruleId"] for r in run["results"]) == Counter(f["code"] for f in findings)
    assert len(run["tool"]["driver"]["rules"]) == len({f["code"] for f in findings})
    assert run["invocations"][0]["executionSuccessful"] is True


def test_sarif_locates_a_line_and_names_a_json_pointer() -> None:
    placed = finding("POINTER_DUPLICATE", "docs/p.json", location="3:7", registry="run_registry")
    pointed = finding("POINTER_TRISTATE", "docs/p.json", location="/pointers/0", registry="run_registry")

    first, second = (r["locations"][0] for r in read_sarif(format_sarif(Report("c", (placed, pointed))))["results"])

    assert first["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 7}
    assert "region" not in second["physicalLocation"]
    assert second["logicalLocations"] == [{"fullyQualifiedName": "/pointers/0"}]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (".codex/RUNS/a b#c", ".codex/RUNS/a%20b%23c"),
        ("a:b/ü", "a%3Ab/%C3%BC"),
        ("/srv/run", "file:///srv/run"),
        ("run\udcff", "run%FF"),
        ("run\ud800", "run%5Cud800"),
    ],
)
def test_sarif_states_a_path_as_a_uri(path: str, uri: str) -> None:
    (result,) = read_sarif(format_sarif(Report("c", (finding("UNLISTED_FILE", path),))))["results"]

    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


# --- Markdown


def test_markdown_is_a_heading_lines_lists_and_tables(seen: Repository) -> None:
    text = seen("status", "--fail-on", "drift", "--format", "markdown").out

    assert text.startswith("\n### registry-pipeline status\n")
    assert "\n\n**DEGRADED_NON_BLOCKING**\n\n- " in text
    assert "\n| registry | seal | schema | age | active run |\n|---|---|---|---:|---|\n| run_registry |" in text
    assert f"\n| run_registry | pass | pass | 0 d | {seen.active('run_registry')} |\n" in text
    assert "\n\n**--fail-on drift failed: " in text


def make_page() -> MarkdownPage:
    return MarkdownPage(Settings(None, "markdown", 0, datetime(2026, 3, 1, tzinfo=UTC), False), "c")


def test_markdown_lists_errors_first_and_counts_what_follows_a_hundred(capsys: pytest.CaptureFixture[str]) -> None:
    make_page().findings(reversed(many(60, 70, 0)))

    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" ")[1] for line in lines if line.startswith("| ")][1:]
    assert rows == ["error"] * 60 + ["warning"] * 40
    assert lines[-1] == "and 30 more: UNLISTED_FILE x30. `--format text` lists them."


def test_markdown_stays_below_the_limit_of_github_and_says_what_it_leaves_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = make_page()
    for number in range(9000):
        page.line(f"{number} {'x' * 120}")
    page.line("the last")
    page.finish()

    out = capsys.readouterr().out
    kept = out.count("x" * 120)
    assert 400_000 < len(out.encode()) < 501_000
    assert f"\n{9001 - kept} more lines are left out. `--format text` prints them.\n" in out
    assert "the last" not in out


def test_markdown_makes_no_code_of_a_line_that_is_indented_for_alignment(capsys: pytest.CaptureFixture[str]) -> None:
    page = make_page()
    for line in ("runs", "            a, b", "  1", "    -> 2", "after"):
        page.line(line)

    assert capsys.readouterr().out.split("\n\n")[1:] == ["runs", "- a, b\n- 1\n  - -\\> 2", "after\n"]


def test_markdown_shows_markup_of_a_name_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    make_page().findings([finding("UNLISTED_FILE", "a|b`c", got="<img src=x> | **b**")])

    row = capsys.readouterr().out.splitlines()[-1]
    assert "| `` a\\|b`c `` |" in row
    assert r"\<img src=x\> \| \*\*b\*\*" in row


@given(path=ANY_TEXT, got=ANY_TEXT)
@example(path="a|b`c", got="<img src=x> [a](b) **b** | `c` \\|")
@example(path="|", got="\\")
@example(path="0", got="_0_ __a__ b_ 1__2 é_ü")
def test_any_text_is_one_cell_of_a_markdown_table_and_no_markup(path: str, got: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        make_page().findings([finding("UNLISTED_FILE", path, got=got)])
        make_page().table([Column("a"), Column("b")], [[path, got]])

    html = MarkdownIt("commonmark").enable("table").render(out.getvalue())
    assert not re.findall(r"<(?!/?(?:h3|table|thead|tbody|tr|th|td|code)>)", html)
    cells = [unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall("<td>(.*?)</td>", html)]
    assert [visible(cell) for cell in (cells[2], *cells[4:])] == [visible(path), visible(path), visible(got)]
    assert visible(got) in visible(cells[3])


def visible(text: str) -> str:
    """Return a text without blanks and line breaks, with escapes for hidden characters."""
    return printable(re.sub(r"[\t\n\v\f\r\x85\u2028\u2029 \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]", "", text))


# --- all formats


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_which_condition_failed(seen: Repository, form: str) -> None:
    result = seen("status", "--fail-on", "drift,warning", "--format", form)

    assert result.code == 4
    assert "operations drift" in result.out
    if form == "json":
        drift, warning = result.document("status")["fail_on"]
        assert (drift["condition"], drift["result"]) == ("drift", "failed")
        assert (warning["condition"], warning["result"], warning["reason"]) == ("warning", "passed", "0 warnings")


@pytest.mark.parametrize("form", ["github", "junit", "sarif"])
def test_nothing_to_verify_is_an_error_in_every_format(tmp_path: Path, home: Path, form: str) -> None:
    (tmp_path / "registry-pipeline.toml").write_text("")

    result = call("verify", "--all", "--format", form, cwd=tmp_path, env=environment(home))

    assert result.code == 7
    if form == "github":
        assert result.out.startswith("::error title=nothing checked::none: nothing was verified")
    elif form == "junit":
        assert state_of(read_junit(result.out)["nothing checked"]) == "error"
    else:
        (invocation,) = read_sarif(result.out)["invocations"]
        assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 7)


def test_a_command_that_fails_prints_a_document_of_its_format(seen: Repository) -> None:
    outputs = {form: seen("show", "no-such-run", "--format", form) for form in FORMATS}

    assert {result.code for result in outputs.values()} == {7}
    assert state_of(read_junit(outputs["junit"].out)["registry-pipeline"]) == "error"
    (invocation,) = read_sarif(outputs["sarif"].out)["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 7)
    assert "**error:** no run is named" in outputs["markdown"].out
    assert outputs["github"].out.startswith("::error title=registry-pipeline::no run is named")


@examples(60)
@given(path=ANY_TEXT, got=ANY_TEXT, location=ANY_TEXT)
@example(path="\ufffe\0", got="\uffff]]>", location="\x1b[2J")
@example(path="a:\ud800,%", got="::error::\r\n", location="3:99999999999")
def test_no_text_breaks_a_format_or_hides_in_it(path: str, got: str, location: str) -> None:
    hostile = finding("UNLISTED_FILE", path, location=location, got=got)
    failure = Message(path, Severity.ERROR, got)
    report = Report("c", (hostile,), (ConditionResult("drift", "failed", got),), {path: ""}, failure, 3)

    annotations, junit, sarif = format_annotations(report), format_junit(report), format_sarif(report)

    assert len(annotations.splitlines()) == 3
    suite = ET.fromstring(junit)[0]  # noqa: S314 - our own text
    assert len(suite) == 3
    (result,) = read_sarif(sarif)["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    if not any(0xD800 <= ord(c) < 0xE000 for c in path):
        assert unquote(uri.removeprefix("file://")) == path
    for text in (annotations, junit, sarif, "".join(map(str, suite.itertext()))):
        assert not [c for c in text if is_hidden(c) and c != "\n"]
