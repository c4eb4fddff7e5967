"""Format findings as JUnit XML, which most CI systems show as the results of tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final
from xml.etree import ElementTree as ET

from registry_pipeline.cli.formats.report import Report
from registry_pipeline.cli.reporter import format_finding
from registry_pipeline.findings.codes import COULD_NOT_CHECK
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity

# Noncharacters that XML 1.0 excludes; `printable` escapes the others that it excludes.
_NOT_IN_XML: Final = re.compile("[\ufffe\uffff]")


def format_junit(report: Report) -> str:
    """Return one test suite: a test case for each checked path, each other path with findings, and each condition.

    A case with errors has a failure, or an error if its path could not be checked. Warnings are its output.
    """
    by_path: dict[str, list[Finding]] = {path: [] for path in report.checked}
    for finding in report.findings:
        by_path.setdefault(_find_checked_path(report, finding.path), []).append(finding)
    suite = ET.Element("testsuite", name=_xml_text(report.command))
    for path, findings in by_path.items():
        case = ET.SubElement(suite, "testcase", classname=report.command, name=_xml_text(path))
        _add_result(case, findings, report.checked.get(path, ""))
    for condition in report.conditions:
        case = ET.SubElement(suite, "testcase", classname=report.command, name=f"--fail-on {condition.condition}")
        if condition.result != "passed":
            kind = "failure" if condition.result == "failed" else "skipped"
            ET.SubElement(case, kind, type="--fail-on", message=_xml_text(condition.reason))
    if report.failure is not None:
        case = ET.SubElement(suite, "testcase", classname=report.command, name=_xml_text(report.failure.title))
        ET.SubElement(case, "error", type="failure", message=_xml_text(report.failure.text))
    kinds = Counter(element.tag for case in suite for element in case)
    totals = {"tests": len(suite), "failures": kinds["failure"], "errors": kinds["error"], "skipped": kinds["skipped"]}
    root = ET.Element("testsuites", name=suite.attrib["name"])
    for element in (root, suite):
        element.attrib.update({name: str(number) for name, number in totals.items()})
    root.append(suite)
    ET.indent(root)
    # ASCII is valid whatever the encoding of the output is.
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root).decode("ascii")}\n'


def _find_checked_path(report: Report, path: str) -> str:
    """Return the checked path that is this path or contains it, otherwise the path itself."""
    parents = map(str, PurePosixPath(path).parents)
    return next((parent for parent in (path, *parents) if parent in report.checked), path)


def _add_result(case: ET.Element, findings: Sequence[Finding], skipped: str) -> None:
    """Add a failure or error with all errors, or that the path was skipped; then the other findings as output."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    others = [finding for finding in findings if finding.severity is not Severity.ERROR]
    if errors:
        kind = "error" if COULD_NOT_CHECK.issuperset(finding.code for finding in errors) else "failure"
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        message = _xml_text(f"{errors[0].full_message}{more}")
        ET.SubElement(case, kind, type=errors[0].code, message=message).text = _format_lines(errors)
    elif skipped:
        ET.SubElement(case, "skipped", message=_xml_text(skipped))
    if others:
        ET.SubElement(case, "system-out").text = _format_lines(others)


def _format_lines(findings: Sequence[Finding]) -> str:
    return "\n".join(_xml_text(format_finding(finding)) for finding in findings)


def _xml_text(text: str) -> str:
    """Return a text with an escape for each character that is hidden or not allowed in XML."""
    return _NOT_IN_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", printable(text))
