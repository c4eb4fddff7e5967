"""Findings as lines of text and as annotations of GitHub."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity

_LINE: Final = re.compile(r"(?:line )?(?P<line>[0-9]+)(?::(?P<col>[0-9]+))?")
_BLANKS: Final = re.compile(r"(?:(?<!{){[a-z_]+})+")
_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def finding_head(finding: Finding) -> str:
    """Return how the line of a finding begins: `<PREFIX>: CODE`, the word being that of the original validators."""
    return f"{CODES[finding.code].prefix}: {finding.code}"


def finding_line(finding: Finding) -> str:
    """Return `<PREFIX>: CODE path[:location]: message expected … got … (clause) -> hint`."""
    place = finding.path if not finding.location else f"{finding.path}:{finding.location}"
    told = f"{finding_head(finding)} {place}: {_message(finding)} ({finding.clause})"
    return f"{told} -> {finding.hint}" if finding.hint else told


def _message(finding: Finding) -> str:
    expected = "" if finding.expected is None else f" expected {finding.expected}"
    got = "" if finding.got is None else f" got {finding.got}"
    return f"{finding.message}{':' if expected or got else ''}{expected}{got}"


def template_words(template: str) -> str:
    """Return a sentence of the table of codes, with `…` for what each finding fills in."""
    return _BLANKS.sub("…", template).replace("{{", "{").replace("}}", "}")


def annotation(finding: Finding) -> str:
    """Return a finding as a workflow command of GitHub; a location that is a line becomes its place in the file."""
    places = {"file": finding.path}
    where = ""
    at_line = _LINE.fullmatch(finding.location or "")
    if at_line is not None:
        places |= {name: number for name, number in at_line.groupdict().items() if number is not None}
    elif finding.location:
        where = f"{finding.location}: "
    places["title"] = finding.code
    hint = f" -> {finding.hint}" if finding.hint else ""
    told = ",".join(f"{name}={_property(value)}" for name, value in places.items())
    return f"::{_COMMANDS[finding.severity]} {told}::{_data(f'{where}{_message(finding)} ({finding.clause}){hint}')}"


def summary_annotation(findings: Sequence[Finding]) -> str:
    """Return one workflow command for many findings: how many of each code; it weighs what the gravest weighs."""
    gravest = min((finding.severity for finding in findings), key=list(_COMMANDS).index)
    counted = Counter(finding.code for finding in findings)
    codes = ", ".join(f"{code} x{number}" for code, number in sorted(counted.items()))
    told = f"and {len(findings)} more: {codes} -> the log of --format text lists all of them"
    return f"::{_COMMANDS[gravest]} title={len(findings)} more findings::{_data(told)}"


def failure_annotation(text: str) -> str:
    """Return what stopped a command as a workflow command of GitHub."""
    return f"::error title=registry-pipeline::{_data(text)}"


def _data(text: str) -> str:
    return printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
