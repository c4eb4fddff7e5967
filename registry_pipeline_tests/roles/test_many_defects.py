"""Of very many violations, the first are reported, and that there are more."""

from __future__ import annotations

from registry_pipeline.registries.roles.check import check_against_baseline
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.snapshot import MAX_ITEMS
from registry_pipeline.registries.roles.strict_json import MAX_DEFECTS, parse_strict_bytes


def test_errors_of_a_text_are_reported_up_to_a_limit() -> None:
    read = parse_strict_bytes(b"[" + b"1e999," * MAX_DEFECTS + b"1e999, 1e999]")

    assert [defect.code for defect in read.defects] == ["RR018"] * (MAX_DEFECTS + 1)
    assert read.defects[-1].detail == "2 more of this kind, which are not listed"


def test_wrong_items_of_an_array_are_reported_up_to_a_limit() -> None:
    violations = check_against_baseline(parse_pack(b'{"roles": [' + b"1," * MAX_ITEMS + b"1, 1]}", "p"), None)

    wrong = [each.finding for each in violations if "/" in each.finding.message or "items" in each.finding.message]
    assert len(wrong) == MAX_ITEMS + 1
    assert sum("in 2 more of its items" in each.message for each in wrong) == 1


def test_a_position_after_very_many_items_is_found() -> None:
    pack = parse_pack(b'{"roles": [' + b"1,\n" * 50_000 + b'{"role_id": "grip"}]}', "p")

    assert pack.location_of("grip") == "50001:13"
