"""Findings as lines of text and as GitHub annotations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity

_LINE: Final = re.compile(r"(?:line )?(?P<line>[0-9]+)(?::(?P<col>[0-9]+))?")
_FIELDS: Final = re.compile(r"(?:(?<!{){[a-z_]+})+")
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def finding_head(finding: Finding) -> str:
    """Return the start of a finding's line: `<PREFIX>: CODE`, with the prefix of the original validators."""
    return f"{CODES[finding.code].prefix}: {finding.code}"


def finding_line(finding: Finding) -> str:
    """Return `<PREFIX>: CODE path[:location]: message expected … got … (clause) -> hint`."""
    location = f":{finding.location}" if finding.location else ""
    return f"{finding_head(finding)} {finding.path}{location}: {_describe(finding)}"


def _describe(finding: Finding) -> str:
    expected = "" if finding.expected is None else f" expected {finding.expected}"
    got = "" if finding.got is None else f" got {finding.got}"
    hint = f" -> {finding.hint}" if finding.hint else ""
    return f"{finding.message}{':' if expected or got else ''}{expected}{got} ({finding.clause}){hint}"


def format_template(template: str) -> str:
    """Return a template of the table of codes, with `…` for each field."""
    return _FIELDS.sub("…", template).replace("{{", "{").replace("}}", "}")


def annotation(finding: Finding) -> str:
    """Return a finding as a GitHub workflow command; a location that is a line number becomes `line` and `col`."""
    properties = {"file": finding.path}
    location = ""
    line_match = _LINE.fullmatch(finding.location or "")
    if line_match is not None:
        properties |= {name: number for name, number in line_match.groupdict().items() if number is not None}
    elif finding.location:
        location = f"{finding.location}: "
    properties["title"] = finding.code
    text = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    return f"::{_LEVELS[finding.severity]} {text}::{_escape(f'{location}{_describe(finding)}')}"


def summary_annotation(findings: Sequence[Finding]) -> str:
    """Return one workflow command that counts many findings by code; its level is the highest of theirs."""
    highest = min((finding.severity for finding in findings), key=list(_LEVELS).index)
    counts = Counter(finding.code for finding in findings)
    codes = ", ".join(f"{code} x{number}" for code, number in sorted(counts.items()))
    text = f"and {len(findings)} more: {codes} -> the log of --format text lists all of them"
    return f"::{_LEVELS[highest]} title={len(findings)} more findings::{_escape(text)}"


def failure_annotation(text: str) -> str:
    """Return the failure of a command as a GitHub workflow command."""
    return f"::error title=registry-pipeline::{_escape(text)}"


def _escape(text: str) -> str:
    return printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
