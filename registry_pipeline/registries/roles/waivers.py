"""Waivers: what was approved for a time, by whom and why (SPEC 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from registry_pipeline.findings.codes import finding
from registry_pipeline.registries.roles.json_positions import Lines, Place, find_spans, json_pointer, shown
from registry_pipeline.registries.roles.pack_fields import shown_value
from registry_pipeline.registries.roles.report import Violation, fingerprint_of, sorted_violations
from registry_pipeline.registries.roles.strict_json import StrictJson, read_strict_json
from registry_pipeline.values import value_type

WAIVERS_VERSION: Final = "0.1"
NEVER_WAIVED: Final = frozenset({"RR001", "RR002", "RR003", "RR004", "RR005", "RR030", "RR036"})
"""RR001 to RR005 (SPEC 9); RR030, which is no verdict; RR036, which tells of an altered seal."""
_FINGERPRINT: Final = re.compile("[0-9a-f]{64}")
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIELDS: Final = ("fingerprint", "reason", "approver", "expires")


@value_type
class Waiver:
    """One approval: of the violation with this fingerprint, until the end of the day `expires` (UTC)."""

    fingerprint: str
    reason: str
    approver: str
    expires: date
    location: str | None = None


@value_type
class Waivers:
    """The waivers of a repository and what is wrong with their file (RR034)."""

    path: str
    rows: tuple[Waiver, ...] = ()
    violations: tuple[Violation, ...] = ()


@value_type
class Waived:
    """What remains of some violations, with those of the waivers themselves; and what was waived."""

    violations: tuple[Violation, ...]
    waived: tuple[Violation, ...]


def parse_waivers(data: bytes, path: str) -> Waivers:
    """Parse `{"waivers_version": "0.1", "waivers": [{fingerprint, reason, approver, expires}]}`.

    A row that is wrong waives nothing and is RR034; other rows hold. Nothing is raised.
    """
    read = read_strict_json(data)
    lines = Lines(read.text)
    wrong = [_invalid(path, lines.location(each.at), json_pointer(each.place), each.detail) for each in read.defects]
    if wrong:
        return Waivers(path, (), sorted_violations(wrong))
    rows: list[Waiver] = []
    seen: set[str] = set()
    for place, problem in _top_problems(read.value):
        wrong.append(_invalid(path, _location(read, place), json_pointer(place), problem))
    for index, row in enumerate(_list_of_rows(read.value)):
        location = _location(read, ("waivers", index))
        problems = _row_problems(row)
        if not problems and row["fingerprint"] in seen:
            problems = ["its fingerprint stands twice"]
        wrong += [_invalid(path, location, f"/waivers/{index}", problem) for problem in problems]
        if not problems:
            seen.add(row["fingerprint"])
            day = date.fromisoformat(row["expires"])
            rows.append(Waiver(row["fingerprint"], row["reason"], row["approver"], day, location))
    return Waivers(path, tuple(rows), sorted_violations(wrong))


def apply_waivers(violations: Iterable[Violation], waivers: Waivers, today: date) -> Waived:
    """Take out what is waived on that day (UTC), and add what is wrong with the waivers: RR032, RR033, RR034."""
    found = list(violations)
    by_fingerprint = {row.fingerprint: row for row in waivers.rows}
    waived = [
        each
        for each in found
        if each.finding.code not in NEVER_WAIVED
        and each.fingerprint in by_fingerprint
        and by_fingerprint[each.fingerprint].expires >= today
    ]
    codes = {each.fingerprint: each.finding.code for each in found}
    told = list(waivers.violations)
    for row in waivers.rows:
        code = codes.get(row.fingerprint)
        ids = (row.fingerprint[:12],)
        words = {"id": ids[0], "detail": row.expires.isoformat()}
        if code in NEVER_WAIVED:
            told.append(_invalid(waivers.path, row.location, ids[0], f"{code} cannot be waived"))
        elif row.expires < today:
            told.append(_about(waivers.path, row, "RR033", words))
        elif code is None:
            told.append(_about(waivers.path, row, "RR032", words))
    gone = {each.fingerprint for each in waived}
    remain = [each for each in found if each.fingerprint not in gone]
    return Waived(sorted_violations(remain, told), sorted_violations(waived))


def _about(path: str, row: Waiver, code: str, words: dict[str, str]) -> Violation:
    told = finding(code, path, location=row.location, id=words["id"], detail=words["detail"])
    return Violation(told, (words["id"],), fingerprint_of(code, (row.fingerprint,)))


def _invalid(path: str, location: str | None, key: str, detail: str) -> Violation:
    return Violation(
        finding("RR034", path, location=location, detail=detail), (), fingerprint_of("RR034", (), f"{key} {detail}")
    )


def _location(read: StrictJson, place: Place) -> str | None:
    span = find_spans(read.text, [place]).get(place)
    return Lines(read.text).location(span[0]) if span else None


def _list_of_rows(value: Any) -> list[Any]:
    rows = value.get("waivers") if isinstance(value, dict) else None
    return rows if isinstance(rows, list) else []


def _top_problems(value: Any) -> list[tuple[Place, str]]:
    if not isinstance(value, dict):
        return [((), "the file is not an object")]
    problems: list[tuple[Place, str]] = []
    if value.get("waivers_version") != WAIVERS_VERSION:
        problems.append((("waivers_version",), f'waivers_version is not "{WAIVERS_VERSION}"'))
    if not isinstance(value.get("waivers"), list):
        problems.append((("waivers",), "waivers is not an array"))
    problems += [((key,), f"{shown(key)} is no field") for key in value.keys() - {"waivers_version", "waivers"}]
    return problems


def _row_problems(row: Any) -> list[str]:
    if not isinstance(row, dict):
        return ["it is not an object"]
    problems = [f"{name} is missing or empty" for name in _FIELDS if not _filled(row.get(name))]
    problems += [f"{shown(key)} is no field" for key in row if key not in _FIELDS]
    fingerprint, expires = row.get("fingerprint"), row.get("expires")
    if isinstance(fingerprint, str) and fingerprint.strip() and _FINGERPRINT.fullmatch(fingerprint) is None:
        problems.append("fingerprint is not 64 lower-case hexadecimal digits")
    if isinstance(expires, str) and expires.strip() and not _is_day(expires):
        problems.append(f"expires is no day: {shown_value(expires)}")
    return problems


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_day(text: str) -> bool:
    if _DAY.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
