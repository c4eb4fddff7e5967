"""The graph has a picture: a dependency that changes without intent is red."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetSpec, Definitions, in_process_executor

from registry_pipeline.catalog import STACK
from registry_pipeline.definitions import defs

PICTURE = Path(__file__).parent.parent / "cases" / "defs" / "graph.json"


def picture(definitions: Definitions) -> dict[str, Any]:
    """Return everything of the graph that is meant: keys, dependencies, words, checks, jobs, switches."""
    repository = definitions.get_repository_def()
    specs = sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key)
    return {
        "assets": {spec.key.to_user_string(): _asset(spec) for spec in specs},
        "checks": sorted(
            f"{key.asset_key.to_user_string()}:{key.name}{' (blocking)' if _blocking(definitions, key) else ''}"
            for key in repository.asset_graph.asset_check_keys
        ),
        "jobs": {
            name: sorted(
                key.to_user_string() for key in definitions.resolve_job_def(name).asset_layer.executable_asset_keys
            )
            for name in sorted(repository.job_names)
            if not name.startswith("__")
        },
        "schedules": {
            s.name: [s.cron_schedule, s.execution_timezone, s.job_name, s.default_status.value]
            for s in repository.schedule_defs
        },
        "sensors": {
            s.name: [s.job_name, s.default_status.value, s.minimum_interval_seconds] for s in repository.sensor_defs
        },
        "resources": sorted(name for name in repository.get_top_level_resources()),
    }


def _asset(spec: AssetSpec) -> dict[str, Any]:
    return {
        "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "description": spec.description,
        "has_code_version": spec.code_version is not None,
    }


def _blocking(definitions: Definitions, key: Any) -> bool:
    return bool(definitions.get_repository_def().asset_graph.get_check_spec(key).blocking)


def test_the_graph_is_the_one_that_is_meant() -> None:
    """After an intended change: `python -m registry_pipeline_tests.defs.test_graph` draws the picture anew."""
    assert picture(defs) == json.loads(PICTURE.read_bytes())


def test_every_registry_of_the_stack_has_an_asset_with_a_code_version_and_all_blocking_checks() -> None:
    drawn = picture(defs)

    for spec in STACK:
        assert drawn["assets"][spec.registry_id]["has_code_version"]
        assert drawn["assets"][spec.registry_id]["deps"] == sorted({*spec.depends_on, *spec.after})
        for name in spec.check_names:
            assert f"{spec.registry_id}:{name} (blocking)" in drawn["checks"]


def test_the_rebuild_leaves_out_what_moves_pointers() -> None:
    rebuilt = {AssetKey(spec.registry_id).to_user_string() for spec in STACK}

    assert set(picture(defs)["jobs"]["rebuild_job"]) == rebuilt


def test_steps_run_in_one_process_by_default() -> None:
    assert defs.executor is in_process_executor


if __name__ == "__main__":
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(json.dumps(picture(defs), indent=2) + "\n", encoding="utf-8")
