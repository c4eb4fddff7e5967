"""Findings: typed violations, as data (SPEC section 6). The table of all codes is `model.codes`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from registry_pipeline.values import value_type


class Severity(StrEnum):
    """How much a finding weighs: only `error` makes a verdict fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


_NUMBER: Final = re.compile(r"([0-9]{1,18})")
_WEIGHT: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@value_type
class CodeRow:
    """One way to fail: its code, weight, the clause it breaks, its sentence and what to do next."""

    code: str
    severity: Severity
    clause: str
    message: str
    hint: str

    @property
    def prefix(self) -> str:
        """The word that opens a text line, as the original validators print it."""
        return _PREFIXES.get(self.clause.split(" ")[0], self.code.split("_")[0] + "_FINDING")


_PREFIXES: Final = {
    "seal": "SEAL_INVALID",
    "schema": "SCHEMA_INVALID",
    "pointer": "POINTER_INVALID",
    "chain": "CHAIN_INVALID",
    "anchor": "CHAIN_INVALID",
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
}


@value_type
class Finding:
    """One violation: where, what was expected, what was found, and what to do.

    `path` is relative to the governed repository where it lies inside; `location` is a JSON pointer or
    `line:column`; `expected` and `got` are text or None.
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

    def to_json(self) -> dict[str, Any]:
        """Return the finding with the keys of SPEC 6, in that order."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "path": self.path,
            "location": self.location,
            "message": self.message,
            "expected": self.expected,
            "got": self.got,
            "clause": self.clause,
            "hint": self.hint,
        }

    @classmethod
    def from_json(cls, value: Any) -> Finding:
        """Return the finding that `to_json` wrote.

        Raises:
            ValueError: the value has another shape.
        """
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
        """Findings are told by path, the heaviest first, then by code and place; line 9 stands before line 10."""
        parts = _NUMBER.split(self.location or "")
        place = tuple(int(part) if number % 2 else part for number, part in enumerate(parts))
        return (self.path, _WEIGHT[self.severity], self.code, place, self.message)


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings without repetition, in their telling order."""
    return tuple(sorted(set(findings), key=lambda f: f.sort_key))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether any finding is an error."""
    return any(f.severity is Severity.ERROR for f in findings)
