"""Format findings as SARIF 2.1.0, which GitHub code scanning and editors show beside the lines.

The format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from registry_pipeline.canonical import json_document
from registry_pipeline.cli.formats.report import Message, Report
from registry_pipeline.cli.reporter import format_message, format_template
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def format_sarif(report: Report) -> str:
    """Return a SARIF log with one run: its rules are the codes that were found, its notifications the messages."""
    codes = sorted({finding.code for finding in report.findings})
    positions = {code: number for number, code in enumerate(codes)}
    invocation = {
        "executionSuccessful": report.exit_code == 0,
        "toolExecutionNotifications": [_make_notification(message) for message in report.messages()],
    }
    run = {
        "tool": {
            "driver": {
                "name": "registry-pipeline",
                "semanticVersion": version("registry-pipeline"),
                "rules": [_make_rule(code) for code in codes],
            }
        },
        "automationDetails": {"id": f"{report.command.replace(' ', '/')}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation | ({"exitCode": report.exit_code} if report.exit_code else {})],
        "results": [_make_result(finding, positions) for finding in report.findings],
    }
    return json_document({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}).decode("ascii")


def _make_rule(code: str) -> dict[str, Any]:
    row = CODES[code]
    rule: dict[str, Any] = {
        "id": code,
        "shortDescription": {"text": format_template(row.message)},
        "help": {"text": format_template(row.hint) or f"`registry-pipeline explain {code}` explains it."},
        "defaultConfiguration": {"level": _LEVELS[row.severity]},
        "properties": {"tags": [row.family]},
    }
    return rule


def _make_result(finding: Finding, positions: Mapping[str, int]) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _make_uri(finding.path)}}
    if finding.position:
        physical["region"] = dict(zip(("startLine", "startColumn"), finding.position, strict=False))
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.location and not finding.position:
        location["logicalLocations"] = [{"fullyQualifiedName": printable(finding.location)}]
    return {
        "ruleId": finding.code,
        "ruleIndex": positions[finding.code],
        "level": _LEVELS[finding.severity],
        "message": {"text": printable(format_message(finding))},
        "locations": [location],
    }


def _make_notification(message: Message) -> dict[str, Any]:
    text = printable(f"{message.title}: {message.text}")
    return {"level": _LEVELS[message.severity], "message": {"text": text}}


def _make_uri(path: str) -> str:
    """Return a path as a URI: relative to the repository, or a file URI if it is absolute."""
    try:
        name = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate without a byte, from a file that was parsed
        name = path.encode("utf-8", "backslashreplace")
    return f"file://{quote(name)}" if path.startswith("/") else quote(name)
