from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.base.values import Operation, OperationCatalog, SystemDrift, count_days_since
from registry_pipeline.registries.op_status_table.build import (
    ARTIFACT,
    META_ARTIFACT,
    OpStatusInputs,
    build_op_status_table,
)
from registry_pipeline.runs.envelope import BuildContext, RunRow
from registry_pipeline.schema import check_value
from registry_pipeline_tests.registries.builder_values import (
    CONTEXT,
    HEAD,
    NOON,
    context,
    operations,
    row,
    rows,
    status_inputs,
)

SCHEMA = "REGISTRY_op_status_table_v0_1.schema.json"


def table(inputs: OpStatusInputs, under: BuildContext = CONTEXT) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(build_op_status_table(inputs, under).files[ARTIFACT])
    return made


def only(*runs: RunRow, under: BuildContext = CONTEXT, coverage: dict[str, str] | None = None) -> dict[str, Any]:
    (status,) = table(status_inputs(*runs, coverage=coverage), under)
    return status


def test_an_operation_without_any_run_is_unobserved_and_nothing_is_invented() -> None:
    status = only()

    assert status["run_evidence_state"] == "UNOBSERVED"
    assert (status["manifest_state"], status["run_json_state"]) == ("UNKNOWN", "UNKNOWN")
    unknown = ("last_run_id", "last_run_created_utc", "staleness_days", "op_drift")
    assert [status[name] for name in unknown] == [None] * 4
    assert status["warnings"] == ["no attributable runs observed"]


@pytest.mark.parametrize(
    ("other", "state"),
    [
        (row(operation_id=None), "LEGACY_ONLY"),
        (row(has_run_json=False), "LEGACY_ONLY"),
        (row(has_run_json=False, operation_id=None), "LEGACY_ONLY"),
        (row(operation_id="OP-Z99"), "UNOBSERVED"),
    ],
)
def test_runs_that_cannot_be_attributed_make_it_legacy_only(other: RunRow, state: str) -> None:
    assert only(other)["run_evidence_state"] == state


def test_the_latest_run_is_chosen_by_time_as_text_then_by_key() -> None:
    runs = [
        row("a", created_utc=None),
        row("b", created_utc="2026-01-01T00:00:00Z"),
        row("d", created_utc="2026-01-02T00:00:00Z"),
        row("c", created_utc="2026-01-02T00:00:00Z"),
    ]
    assert only(*runs)["last_run_id"] == "d"

    status = only(*runs, row("e", created_utc="yesterday"))
    assert status["last_run_id"] == "e"
    assert status["staleness_days"] is None


@pytest.mark.parametrize(
    ("commit", "head", "state", "reasons"),
    [
        (HEAD, HEAD, "clean", []),
        (HEAD, HEAD, "dirty", ["op_drift_last_run_dirty"]),
        ("d" * 40, HEAD, "dirty", ["op_drift_commit_mismatch"]),
        ("d" * 40, HEAD, None, ["op_drift_commit_mismatch"]),
        (HEAD[:12], HEAD, "clean", ["op_drift_commit_mismatch"]),
        (None, HEAD, "clean", []),
        ("d" * 40, None, "clean", []),
        (None, None, "dirty", ["op_drift_last_run_dirty"]),
        (None, None, None, []),
    ],
)
def test_an_operation_drifts_by_commit_else_by_a_dirty_tree(
    commit: str | None, head: str | None, state: str | None, reasons: list[str]
) -> None:
    status = only(row(git_commit=commit, working_tree_state=state), under=context(head))

    assert status["op_drift"] is bool(reasons)
    assert status["op_drift_reasons"] == reasons
    assert status["warnings"] == reasons


def test_warnings_are_in_the_documented_order() -> None:
    runs = [row("a", run_root="z", has_manifest_sha256=False, working_tree_state="dirty"), row("b", run_root="y")]

    assert only(*runs, coverage={})["warnings"] == [
        "missing manifest on latest run",
        "multiple run roots observed; using latest by created_utc",
        "coverage level < C3 (actual: C0)",
        "op_drift_last_run_dirty",
    ]


