"""The delta log as an asset: built after the others of its run, continued, checked, and reused without changes."""

from __future__ import annotations

import pytest
from dagster import AssetKey

from registry_pipeline.canonical import json_line
from registry_pipeline.defs import metadata
from registry_pipeline.pipeline import steps
from registry_pipeline.registries import catalog
from registry_pipeline.registries.base.delta import DELTA_LOG, LOG_FILE, DeltaEdge, PathChanges, parse_delta_log
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Built
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.defs.conftest import DagsterRepo, FirstRebuild, failure_of, page_of, troubles, verdicts_of


def test_it_depends_on_every_eligible_registry_and_reads_none_as_upstream(first_rebuild: FirstRebuild) -> None:
    graph = first_rebuild.repo.definitions.resolve_asset_graph()

    assert graph.get(AssetKey(DELTA_LOG)).parent_keys == {AssetKey(name) for name in catalog.spec_of(DELTA_LOG).after}
    assert first_rebuild.repo.run_json(page_of(first_rebuild.result, DELTA_LOG)["run_id"])["inputs"]["registries"] == []


def test_its_page_shows_numbers_and_the_newest_edges(first_rebuild: FirstRebuild) -> None:
    page = page_of(first_rebuild.result, DELTA_LOG)

    log = (first_rebuild.repo.repository.publish_root / page["run_id"] / LOG_FILE).read_bytes()
    made = {page_of(first_rebuild.result, name)["run_id"] for name in ("run_registry", "op_status_table")}
    assert page["records"] == page["edges_added"] == len(log.splitlines())
    assert made <= {edge.to_ref.run_id for edge in parse_delta_log(log)}
    assert page["preview"].splitlines()[0] == "| registry | from | to | added | removed | modified | basis |"
    assert verdicts_of(first_rebuild.result, DELTA_LOG) == {"seal": True, "schema": True, "rules": True}


def test_a_second_rebuild_continues_the_log_of_the_first(rebuilt: DagsterRepo) -> None:
    again = rebuilt.rebuild()

    page = page_of(again, DELTA_LOG)
    previous = rebuilt.run_json(page["run_id"])["inputs"]["registries"]
    assert again.success, troubles(again)
    assert [(i["registry_id"], i["role"]) for i in previous] == [(DELTA_LOG, "previous")]
    assert 0 < page["edges_added"] < page["records"]


def test_without_changes_it_materializes_again_with_the_same_folder(rebuilt: DagsterRepo) -> None:
    first = rebuilt.materialize(DELTA_LOG)
    folders = rebuilt.folders()

    again = rebuilt.materialize(DELTA_LOG)

    page = page_of(again, DELTA_LOG)
    assert again.success, troubles(again)
    assert rebuilt.folders() == folders
    assert page["state"] == "unchanged"
    assert page["run_id"] == page_of(first, DELTA_LOG)["run_id"]
    assert verdicts_of(again, DELTA_LOG) == {"seal": True, "schema": True, "rules": True}


def test_a_log_that_was_altered_fails_the_step_by_name_and_nothing_else(rebuilt: DagsterRepo) -> None:
    head = next(name for name in rebuilt.folders() if name.endswith("registry_delta_log_build"))
    flip_byte(rebuilt.repository.publish_root / head / LOG_FILE)

    again = rebuilt.rebuild()

    assert not again.success
    assert "does not verify: HASH_MISMATCH" in failure_of(again, DELTA_LOG)
    assert f"mark-bad {head} --reason TEXT" in failure_of(again, DELTA_LOG)
    assert page_of(again, "run_registry")["state"] == "sealed"


def test_a_log_with_a_forged_beginning_fails_its_blocking_check(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = steps.build

    def forged(*arguments: object, **options: object) -> object:
        built = made(*arguments, **options)  # type: ignore[arg-type]  # as it was called
        if isinstance(built, Built) and built.registry_id == DELTA_LOG:
            artifacts = built.artifacts
            files = {LOG_FILE: artifacts.files[LOG_FILE].split(b"\n", 1)[1]}
            lacking = type(artifacts)(files, artifacts.records - 1, "0" * 64)
            return Built(DELTA_LOG, lacking, built.inputs, built.as_of_utc, built.root, coverage=built.coverage)
        return built

    monkeypatch.setattr(steps, "build", forged)
    again = rebuilt.rebuild()

    assert not again.success
    assert verdicts_of(again, DELTA_LOG) == {"seal": True, "schema": True, "rules": False}


def test_the_preview_shows_the_newest_first_and_counts_the_others() -> None:
    refs = [SealedRef("x", "y", None, f"{number:064x}") for number in range(12)]
    edges = [DeltaEdge(f"r{n}", None, ref, "unknown", PathChanges(), "z", "w") for n, ref in enumerate(refs)]

    preview = metadata.format_newest_edges(b"".join(json_line(edge.to_json()) for edge in edges)).splitlines()

    assert [row.split(" | ")[0] for row in preview[2:12]] == [f"| r{n}" for n in range(11, 1, -1)]
    assert preview[-1] == "… 2 older records in the run folder."
    assert metadata.format_newest_edges(b"") == "No records."
