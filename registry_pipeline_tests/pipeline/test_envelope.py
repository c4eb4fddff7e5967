"""run.json of what this tool seals: its keys, their order, and the repository id in every run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from registry_pipeline.config import load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pipeline.verify import check_runs
from registry_pipeline.pointers.find_runs import list_active_runs
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.runs.envelope import Inputs, RunEnvelope
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.schema import check_value
from registry_pipeline.values import replace
from registry_pipeline_tests.pipeline.conftest import World

SPECIFICATION = Path(__file__).parents[2] / "docs/reference/specification.md"
KEYS = [
    *("run_id", "created_utc", "run_type", "registry_id", "option", "operation_id", "git_commit", "working_tree_state"),
    *("repository_id", "as_of_utc", "partition", "inputs", "outputs", "builder", "dagster_run_id"),
    *("source_operation_id", "coverage", "comparison"),
]
WHOLE = RunEnvelope(
    run_id="2026-03-01__120000__registry_delta_log_build__asof_2026-02-28",
    created_utc="2026-03-01T12:00:00Z",
    run_type="registry_delta_log_build",
    registry_id="registry_delta_log",
    option="QA",
    operation_id="OP-QA07",
    git=GitState("a" * 40, "clean"),
    as_of_utc="2026-03-01T12:00:00Z",
    partition="2026-02-28",
    inputs=Inputs(),
    outputs=("run.json",),
    builder_name="registry_pipeline.registry_delta_log",
    builder_version="1",
    dagster_run_id="d",
    source_operation_id="OP-A01",
    coverage={"records": 0, "registries": []},
    comparison={"pack": "p.json", "baselines": [], "tolerated": [], "violations": [], "waived": []},
    repository_id="shop-harbour",
)


def with_id(world: World) -> World:
    (world.root / "registry-pipeline.toml").write_text('repository_id = "shop-harbour"\n', encoding="utf-8")
    return World(load_repository(world.root))


def test_the_keys_of_run_json_stand_in_the_documented_order() -> None:
    section = SPECIFICATION.read_text(encoding="utf-8").split("\n### run.json\n")[1].split("\n### ")[0]

    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert documented == KEYS == list(WHOLE.to_json())
    assert check_value("RUN_ENVELOPE_v0_1.schema.json", WHOLE.to_json()) == []


def test_a_key_that_has_nothing_to_say_is_absent_and_the_order_stays() -> None:
    bare = replace(WHOLE, partition=None, dagster_run_id=None, source_operation_id=None, coverage=None)
    bare = replace(bare, comparison=None)

    absent = {"partition", "dagster_run_id", "source_operation_id", "coverage", "comparison"}
    assert list(bare.to_json()) == [key for key in KEYS if key not in absent]
    assert list(replace(bare, repository_id=None).to_json()) == [
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
    assert all(checked.verdict.passed for checked in check_runs(list_active_runs(world.repository)))


def test_a_repository_without_an_id_seals_runs_as_it_always_did(built: World) -> None:
    active = [built.active(name) for name in REGISTRIES if read_pointers(built.repository).active(name)]

    assert active
    for run_id in active:
        assert "repository_id" not in json.loads((built.runs / run_id / "run.json").read_bytes())


def test_runs_that_are_older_than_the_id_stay_valid(built: World) -> None:
    world = with_id(built)

    seen = inspect(world.repository, world.run(1))

    assert [f for f in seen.findings if f.severity == "error"] == []
