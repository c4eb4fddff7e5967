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


def test_what_the_original_tools_wrote_is_valid() -> None:
    assert check_delta_log(KNOWN, None, **FIRST) == ()
    assert [problem for line in KNOWN.splitlines() for problem in check_value(SCHEMA, json.loads(line))] == []


def test_an_edge_without_a_basis_has_no_paths() -> None:
    line = json.loads(KNOWN.splitlines()[0]) | {"delta_basis": "unknown"}

    assert [problem.pointer for problem in check_value(SCHEMA, line)] == ["/added_paths"]


@given(st.integers(0, len(KNOWN) - 1), st.integers(1, 255))
def test_a_byte_of_the_beginning_that_is_another_is_found(place: int, change: int) -> None:
    grown = bytearray(KNOWN)
    grown[place] ^= change

    findings = check_delta_log(bytes(grown), KNOWN, **{**FIRST, "previous_run_id": "the one before"})

    assert "DELTA_PREFIX_BROKEN" in {f.code for f in findings}


@given(st.integers(0, len(KNOWN) - 1))
def test_a_log_that_was_cut_does_not_begin_with_its_previous(length: int) -> None:
    findings = check_delta_log(KNOWN[:length], KNOWN, **{**FIRST, "previous_run_id": "the one before"})

    assert "DELTA_PREFIX_BROKEN" in {f.code for f in findings}


@given(st.binary(max_size=80), st.none() | st.binary(max_size=80))
def test_any_bytes_are_judged(log: bytes, previous: bytes | None) -> None:
    check_delta_log(log, previous, **FIRST)


def test_of_a_log_with_very_many_faults_not_all_are_told() -> None:
    line = KNOWN.splitlines(keepends=True)[0]

    assert len(check_delta_log(line * 3 * MAX_FINDINGS, None, **FIRST)) == MAX_FINDINGS
