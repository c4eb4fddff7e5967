"""The finding, its severity and counts, and wording that every message shares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from registry_pipeline.values import asdict, value_type


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest to a misspelt one, or None if none is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a misspelt name needs it

    # Matching takes quadratic time, so a longer name is compared by its first characters.
    return next(iter(get_close_matches(name[:64], list(known), n=1)), None)


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, which gets an "s" unless the number is 1: "1 run", "3 runs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Severity(StrEnum):
    """The severity of a finding; only errors make a verdict fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


_NUMBER: Final = re.compile(r"([0-9]{1,18})")
_POSITION: Final = re.compile(r"(?:line )?([1-9][0-9]{0,8})(?::([1-9][0-9]{0,8}))?")
SEVERITY_RANK: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@value_type
class CodeRow:
    """One row of the table of codes; `findings.codes` describes the columns."""

    code: str
    severity: Severity
    family: str
    clause: str
    message: str
    hint: str

    @property
    def prefix(self) -> str:
        """The word that starts a text line, as in `SEAL_INVALID: HASH_MISMATCH ...`."""
        return PREFIXES[self.family]


# The first word of a text line, by family.
PREFIXES: Final = {
    "seal": "SEAL_INVALID",
    "sealing": "SEAL_REFUSED",
    "archive": "ARCHIVE_FINDING",
    "schema": "SCHEMA_INVALID",
    "pointer": "POINTER_INVALID",
    "chain": "CHAIN_INVALID",
    "anchor": "CHAIN_INVALID",
    "anchor-missing": "CHAIN_NOT_CHECKED",
    "signature": "SIGNATURE_INVALID",
    "history": "HISTORY_INVALID",
    "delta": "DELTA_INVALID",
    "config": "CONFIG_INVALID",
    "catalog": "CATALOG_FINDING",
    "capture": "CAPTURE_FINDING",
    "activation": "ACTIVATION_REFUSED",
    "scan": "SCAN_FINDING",
    "roles": "ROLES_INVALID",
    "entries": "ENTRIES_INVALID",
    "run-index": "RUN_INDEX_INVALID",
    "proposal": "ACTIVATE_FINDING",
    "render": "REPORT_FINDING",
    "hashes": "HASHES_FINDING",
    "marked": "RUN_FINDING",
    "doctor": "DOCTOR_FINDING",
    "adapter": "ADAPTER_FINDING",
    "diagnostics": "DIAGNOSTICS_FINDING",
}


@value_type
class Finding:
    """One problem: its location, what was expected, what was found, and what to do.

    Attributes:
        path: relative to the repository if the file is inside it.
        location: a JSON pointer, `line N` or `line:column`; None for the whole file.
        expected: what the rule asks for, None if the message says it.
        got: what was found instead, or None.
        clause: a heading of docs/reference/specification.md.
    """

    code: str
    severity: Severity
    path: str
    location: str | None
    message: str
    expected: str | None
    got: str | None
    clause: str
    hint: str

    @property
    def full_message(self) -> str:
        """The message with the expected and the found value, as `... (expected 1, got 2)`."""
        pairs = (("expected", self.expected), ("got", self.got))
        values = ", ".join(f"{word} {value}" for word, value in pairs if value is not None)
        return f"{self.message} ({values})" if values else self.message

    @property
    def position(self) -> tuple[int, ...]:
        """The line, and the column if it is known; empty if the location is no position in a text."""
        match = _POSITION.fullmatch(self.location or "")
        return () if match is None else tuple(int(number) for number in match.groups() if number is not None)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object; docs/reference/specification.md, heading Findings, lists the keys."""
        return asdict(self) | {"severity": self.severity.value}

    @classmethod
    def from_json(cls, value: Any) -> Finding:
        """Return the finding that `to_json` returned; raise ValueError if the value has another shape."""
        texts = ("code", "path", "message", "clause", "hint")
        optional = ("location", "expected", "got")
        if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in texts):
            raise ValueError("not a finding")
        if not all(isinstance(value.get(name), str | None) for name in optional):
            raise ValueError("not a finding")
        fields: dict[str, Any] = {name: value.get(name) for name in (*texts, *optional)}
        return cls(severity=Severity(str(value.get("severity"))), **fields)

    @property
    def sort_key(self) -> tuple[str, int, str, tuple[str | int, ...], str]:
        """A key that sorts by path, severity (errors first), code, location (line 9 before line 10) and message."""
        parts = _NUMBER.split(self.location or "")
        location = tuple(int(part) if number % 2 else part for number, part in enumerate(parts))
        return (self.path, SEVERITY_RANK[self.severity], self.code, location, self.message)


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings sorted and without duplicates."""
    return tuple(sorted(set(findings), key=lambda f: f.sort_key))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Return whether any finding is an error."""
    return any(f.severity is Severity.ERROR for f in findings)


def verdict_of(findings: Iterable[Finding]) -> str:
    """Return `fail` if there is an error, else `warn` if there is a warning, else `pass`."""
    severities = {f.severity for f in findings}
    if Severity.ERROR in severities:
        return "fail"
    return "warn" if Severity.WARNING in severities else "pass"


def count_findings(findings: Iterable[Finding]) -> dict[str, int]:
    """Return the numbers of findings as `errors`, `warnings` and `infos`, as every JSON document names them."""
    severities = [f.severity for f in findings]
    return {f"{severity.value}s": severities.count(severity) for severity in Severity}
