"""Waivers: violations that somebody approved until a day, with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from registry_pipeline.findings.codes import finding
from registry_pipeline.registries.roles.json_text import (
    JsonPath,
    Lines,
    find_spans,
    format_pointer,
    format_value,
    quote_text,
)
from registry_pipeline.registries.roles.report import (
    RoleRegistryViolation,
    make_fingerprint,
    make_violation,
    sort_violations,
)
from registry_pipeline.registries.roles.strict_json import parse_strict_bytes
from registry_pipeline.values import value_type

WAIVERS_VERSION: Final = "0.1"
# RR030 is not a verdict, and RR036 reports an altered seal.
NEVER_WAIVED: Final = frozenset({"RR001", "RR002", "RR003", "RR004", "RR005", "RR030", "RR036"})
_FINGERPRINT: Final = re.compile("[0-9a-f]{64}")
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIELDS: Final = ("fingerprint", "reason", "approver", "expires")


@value_type
class Waiver:
    """The approval of the violation with this fingerprint, until the end of the day `expires` (UTC)."""

    fingerprint: str
    expires: date
    location: str | None


@value_type
class Waivers:
    """The valid waivers of a file, and the violations of the file itself (RR034)."""

    path: str
    rows: tuple[Waiver, ...] = ()
    violations: tuple[RoleRegistryViolation, ...] = ()


@value_type
class WaiverResult:
    """The violations that remain, with those of the waivers themselves, and the waived ones."""

    violations: tuple[RoleRegistryViolation, ...]
    waived: tuple[RoleRegistryViolation, ...]


def parse_waivers(data: bytes, path: str) -> Waivers:
    """Return the waivers of `{"waivers_version": "0.1", "waivers": [{fingerprint, reason, approver, expires}]}`.

    A row with an error is RR034 and waives nothing; the other rows stay valid. Nothing is raised: a file that is not
    strict JSON has no valid row.
    """
    document = parse_strict_bytes(data)
    lines = Lines(document.text)
    # An ambiguous file approves nothing.
    if document.defects:
        defects = [
            _make_invalid(path, lines.location(defect.offset), format_pointer(defect.path), defect.detail)
            for defect in document.defects
        ]
        return Waivers(path, (), sort_violations(defects))
    errors = _check_file(document.value)
    content = document.value.get("waivers") if isinstance(document.value, dict) else None
    valid: dict[str, tuple[JsonPath, date]] = {}
    for index, row in enumerate(content if isinstance(content, list) else ()):
        row_errors = _check_row(row)
        if not row_errors and row["fingerprint"] in valid:
            row_errors = ["its fingerprint is duplicated"]
        errors += [(("waivers", index), error) for error in row_errors]
        if not row_errors:
            valid[row["fingerprint"]] = (("waivers", index), date.fromisoformat(row["expires"]))
    paths = [json_path for json_path, _ in (*errors, *valid.values())]
    spans = find_spans(document.text, paths)
    locations = {json_path: lines.location(begin) for json_path, (begin, _) in spans.items()}
    rows = [Waiver(name, expires, locations[json_path]) for name, (json_path, expires) in valid.items()]
    violations = [_make_invalid(path, locations.get(item), format_pointer(item), detail) for item, detail in errors]
    return Waivers(path, tuple(rows), sort_violations(violations))


def apply_waivers(violations: Iterable[RoleRegistryViolation], waivers: Waivers, today: date) -> WaiverResult:
    """Return the violations that a waiver does not cover on that day (UTC), and those that one covers.

    Added to the first: waivers that nothing needs (RR032), that expired (RR033) or are invalid (RR034).
    """
    checked = list(violations)
    codes = {violation.fingerprint: violation.finding.code for violation in checked}
    waivable = {row.fingerprint for row in waivers.rows if row.expires >= today}
    waivable = {fingerprint for fingerprint in waivable if codes.get(fingerprint) not in NEVER_WAIVED}
    own = list(waivers.violations)
    for row in waivers.rows:
        code = codes.get(row.fingerprint)
        short = row.fingerprint[:12]
        if code in NEVER_WAIVED:
            own.append(_make_invalid(waivers.path, row.location, short, f"{code} cannot be waived"))
        elif row.expires < today or code is None:
            waiver_code = "RR033" if row.expires < today else "RR032"
            detail = row.expires.isoformat()
            located = finding(waiver_code, waivers.path, location=row.location, id=short, detail=detail)
            own.append(RoleRegistryViolation(located, (short,), make_fingerprint(waiver_code, (row.fingerprint,))))
    waived = [violation for violation in checked if violation.fingerprint in waivable]
    remaining = [violation for violation in checked if violation.fingerprint not in waivable]
    return WaiverResult(sort_violations(remaining, own), sort_violations(waived))


def _make_invalid(path: str, location: str | None, key: str, detail: str) -> RoleRegistryViolation:
    return make_violation("RR034", path, location, key=f"{key} {detail}", detail=detail)


def _check_file(value: Any) -> list[tuple[JsonPath, str]]:
    if not isinstance(value, dict):
        return [((), "the file is not an object")]
    errors: list[tuple[JsonPath, str]] = []
    if value.get("waivers_version") != WAIVERS_VERSION:
        errors.append((("waivers_version",), f'waivers_version is not "{WAIVERS_VERSION}"'))
    if not isinstance(value.get("waivers"), list):
        errors.append((("waivers",), "waivers is not an array"))
    unknown = value.keys() - {"waivers_version", "waivers"}
    return [*errors, *(((key,), f"unknown field {quote_text(key)}") for key in unknown)]


def _check_row(row: Any) -> list[str]:
    if not isinstance(row, dict):
        return ["it is not an object"]
    texts = {name: row[name] for name in _FIELDS if isinstance(row.get(name), str) and row[name].strip()}
    errors = [f"{name} is missing or empty" for name in _FIELDS if name not in texts]
    errors += [f"unknown field {quote_text(key)}" for key in row if key not in _FIELDS]
    if "fingerprint" in texts and _FINGERPRINT.fullmatch(texts["fingerprint"]) is None:
        errors.append("fingerprint is not 64 lower-case hexadecimal digits")
    if "expires" in texts and not _is_day(texts["expires"]):
        errors.append(f"expires is not a day (YYYY-MM-DD): {format_value(texts['expires'])}")
    return errors


def _is_day(text: str) -> bool:
    try:
        return _DAY.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False
