"""The drift rule `paths`: the status of an operation by what commits touched since its latest run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_pipeline.git.values import BoundPaths, PathDrift, TouchGraph
from registry_pipeline.registries.op_status_table.build import ARTIFACT, OpStatusInputs, build_op_status_table
from registry_pipeline.runs.envelope import RunRow
from registry_pipeline.schema import check_value
from registry_pipeline_tests.registries.builder_values import HEAD, context, row, status_inputs

OLD, NEW = "a" * 40, HEAD
GRAPH = TouchGraph({NEW: 0, OLD: 1}, [[1], []], {0: frozenset({"job.py"}), 1: frozenset({"job.py", "other.py"})})


def drift_of(inputs: OpStatusInputs, head: str | None = NEW) -> dict[str, Any]:
    made: list[dict[str, Any]] = json.loads(build_op_status_table(inputs, context(head)).files[ARTIFACT])
    assert check_value("REGISTRY_op_status_table_v0_1.schema.json", made) == []
    return made[0]


def by_paths(run: RunRow, bound: BoundPaths | None, graph: TouchGraph | None = GRAPH, head: str | None = NEW) -> Any:
    paths = PathDrift({} if bound is None else {"OP-A01": bound}, graph)
    status = drift_of(status_inputs(run, path_drift=paths), head)
    return status["op_drift"], status["op_drift_reasons"], status["warnings"]


JOB = BoundPaths(frozenset({"job.py"}))
TOUCHED = (True, ["op_drift_paths_touched"], ["op_drift_paths_touched"])
DIRTY = (True, ["op_drift_last_run_dirty"], ["op_drift_last_run_dirty"])


def unknown(why: str) -> tuple[None, list[str], list[str]]:
    return None, [], [f"op_drift unknown: {why}"]


@pytest.mark.parametrize(
    ("run", "bound", "expected"),
    [
        (row(git_commit=OLD), JOB, TOUCHED),
        (row(git_commit=OLD, working_tree_state="dirty"), JOB, TOUCHED),
        (row(git_commit=NEW), JOB, (False, [], [])),
        (row(git_commit=NEW, working_tree_state="dirty"), JOB, DIRTY),
        (row(git_commit=OLD), BoundPaths(frozenset({"other.py"})), (False, [], [])),
        (row(git_commit=OLD), BoundPaths(frozenset({"job.py"}), is_whole=False), TOUCHED),
        (
            row(git_commit=OLD),
            BoundPaths(frozenset({"other.py"}), is_whole=False),
            unknown("git has no file of a bound executable"),
        ),
        (row(git_commit=OLD), BoundPaths(), unknown("the operation binds no executable")),
        (row(git_commit=OLD), None, unknown("the operation binds no executable")),
        (row(git_commit=OLD, working_tree_state="dirty"), None, DIRTY),
        (row(git_commit=None), JOB, unknown("the latest run names no commit")),
        (row(git_commit=None, working_tree_state="dirty"), JOB, DIRTY),
        (row(git_commit="d" * 40), JOB, unknown("the commit of the latest run is not in the history")),
        (row(git_commit=OLD[:12]), JOB, unknown("the commit of the latest run is not in the history")),
    ],
)
def test_by_the_rule_of_paths_an_operation_drifts_where_its_executables_were_touched(
    run: RunRow, bound: BoundPaths | None, expected: tuple[object, ...]
) -> None:
    assert by_paths(run, bound) == expected


def test_by_the_rule_of_paths_nothing_is_known_outside_git() -> None:
    expected = unknown("there is no commit to compare with")

    assert by_paths(row(git_commit=OLD), JOB, graph=None, head=None) == expected
    assert by_paths(row(git_commit=OLD), JOB, head=None) == expected
    assert by_paths(row(git_commit=OLD, working_tree_state="dirty"), JOB, graph=None, head=None) == DIRTY


def test_an_operation_without_a_run_has_no_drift_by_any_rule() -> None:
    status = drift_of(status_inputs(path_drift=PathDrift({"OP-A01": JOB}, GRAPH)))

    assert (status["op_drift"], status["warnings"]) == (None, ["no attributable runs observed"])


def test_what_is_not_known_of_drift_is_the_last_warning() -> None:
    run = row(git_commit="d" * 40, has_manifest_sha256=False)
    inputs = status_inputs(run, coverage={}, path_drift=PathDrift({"OP-A01": JOB}, GRAPH))

    assert drift_of(inputs)["warnings"] == [
        "missing manifest on latest run",
        "coverage level < C3 (actual: C0)",
        "op_drift unknown: the commit of the latest run is not in the history",
    ]
