"""The delta log as an asset: extended after the pointers moved, checked, and reused without changes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from dagster import AssetKey, ExecuteInProcessResult

from registry_pipeline.canonical import json_line
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.proposal import POINTERS_ASSET
from registry_pipeline.defs.sensors import AFTER_TAG, CHECK_POINTERS_JOB
from registry_pipeline.pipeline import steps
from registry_pipeline.registries.base.delta import DELTA_LOG, LOG_FILE, DeltaEdge, PathChanges, parse_delta_log
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Built
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.defs.conftest import DagsterRepo, failure_of, page_of, troubles, verdicts_of


def activate(repo: DagsterRepo) -> ExecuteInProcessResult:
    return repo.execute_request(repo.requested())


def read_edges(repo: DagsterRepo) -> Sequence[DeltaEdge]:
    """Return the edges of the newest log."""
    (newest,) = event_log.read_materializations(repo.instance, repo.location.key(DELTA_LOG), limit=1)
    assert newest.sealed is not None
    return tuple(parse_delta_log((repo.repository.path(newest.sealed.ref.path) / LOG_FILE).read_bytes()))


def test_it_is_extended_after_the_pointers_moved_and_reads_no_upstream(rebuilt: DagsterRepo) -> None:
    result = activate(rebuilt)

    graph = rebuilt.definitions.resolve_asset_graph()
    assert graph.get(AssetKey(DELTA_LOG)).parent_keys == {AssetKey(POINTERS_ASSET)}
    inputs = rebuilt.run_json(page_of(result, DELTA_LOG)["run_id"])["inputs"]["registries"]
    assert inputs == []


def test_its_page_shows_numbers_and_the_newest_edges(rebuilt: DagsterRepo) -> None:
    made = {
        ref["run_id"] for ref in dict(rebuilt.requested().run_config)["ops"][POINTERS_ASSET]["config"]["runs"].values()
    }
    result = activate(rebuilt)

    page = page_of(result, DELTA_LOG)
    assert page["dagster/row_count"] == page["edges_added"] == len(read_edges(rebuilt))
    assert made <= {edge.to_ref.run_id for edge in read_edges(rebuilt)}
    assert page["preview"].splitlines()[0] == "| registry | from | to | added | removed | modified | basis |"
    assert verdicts_of(result, DELTA_LOG) == {"seal": True, "schema": True, "rules": True}


def test_a_second_activation_continues_the_log_of_the_first(activated: DagsterRepo) -> None:
    activated.rebuild()
    again = activate(activated)

    page = page_of(again, DELTA_LOG)
    previous = activated.run_json(page["run_id"])["inputs"]["registries"]
    assert again.success, troubles(again)
    assert {i["registry_id"] for i in previous} == {DELTA_LOG, "pointer_activation"}
    assert 0 < page["edges_added"] < page["dagster/row_count"]


def test_after_a_refusal_the_sensor_requests_the_check_job_once_and_it_lists_what_was_sealed(
    activated: DagsterRepo,
) -> None:
    built = activated.rebuild()
    request = activated.requested()
    sealed = page_of(built, "drift_signals")["run_id"]
    flip_byte(activated.repository.publish_root / page_of(built, "run_registry")["run_id"] / "RUN_REGISTRY_v0_1.jsonl")
    refused = activated.execute_request(request)

    after = activated.requested()
    checked = activated.execute(CHECK_POINTERS_JOB, tags=dict(after.tags))

    assert not refused.success
    assert not refused.asset_materializations_for_node(DELTA_LOG)
    assert (after.job_name, after.tags[AFTER_TAG]) == (CHECK_POINTERS_JOB, refused.run_id)
    assert checked.success, troubles(checked)
    assert sealed in {edge.to_ref.run_id for edge in read_edges(activated)}
    assert "refused" in activated.skipped()


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


def test_a_log_that_was_altered_fails_the_step_by_name_and_nothing_else(activated: DagsterRepo) -> None:
    head = next(name for name in activated.folders() if name.endswith("registry_delta_log_build"))
    flip_byte(activated.repository.publish_root / head / LOG_FILE)
    built = activated.rebuild()

    again = activate(activated)

    assert not again.success
    assert "does not verify: HASH_MISMATCH" in failure_of(again, DELTA_LOG)
    assert f"mark-bad {head} --reason TEXT" in failure_of(again, DELTA_LOG)
    assert activated.active()["run_registry"].run_id == page_of(built, "run_registry")["run_id"]
    assert page_of(again, "system_health_report")["state"] == "sealed"


def test_a_log_with_a_forged_beginning_fails_its_blocking_check(
    activated: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = steps.build
    activated.rebuild()

    def forged(*arguments: object, **options: object) -> object:
        built = made(*arguments, **options)  # type: ignore[arg-type]  # as it was called
        if isinstance(built, Built) and built.registry_id == DELTA_LOG:
            artifacts = built.artifacts
            files = {LOG_FILE: artifacts.files[LOG_FILE].split(b"\n", 1)[1]}
            lacking = type(artifacts)(files, artifacts.records - 1, "0" * 64)
            return Built(DELTA_LOG, lacking, built.inputs, built.as_of_utc, built.root, coverage=built.coverage)
        return built

    monkeypatch.setattr(steps, "build", forged)
    again = activate(activated)

    assert not again.success
    assert verdicts_of(again, DELTA_LOG) == {"seal": True, "schema": True, "rules": False}


def test_the_preview_shows_the_newest_first_and_counts_the_others() -> None:
    refs = [SealedRef("x", "y", None, f"{number:064x}") for number in range(12)]
    edges = [DeltaEdge(f"r{n}", None, ref, "unknown", PathChanges(), "z", "w") for n, ref in enumerate(refs)]

    preview = metadata.format_newest_edges(b"".join(json_line(edge.to_json()) for edge in edges)).splitlines()

    assert [row.split(" | ")[0] for row in preview[2:12]] == [f"| r{n}" for n in range(11, 1, -1)]
    assert preview[-1] == "… 2 older records in the run folder."
    assert metadata.format_newest_edges(b"") == "No records."
