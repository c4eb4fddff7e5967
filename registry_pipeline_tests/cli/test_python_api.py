"""`open_repository`: what a Python program reads is what the commands print."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import duckdb
import pytest

import registry_pipeline
from registry_pipeline import OpenRepository, Table, open_repository
from registry_pipeline.errors import ConfigError, EvidenceError, NotFoundError
from registry_pipeline_tests.cli.conftest import Repository

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def opened(seen: Repository) -> OpenRepository:
    return open_repository(seen.root)


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import registry_pipeline, sys; print([m for m in sys.modules if m.startswith('registry_pipeline.')])"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout == b"[]\n"
    assert all(hasattr(registry_pipeline, name) for name in registry_pipeline.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'open_repo'"):
        _ = registry_pipeline.open_repo  # type: ignore[attr-defined]


def test_the_status_is_that_of_the_command(seen: Repository, opened: OpenRepository) -> None:
    document = seen("status", "--json").document("status")
    status = opened.status(now=NOON)

    assert status.health_state == document["health_state"]
    assert [condition.reason for condition in status.conditions] == [c["reason"] for c in document["health_conditions"]]
    assert list(status.registries) == document["registries"]
    assert status.operations is not None
    assert status.operations.observed == document["operations"]["observed"]
    assert status.runs_by_seal == document["runs"]["by_seal"]
    assert [f.code for f in status.findings] == [f["code"] for f in document["findings"]]


def test_runs_are_selected_as_by_the_command(seen: Repository, opened: OpenRepository) -> None:
    words = ("runs", "--json", "-n", "0")
    some, every = (seen(*words, *own).document("runs")["records"] for own in ((), ("--own",)))

    def ids(records: object) -> list[str]:
        assert isinstance(records, list | Table)
        return [record["run_id"] for record in records]

    assert ids(opened.runs()) == ids(some)
    assert ids(opened.runs(own=True)) == ids(every) != ids(some)
    one = seen(*words, "--operation", "OP-A01", "--since", "2026-02-01").document("runs")["records"]
    assert ids(opened.runs(operation="OP-A01", since="2026-02-01")) == ids(one) != []
    assert ids(opened.runs(state="unsealed", limit=1)) == ids(opened.runs(state="unsealed"))[:1]
    with pytest.raises(ConfigError, match="is no time"):
        opened.runs(since="yesterday")


def test_an_active_registry_is_verified_and_becomes_records_a_frame_and_an_arrow_stream(
    seen: Repository, opened: OpenRepository
) -> None:
    registry = opened.registry("op_status_table")
    records = registry.records()
    frame = registry.frame()

    assert registry.run_id == seen.active("op_status_table")
    assert len(registry.root_sha256) == 64
    assert list(frame.columns) == list(records.fields())
    assert frame["operation_id"].tolist() == [record["operation_id"] for record in records]
    assert [None if value is None else int(value) for value in frame["staleness_days"]] == [
        record["staleness_days"] for record in records
    ]
    arrow = duckdb.from_arrow(records) if hasattr(duckdb, "from_arrow") else None
    assert arrow is not None
    assert arrow.columns == list(records.fields())
    assert arrow.fetchall()[0][2] == records[0]["operation_id"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], [[]]),
        ([{"a": 1, "b": None}, {"a": None, "b": "x"}], [(1, None), (None, "x")]),
        ([{"a": 1}, {"a": 1.5}], [(1.0,), (1.5,)]),
        ([{"a": True}, {"a": 2}], [("true",), ("2",)]),
        ([{'q"x': [1, {"y": None}]}], [('[1, {"y": null}]',)]),
    ],
)
def test_a_table_is_an_arrow_stream_of_the_same_values(rows: list[dict[str, object]], expected: list[object]) -> None:
    found = duckdb.from_arrow(Table(rows)).fetchall()

    assert found == (expected if rows else [])


def test_a_table_is_a_sequence() -> None:
    table = Table([{"a": 1}, {"b": 2}, {"a": 3}])

    assert (len(table), table[0], table[-1], list(table[1:])) == (3, {"a": 1}, {"a": 3}, [{"b": 2}, {"a": 3}])
    assert repr(table) == "<Table: 3 records of a, b>"
    assert table.frame()["b"].tolist() == [None, 2, None]


def test_verify_without_names_reads_what_is_active(opened: OpenRepository, built: Repository) -> None:
    assert opened.verify().verdict == "pass"
    assert len(opened.verify(every=True, jobs=1).results) > len(opened.verify().results)

    built.tamper(built.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json")
    damaged = open_repository(built.root)

    assert damaged.verify().verdict == "fail"
    assert damaged.verify(built.active("run_registry")).results[0].verdict == "pass"
    with pytest.raises(EvidenceError, match="does not verify"):
        damaged.registry("drift_signals")


def test_nothing_to_verify_is_no_pass(known: Repository) -> None:
    assert open_repository(known.root).verify().verdict == "none"


def test_show_diff_log_and_anchor_agree_with_the_commands(built: Repository) -> None:
    assert built("build", "--force", now="2026-03-02T12:00:00Z").code == 0
    opened = open_repository(built.root)

    diff = opened.diff("active", registry="op_status_table")
    printed = built("diff", "active", "--registry", "op_status_table", "--json").document("diff")
    assert json.loads(json.dumps(diff.to_json())).items() <= printed.items()
    assert opened.show(diff.after.run_id).to_json()["active_for"] == ["op_status_table"]
    assert list(opened.log(limit=3)) == built("log", "-n", "3", "--json").document("log")["records"]
    assert opened.anchor() == built("anchor").out.split()[0]


def test_what_is_missing_is_an_error_of_the_package(opened: OpenRepository, known: Repository) -> None:
    with pytest.raises(NotFoundError, match="no registry is called"):
        opened.registry("run_registri")
    with pytest.raises(NotFoundError, match="no run of run_registry is active"):
        open_repository(known.root).registry("run_registry")
    with pytest.raises(NotFoundError):
        open_repository(known.root / "nothing-here")
    with pytest.raises(ConfigError, match="has no time zone"):
        opened.status(now=datetime(2026, 3, 1))  # noqa: DTZ001
