"""The asset graph: its required properties; the complete graph is in `cases/defs`."""

from __future__ import annotations

from dagster import AssetKey, in_process_executor

from registry_pipeline.definitions import defs
from registry_pipeline.registries.catalog import BUILD_ORDER
from registry_pipeline_tests.defs.graph_picture import picture


def test_every_registry_of_the_stack_has_an_asset_with_a_code_version_and_all_blocking_checks() -> None:
    drawn = picture(defs)

    for spec in BUILD_ORDER:
        assert drawn["assets"][spec.registry_id]["has_code_version"]
        assert drawn["assets"][spec.registry_id]["deps"] == sorted({*spec.depends_on, *spec.after})
        for name in spec.check_names:
            assert f"{spec.registry_id}:{name} (blocking)" in drawn["checks"]


def test_the_rebuild_job_excludes_assets_that_move_pointers() -> None:
    rebuilt = {AssetKey(spec.registry_id).to_user_string() for spec in BUILD_ORDER}

    assert set(picture(defs)["jobs"]["rebuild_job"]) == rebuilt


def test_steps_run_in_one_process_by_default() -> None:
    assert defs.executor is in_process_executor
