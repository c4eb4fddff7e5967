"""Format findings as workflow commands of GitHub, which shows them as annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from registry_pipeline.cli.formats.report import Message, Report
from registry_pipeline.cli.reporter import format_message
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding, Severity

_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
# GitHub shows ten annotations of each level in a step, and drops the others.
_MAX_SHOWN: Final = 10


def format_annotations(report: Report) -> str:
    """Return the messages and findings as annotations; after ten of a level one notice counts all others by code."""
    # Messages come first, because they are what the exit code is about.
    annotations = [(m.severity, m.title, format_message_annotation(m)) for m in report.messages()]
    annotations += [(f.severity, f.code, format_annotation(f)) for f in report.findings]
    totals = Counter(severity for severity, _, _ in annotations)
    limits = dict.fromkeys(Severity, _MAX_SHOWN)
    if any(number > _MAX_SHOWN for number in totals.values()):
        limits[Severity.INFO] -= 1  # the summary is a notice, too
    shown, folded = Counter[Severity](), Counter[str]()
    lines = []
    for severity, title, line in annotations:
        if shown[severity] < limits[severity]:
            shown[severity] += 1
            lines.append(line)
        else:
            folded[title] += 1
    return "".join(f"{line}\n" for line in (*lines, *_format_summary(folded)))


def _format_summary(folded: Counter[str]) -> Iterator[str]:
    if folded:
        codes = ", ".join(f"{title} x{number}" for title, number in sorted(folded.items()))
        text = f"and {folded.total()} more: {codes} -> the log of --format text lists all of them"
        yield f"::notice title={folded.total()} more findings::{_escape_text(text)}"


def format_annotation(finding: Finding) -> str:
    """Return a finding as a GitHub workflow command; a location that is no line number is put before its message."""
    position = zip(("line", "col"), map(str, finding.position), strict=False)
    location = f"{finding.location}: " if finding.location and not finding.position else ""
    properties = {"file": finding.path, **dict(position), "title": finding.code}
    return _format_command(finding.severity, properties.items(), f"{location}{format_message(finding)}")


def format_message_annotation(message: Message) -> str:
    """Return a message as a GitHub workflow command."""
    return _format_command(message.severity, [("title", message.title)], message.text)


def _format_command(severity: Severity, properties: Iterable[tuple[str, str]], text: str) -> str:
    return (
        f"::{_LEVELS[severity]} {','.join(f'{n}={_escape_property(v)}' for n, v in properties)}::{_escape_text(text)}"
    )


def _escape_text(text: str) -> str:
    return printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _escape_property(text: str) -> str:
    return _escape_text(text).replace(":", "%3A").replace(",", "%2C")
