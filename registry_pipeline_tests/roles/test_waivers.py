"""A waiver removes the approved violation for its time, and never one that cannot be waived."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.roles.check import check_against_baseline
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.report import PublishedPack, RoleRegistryViolation
from registry_pipeline.registries.roles.waivers import NEVER_WAIVED, Waivers, apply_waivers, parse_waivers
from registry_pipeline_tests.roles.base_pack import EDITOR, Change, base_pack, extract, role, written

PATH = "docs/governance/ROLE_WAIVERS_v0_1.json"
TODAY = date(2026, 3, 1)


def found(change: Change) -> tuple[RoleRegistryViolation, ...]:
    made = base_pack()
    change(made)
    before = parse_pack(written(base_pack()), "p")
    return check_against_baseline(parse_pack(written(made), "p"), PublishedPack(before, "main:p"))


REDEFINED = found(lambda p: p["roles"][EDITOR].update(department_id="story"))
DRIFTED = found(lambda p: extract(p, EDITOR)[0]["schema_json"].update(title="Long cut"))


def row(fingerprint: str, expires: str = "2026-03-01", **fields: Any) -> dict[str, Any]:
    return {"fingerprint": fingerprint, "reason": "agreed", "approver": "ilja", "expires": expires, **fields}


def waivers(*rows: Any) -> Waivers:
    return parse_waivers(json.dumps({"waivers_version": "0.1", "waivers": rows}, indent=1).encode(), PATH)


def codes(violations: tuple[RoleRegistryViolation, ...]) -> list[str]:
    return [each.finding.code for each in violations]


def test_a_waiver_removes_its_violation() -> None:
    result = apply_waivers(REDEFINED, waivers(row(REDEFINED[0].fingerprint)), TODAY)

    assert (codes(result.violations), codes(result.waived)) == ([], ["RR026"])


def test_a_waiver_counts_until_the_end_of_its_day() -> None:
    result = apply_waivers(REDEFINED, waivers(row(REDEFINED[0].fingerprint, "2026-02-28")), TODAY)

    assert (codes(result.violations), codes(result.waived)) == (["RR026", "RR033"], [])
    assert result.violations[1].finding.location == "4:3"
    assert result.violations[1].finding.path == PATH


def test_a_waiver_that_matches_nothing_is_reported() -> None:
    result = apply_waivers(REDEFINED, waivers(row("0" * 64)), TODAY)

    assert codes(result.violations) == ["RR026", "RR032"]


def test_an_expired_waiver_that_matches_nothing_is_reported_once() -> None:
    assert codes(apply_waivers([], waivers(row("0" * 64, "2020-01-01")), TODAY).violations) == ["RR033"]


def test_drift_cannot_be_waived() -> None:
    result = apply_waivers(DRIFTED, waivers(row(DRIFTED[0].fingerprint)), TODAY)

    assert (codes(result.violations), codes(result.waived)) == (["RR003", "RR034"], [])
    assert "RR003 cannot be waived" in result.violations[1].finding.message


@pytest.mark.parametrize("code", ["RR001", "RR002", "RR003", "RR004", "RR005", "RR030", "RR036"])
def test_the_first_five_rules_and_failures_of_the_check_are_never_waived(code: str) -> None:
    assert code in NEVER_WAIVED


def test_a_waiver_applies_only_to_the_approved_change() -> None:
    more = found(lambda p: p["roles"][EDITOR].update(department_id="story", vocab_namespace="film"))

    result = apply_waivers(more, waivers(row(REDEFINED[0].fingerprint)), TODAY)

    assert codes(result.violations) == ["RR026", "RR032"]


@given(st.integers(0, 30), st.permutations([0, 1, 2]))
def test_a_fingerprint_does_not_depend_on_positions(lines: int, order: list[int]) -> None:
    moved = base_pack()
    moved["roles"][EDITOR]["department_id"] = "story"
    moved["roles"] = [moved["roles"][index] for index in order]
    text = b"\n" * lines + written(moved)

    (violation,) = check_against_baseline(
        parse_pack(text, "p"), PublishedPack(parse_pack(written(base_pack()), "p"), "main:p")
    )

    assert violation.fingerprint == REDEFINED[0].fingerprint


def test_different_violations_have_different_fingerprints() -> None:
    many = found(
        lambda p: p["roles"].extend(role(f"grip_{number}", aliases=["X"], lifecycle="x") for number in range(9))
    )

    assert len(many) == 9 * 2 + 8
    assert len({each.fingerprint for each in many}) == len(many)


BAD_ROWS = [
    ("text", "it is not an object"),
    ({}, "fingerprint is missing or empty"),
    (row("0" * 63), "fingerprint is not 64"),
    (row("A" * 64), "fingerprint is not 64"),
    (row("0" * 64, reason=" "), "reason is missing or empty"),
    (row("0" * 64, approver=None), "approver is missing or empty"),
    (row("0" * 64, "2026-02-30"), "expires is not a day"),
    (row("0" * 64, "20260301"), "expires is not a day"),
    (row("0" * 64, "2026-W09-7"), "expires is not a day"),
    (row("0" * 64, until="x"), 'unknown field "until"'),
]


@pytest.mark.parametrize(("bad", "why"), BAD_ROWS, ids=[why for _, why in BAD_ROWS])
def test_an_invalid_row_waives_nothing_and_other_rows_apply(bad: Any, why: str) -> None:
    made = waivers(bad, row(REDEFINED[0].fingerprint))

    result = apply_waivers(REDEFINED, made, TODAY)

    assert set(codes(result.violations)) == {"RR034"}
    assert any(why in each.finding.message for each in result.violations)
    assert codes(result.waived) == ["RR026"]


def test_a_duplicate_fingerprint_is_invalid() -> None:
    made = waivers(row(REDEFINED[0].fingerprint), row(REDEFINED[0].fingerprint, "2030-01-01"))

    assert [(each.finding.code, each.finding.location) for each in made.violations] == [("RR034", "10:3")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"NaN",
        b'{"waivers_version": "0.2", "waivers": []}',
        b'{"waivers_version": "0.1"}',
        b'{"waivers_version": "0.1", "waivers": [], "waiver": []}',
        b'{"waivers_version": "0.1", "waivers": [], "waivers": []}',
    ],
)
def test_an_invalid_file_is_reported(data: bytes) -> None:
    made = parse_waivers(data, PATH)

    assert made.rows == ()
    assert codes(made.violations) == ["RR034"]
    assert made.violations[0].finding.path == PATH


def test_an_empty_list_is_valid() -> None:
    assert waivers() == Waivers(PATH, (), ())
