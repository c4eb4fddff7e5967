"""Short constructors of builder inputs, and strategies that generate them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from registry_pipeline.git.values import GitState
from registry_pipeline.registries.base.values import ExpectedVersions, Operation, OperationCatalog
from registry_pipeline.registries.drift_signals.build import DriftInputs
from registry_pipeline.registries.op_status_table.build import OpStatusInputs, collect_evidence
from registry_pipeline.runs.envelope import BuildContext, RunRow, ScannedRun

HEAD = "c" * 40
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXT = BuildContext(NOON, "2026-03-01T12:00:00Z", GitState(HEAD, "clean"))


def context(commit: str | None = HEAD, state: Any = "clean", at: datetime = NOON) -> BuildContext:
    return BuildContext(at, at.strftime("%Y-%m-%dT%H:%M:%SZ"), GitState(commit, state))


def scanned(run_id: str = "r", run_root: str = "runs", **changes: Any) -> ScannedRun:
    values: dict[str, Any] = {
        "envelope": {},
        "run_json_problem": None,
        "has_run_json": True,
        "has_manifest_sha256": True,
        "has_manifest_json": True,
        "claimed_root": None,
        "files": (),
    }
    return ScannedRun(run_root=run_root, run_id=run_id, **(values | changes))


def row(run_id: str = "r", **changes: Any) -> RunRow:
    values: dict[str, Any] = {
        "run_root": "runs",
        "created_utc": "2026-02-28T12:00:00Z",
        "operation_id": "OP-A01",
        "git_commit": HEAD,
        "working_tree_state": "clean",
        "has_run_json": True,
        "has_manifest_sha256": True,
    } | changes
    return RunRow(run_id=run_id, **values)


def status_inputs(*runs: RunRow, coverage: dict[str, str] | None = None, **changes: Any) -> OpStatusInputs:
    operation = Operation("OP-A01", "A", "Ingest", (), "catalog.md")
    values: dict[str, Any] = {
        "catalog": OperationCatalog((operation,), {"OP-A01": "C3"} if coverage is None else coverage, ()),
        "options": ("A", "B"),
        "system_drift": None,
        "drift_signals_run": None,
    }
    return OpStatusInputs(collect_evidence(runs), **(values | changes))


def drift_inputs(**changes: Any) -> DriftInputs:
    values: dict[str, Any] = {
        "expected_path": "docs/expected.json",
        "expected": ExpectedVersions("0.1", "v1"),
        "observed_run_registry": "0.1",
        "observed_op_status_table": "0.1",
        "observed_run_envelope": "0.1",
        "observed_threshold": "v1",
        "tracked": (b"00" * 32 + b" a",),
        "tracked_missing": False,
    }
    return DriftInputs(**(values | changes))


_few = st.sampled_from
stamps = st.none() | _few(["2026-02-01T00:00:00Z", "2026-02-28T12:00:01Z", "2026-03-05T00:00:00+02:00", "yesterday"])
operation_ids = _few(["OP-A01", "OP-A02", "OP-B01", "OP-B02"])

rows = st.builds(
    lambda number, run_root, **rest: row(f"r{number}", run_root=run_root, **rest),
    number=st.integers(0, 9),
    run_root=_few(["runs", "more"]),
    created_utc=stamps,
    operation_id=st.none() | operation_ids,
    git_commit=_few([None, HEAD, "d" * 40]),
    working_tree_state=_few([None, "clean", "dirty"]),
    has_run_json=st.booleans(),
    has_manifest_sha256=st.booleans(),
    adapted=st.booleans(),
)

operations = st.builds(
    Operation, operation_ids, _few(["A", "B", "Z"]), st.text(max_size=5), st.just(()), st.just("catalog.md")
)

json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=1)
envelopes = st.dictionaries(
    _few(["created_utc", "created_at", "run_type", "option", "operation_id", "git_commit", "working_tree_state"]),
    json_values,
)
scanned_runs = st.builds(
    ScannedRun,
    run_root=_few(["runs", "more"]),
    run_id=st.text(min_size=1, max_size=4),
    envelope=envelopes,
    run_json_problem=st.none() | st.just("missing run.json"),
    has_run_json=st.booleans(),
    has_manifest_sha256=st.booleans(),
    has_manifest_json=st.booleans(),
    claimed_root=st.none() | st.just("ab" * 32),
    files=st.lists(st.tuples(st.text(min_size=1, max_size=3), st.integers(0, 9)), max_size=2).map(tuple),
)