@pytest.mark.parametrize(
    ("created", "days"),
    [
        ("2026-03-01T12:00:00Z", 0),
        ("2026-02-28T12:00:00Z", 1),
        ("2026-02-28T12:00:01Z", 0),
        ("2026-03-01T12:00:01Z", -1),
        ("2026-02-28T13:00:00+01:00", 1),
        ("2026-02-28T07:00:00.5-05:00", 0),
        ("2026-02-28 12:00Z", 1),
        ("0001-01-01T00:00:00+14:00", 739676),
        (None, None),
        ("", None),
        ("2026-02-28T12:00:00", None),
        ("2026-02-28", None),
        ("2026-02-30T12:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("2026-02-28T24:00:00Z", None),
        ("20260228T120000Z", None),
        ("2026-02-28T12:00:00+0100", None),
        ("2026-02-28T12:00:00z", None),
        ("2026-02-28T12:00:00Z\n", None),
        ("٢٠٢٦-02-28T12:00:00Z", None),
    ],
)
def test_staleness_is_whole_days_rounded_down_or_unknown(created: str | None, days: int | None) -> None:
    assert count_days_since(created, NOON) == days


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - the strategy wants naive bounds
def test_staleness_is_the_floor_of_the_distance(naive: datetime) -> None:
    created = naive.replace(tzinfo=UTC)

    days = count_days_since(created.isoformat(), NOON)

    assert days is not None
    assert timedelta(0) <= (NOON - created) - timedelta(days=days) < timedelta(days=1)


def test_only_configured_options_are_shown_in_their_order() -> None:
    found = tuple(
        Operation(i, o, i, (), "c.md") for i, o in [("OP-B02", "B"), ("OP-A09", "A"), ("OP-B01", "B"), ("OP-Z1", "Z")]
    )
    inputs = status_inputs(catalog=OperationCatalog(found, {}, ()), options=("B", "A"))

    assert [status["operation_id"] for status in table(inputs)] == ["OP-B01", "OP-B02", "OP-A09"]


def test_the_meta_document_keeps_the_drift_that_was_active_before() -> None:
    drift = SystemDrift(canon_dirty=True, schema_drift=None, threshold_drift=False)
    inputs = status_inputs(system_drift=drift, drift_signals_run="d")

    assert json.loads(build_op_status_table(inputs, CONTEXT).files[META_ARTIFACT]) == {
        "generated_utc": "2026-03-01T12:00:00Z",
        "git_commit": HEAD,
        "working_tree_state": "clean",
        "system_drift": {"canon_dirty": True, "schema_drift": None, "threshold_drift": False},
        "drift_signals_run": "d",
    }


def test_the_content_hash_ignores_the_clock_and_nothing_else() -> None:
    inputs = status_inputs(row())
    later = context(at=NOON + timedelta(days=9))

    first, same = build_op_status_table(inputs, CONTEXT), build_op_status_table(inputs, later)
    other = build_op_status_table(inputs, context("d" * 40))

    assert first.files != same.files
    assert first.content_sha256 == same.content_sha256 != other.content_sha256


def naive_status(runs: list[RunRow], operation: Operation) -> tuple[object, ...]:
    """Return state, latest run and roots of one operation, by looking at every run: the oracle."""
    mine = [r for r in runs if (r.has_run_json or r.adapted) and r.operation_id == operation.operation_id]
    legacy = [r for r in runs if not (r.has_run_json or r.adapted) or r.operation_id is None]
    state = "OBSERVED" if mine else "LEGACY_ONLY" if legacy else "UNOBSERVED"
    latest = max(mine, key=lambda r: (r.created_utc or "", r.run_key)) if mine else None
    several = len({r.run_root for r in mine}) > 1
    return (operation.operation_id, state, latest.run_id if latest else None, several)


@given(
    st.lists(rows, max_size=12, unique_by=lambda r: r.run_key),
    st.lists(operations, max_size=4, unique_by=lambda o: o.operation_id),
    st.randoms(),
)
def test_one_pass_over_the_runs_finds_the_same_as_a_search_for_each_operation(
    runs: list[RunRow], found: list[Operation], rng: random.Random
) -> None:
    inputs = status_inputs(*runs, catalog=OperationCatalog(tuple(found), {}, ()))
    shuffled = status_inputs(
        *rng.sample(runs, len(runs)), catalog=OperationCatalog(tuple(rng.sample(found, len(found))), {}, ())
    )

    latest_runs = [
        (s["operation_id"], s["run_evidence_state"], s["last_run_id"], any("multiple" in w for w in s["warnings"]))
        for s in table(inputs)
    ]

    assert sorted(latest_runs) == sorted(naive_status(runs, o) for o in found if o.option in inputs.options)
    assert build_op_status_table(inputs, CONTEXT) == build_op_status_table(shuffled, CONTEXT)


def test_a_run_whose_envelope_was_adapted_is_evidence_and_its_run_json_is_missing() -> None:
    status = only(row(has_run_json=False, adapted=True))

    assert (status["run_evidence_state"], status["run_json_state"]) == ("OBSERVED", "MISSING")
    assert check_value(SCHEMA, [status]) == []
    assert only(row(has_run_json=False, adapted=True, operation_id=None))["run_evidence_state"] == "LEGACY_ONLY"
