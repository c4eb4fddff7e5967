"""What the exit code says (SPEC 6): one table, and one rule for when several hold."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from registry_pipeline.model.finding import Finding, Severity


class ExitCode(IntEnum):
    """How a command ended; the names are for us, the numbers are the promise."""

    FINE = 0
    UNEXPECTED = 1
    USAGE = 2
    EVIDENCE_INVALID = 3
    ASKED_TO_FAIL = 4
    REFUSED = 5
    BUSY = 6
    NOT_FOUND = 7
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: Final = MappingProxyType(
    {
        ExitCode.FINE: "fine",
        ExitCode.UNEXPECTED: "unexpected failure",
        ExitCode.USAGE: "usage or configuration",
        ExitCode.EVIDENCE_INVALID: "evidence invalid",
        ExitCode.ASKED_TO_FAIL: "findings that --fail-on names",
        ExitCode.REFUSED: "refused by a gate, or sealed and waiting: no pointer moved, no content file changed",
        ExitCode.BUSY: "lock held or race lost: nothing changed",
        ExitCode.NOT_FOUND: "not found, or could not check",
    }
)
"""Every exit code of SPEC 6 in a few words."""

NOT_CHECKED: Final = "RR030"
"""The finding that says that a role pack could not be checked: no evidence is invalid, and nothing passed."""

_PRECEDENCE: Final = (1, 2, 6, 3, 7, 5, 4)


def failing_code(findings: Iterable[Finding]) -> int:
    """Return the exit code of findings: 7 if each of their errors says that it could not be checked, 3 for others."""
    codes = {each.code for each in findings if each.severity is Severity.ERROR}
    if codes == {NOT_CHECKED}:
        return ExitCode.NOT_FOUND
    return ExitCode.EVIDENCE_INVALID if codes else ExitCode.FINE


def combined(codes: Iterable[int]) -> int:
    """Return the one exit code of a command for which several hold: the first of 1, 2, 6, 3, 7, 5, 4, else 0."""
    held = set(codes)
    return next((code for code in _PRECEDENCE if code in held), int(ExitCode.FINE))
