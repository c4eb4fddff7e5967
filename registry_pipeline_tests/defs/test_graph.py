"""The asset graph: its required properties; the complete graph is in `cases/defs`."""

from __future__ import annotations

from dagster import in_process_executor

from registry_pipeline.definitions import defs
from registry_pipeline.defs.location import Location
from registry_pipeline.defs.proposal import POINTERS_ASSET
from registry_pipeline.defs.sources import make_source_key
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.sources import list_sources
from registry_pipeline_tests.defs.conftest import REGISTRIES
from registry_pipeline_tests.defs.graph_picture import picture


def test_every_registry_of_the_stack_has_an_asset_with_a_code_version_and_all_blocking_checks() -> None:
    drawn = picture(defs)

    for spec in SHIPPED.build_order:
        assert drawn["assets"][spec.registry_id]["has_code_version"]
        sources = {
            make_source_key(name, Location()).to_user_string() for name in spec.sources if name in list_sources(SHIPPED)
        }
        before = {*spec.depends_on, *sources} if spec.pointer else {POINTERS_ASSET}
        assert drawn["assets"][spec.registry_id]["deps"] == sorted(before)
        for name in spec.check_names:
            assert f"{spec.registry_id}:{name} (blocking)" in drawn["checks"]


def test_the_rebuild_job_observes_the_sources_and_builds_what_has_a_pointer() -> None:
    sources = {make_source_key(name, Location()).to_user_string() for name in list_sources(SHIPPED)}

    assert set(picture(defs)["jobs"]["rebuild_job"]) == {*REGISTRIES, *sources}


def test_steps_run_in_one_process_by_default() -> None:
    assert defs.executor is in_process_executor
