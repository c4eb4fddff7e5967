"""A delta log only grows. Each way in which one does not is a case of `cases/delta`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.delta_log.build import MAX_FINDINGS, check_delta_log
from registry_pipeline.schema import check_value

ROOT = Path(__file__).parents[1]
SCHEMA = "REGISTRY_registry_delta_log_v0_1.schema.json"
KNOWN = (ROOT / "known_answers" / "expected" / "REGISTRY_DELTA_LOG_v0_1.jsonl").read_bytes()
FIRST: dict[str, Any] = {
    "path": "log",
    "run_id": "2026-03-01__120000__registry_delta_log_build",
    "created_utc": "2026-03-01T12:00:00Z",
    "previous_run_id": None,
}


def test_logs_of_the_original_tools_are_valid() -> None:
    assert check_delta_log(KNOWN, None, **FIRST) == ()
    assert [problem for line in KNOWN.splitlines() for problem in check_value(SCHEMA, json.loads(line))] == []


def test_an_edge_without_a_basis_has_no_paths() -> None:
    line = json.loads(KNOWN.splitlines()[0]) | {"delta_basis": "unknown"}

    assert [problem.pointer for problem in check_value(SCHEMA, line)] == ["/added_paths"]


@given(st.integers(0, len(KNOWN) - 1), st.integers(1, 255))
def test_a_changed_byte_in_the_previous_log_is_found(place: int, change: int) -> None:
    grown = bytearray(KNOWN)
    grown[place] ^= change

    findings = check_delta_log(bytes(grown), KNOWN, **{**FIRST, "previous_run_id": "the one before"})

    assert "DELTA_PREFIX_BROKEN" in {f.code for f in findings}


@given(st.integers(0, len(KNOWN) - 1))
def test_a_truncated_log_does_not_start_with_its_previous_log(length: int) -> None:
    findings = check_delta_log(KNOWN[:length], KNOWN, **{**FIRST, "previous_run_id": "the one before"})

    assert "DELTA_PREFIX_BROKEN" in {f.code for f in findings}


@given(st.binary(max_size=80), st.none() | st.binary(max_size=80))
def test_any_bytes_are_checked(log: bytes, previous: bytes | None) -> None:
    check_delta_log(log, previous, **FIRST)


def test_the_number_of_findings_of_a_log_is_limited() -> None:
    line = KNOWN.splitlines(keepends=True)[0]

    assert len(check_delta_log(line * 3 * MAX_FINDINGS, None, **FIRST)) == MAX_FINDINGS
