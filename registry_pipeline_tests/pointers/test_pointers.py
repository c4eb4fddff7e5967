"""The pointer file, its schema, the registry table and the runs: each way to fail is a case of `cases/pointers`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_pipeline.config import Config, Repository
from registry_pipeline.pointers.check_pointers import check_pointers
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.pointer_file import parse_pointer_file
from registry_pipeline.runs.reference import PointerFile
from registry_pipeline.schema import check_value
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.pointers.pointer_store import NOW, POINTERS, check_pointer_file, inputs_of


def read_case(name: str) -> bytes | None:
    return Case("pointers", name).files().get("pointers.json")


@pytest.mark.parametrize("case", find_cases("pointers"), ids=lambda case: case.id)
def test_the_parser_refuses_what_the_schema_refuses(case: Case) -> None:
    data = read_case(case.name)
    try:
        document = json.loads(data or b"")
    except (ValueError, RecursionError):
        return

    _, form = parse_pointer_file(data, POINTERS)

    if check_value("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", document):
        assert form
    if not form:
        assert check_value("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", document) == []


def test_unknown_keys_are_kept_in_their_place() -> None:
    data = read_case("good__further_top_level_keys") or b""

    parsed, _ = parse_pointer_file(data, POINTERS)

    assert list(parsed.document) == list(json.loads(data))


def test_an_invalid_pointer_is_not_active() -> None:
    parsed, _ = parse_pointer_file(read_case("good__found_invalid_is_not_verified_as_active"), POINTERS)

    assert parsed.active("run_registry") is None
    pointer = parsed.get("run_registry")
    assert pointer is not None
    assert pointer.ref is not None


@pytest.mark.parametrize("code", ["POINTER_DUPLICATE", "POINTER_SHA_FORM", "POINTER_RUN_ID_FORM", "POINTER_PATH"])
def test_nothing_is_read_through_a_broken_entry(code: str) -> None:
    for case in (case for case in find_cases("pointers") if case.code == code):
        parsed, _ = parse_pointer_file(read_case(case.name), POINTERS)

        assert parsed.active("run_registry") is None


def test_a_file_that_is_too_large_is_refused_unread() -> None:
    padded = (read_case("good__full_stack") or b"") + b" " * (4 * 1024 * 1024)

    parsed, (found,) = parse_pointer_file(padded, POINTERS)

    assert (found.code, parsed.pointers) == ("POINTER_SHAPE", ())


def test_too_many_pointers_are_one_finding() -> None:
    document = {"pointer_contract_version": "0.1", "pointers": [{}] * 1001}

    _, findings = parse_pointer_file(json.dumps(document).encode(), POINTERS)

    assert [f.location for f in findings] == ["/pointers"]


def test_the_time_of_activation_may_be_now() -> None:
    parsed, _ = parse_pointer_file(read_case("good__full_stack"), POINTERS)

    assert check_pointer_file(parsed, datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)) == ()


def test_a_mixed_set_names_both_runs_and_the_command() -> None:
    parsed, _ = parse_pointer_file(read_case("POINTER_INPUTS_MIXED__rebuilt_alone"), POINTERS)

    (found,) = check_pointer_file(parsed, NOW)

    assert found.expected == "2026-03-02__100000__run_registry_build"
    assert found.got == "2026-03-01__100000__run_registry_build"
    assert "build run_registry" in found.hint


def test_only_runs_under_a_configured_root_are_verified() -> None:
    verified: list[str] = []
    parsed, _ = parse_pointer_file(read_case("POINTER_RUN_ROOT__not_configured"), POINTERS)

    check_pointers(
        parsed,
        repository=Repository(Path("/nowhere"), Config(pointers=POINTERS)),
        specs=SHIPPED.registries,
        verdict_of=lambda ref: verified.append(ref.run_id),
        inputs_of=inputs_of,
        now=NOW,
        marked_bad={},
    )

    assert verified == []


def test_a_pointer_that_was_only_moved_in_memory_is_checked_by_its_order() -> None:
    parsed, _ = parse_pointer_file(read_case("POINTER_ASOF__future"), POINTERS)
    moved = PointerFile({"pointer_contract_version": "0.1", "pointers": []}, parsed.pointers, None)

    assert [f.location for f in check_pointer_file(moved, NOW)] == ["/pointers/0/active_asof_utc"]
