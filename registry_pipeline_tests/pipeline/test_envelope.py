"""run.json of what this tool seals: its keys, their order, and the repository id in every run."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_pipeline.config import load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pipeline.verify import check_runs
from registry_pipeline.pointers.find_runs import list_active_runs
from registry_pipeline.registries.base.seal_build import BuildRun, make_run_json
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.envelope import CaptureCheck, Inputs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.sealed_run import Artifacts, Built
from registry_pipeline.schema import check_value
from registry_pipeline.values import replace
from registry_pipeline_tests.pipeline.conftest import World

SPECIFICATION = Path(__file__).parents[2] / "docs/reference/specification.md"
KEYS = [
    *("run_id", "created_utc", "run_type", "registry_id", "option", "operation_id", "git_commit", "working_tree_state"),
    *("repository_id", "as_of_utc", "partition", "inputs", "outputs", "builder", "dagster_run_id"),
    *("source_operation_id", "coverage", "comparison"),
]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = replace(SHIPPED.spec_of("registry_delta_log"), operation_id="OP-QA07", source_operation_id="OP-A01")
PARTS: dict[str, Any] = {
    "repository_id": "shop-harbour",
    "run": BuildRun(NOON, GitState("a" * 40, "clean"), "d"),
    "spec": SPEC,
    "built": Built(
        "registry_delta_log",
        Artifacts({}, 0, ""),
        Inputs(),
        "2026-03-01T12:00:00Z",
        "/repository",
        coverage={"records": 0, "registries": []},
        check=CaptureCheck(record={"pack": "p.json", "baselines": [], "tolerated": [], "violations": [], "waived": []}),
    ),
    "run_id": RunId(NOON, "registry_delta_log_build", "2026-02-28"),
    "outputs": ["run.json"],
    "builder": {"name": "registry_pipeline.registry_delta_log", "version": "1"},
}


def with_id(world: World) -> World:
    (world.root / "registry-pipeline.toml").write_text('repository_id = "shop-harbour"\n', encoding="utf-8")
    return World(load_repository(world.root))


def test_the_keys_of_run_json_are_in_the_documented_order() -> None:
    section = SPECIFICATION.read_text(encoding="utf-8").split("\n### run.json\n")[1].split("\n### ")[0]

    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert documented == KEYS == list(make_run_json(**PARTS))
    assert check_value("RUN_ENVELOPE_v0_1.schema.json", make_run_json(**PARTS)) == []


def test_a_key_that_has_nothing_to_say_is_absent_and_the_order_stays() -> None:
    bare = PARTS | {
        "run": replace(PARTS["run"], dagster_run_id=None),
        "spec": replace(SPEC, source_operation_id=None),
        "built": replace(PARTS["built"], coverage=None, check=None),
        "run_id": replace(PARTS["run_id"], partition=None),
    }

    absent = {"partition", "dagster_run_id", "source_operation_id", "coverage", "comparison"}
    assert list(make_run_json(**bare)) == [key for key in KEYS if key not in absent]
    assert list(make_run_json(**bare | {"repository_id": None})) == [
        key for key in KEYS if key not in {*absent, "repository_id"}
    ]


def test_every_run_that_is_sealed_has_the_id_between_the_tree_and_the_instant(world: World) -> None:
    world = with_id(world)
    before = world.names()

    world.build()

    tags = set()
    for name in world.names() - before:
        document = json.loads((world.runs / name / "run.json").read_bytes())
        keys = list(document)
        assert document["repository_id"] == "shop-harbour"
        assert keys == [key for key in KEYS if key in keys]
        assert keys[7:10] == ["working_tree_state", "repository_id", "as_of_utc"]
        tags.add(name.split("__")[2])
    assert tags >= {"pointer_activation", "system_health_render", "run_registry_build", "registry_delta_log_build"}
    assert all(checked.verdict.passed for checked in check_runs(list_active_runs(world.repository), None))


def test_a_repository_without_an_id_seals_runs_as_it_always_did(built: World) -> None:
    active = [built.active(name) for name in SHIPPED.registries if read_pointers(built.repository).active(name)]

    assert active
    for run_id in active:
        assert "repository_id" not in json.loads((built.runs / run_id / "run.json").read_bytes())


def test_runs_that_are_older_than_the_id_stay_valid(built: World) -> None:
    world = with_id(built)

    seen = inspect(world.repository, world.run(1))

    assert [f for f in seen.findings if f.severity == "error"] == []
