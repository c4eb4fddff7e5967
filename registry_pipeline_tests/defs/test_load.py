"""Dagster under load: overlapping rebuilds, failed steps, repeated checks and refused activations.

The daemon restarted in the middle is in `test_load_daemon`: it takes real processes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    DagsterRunStatus,
    Definitions,
    ExecuteInProcessResult,
    RetryRequested,
)
from dagster import define_asset_job as asset_job

from registry_pipeline.capture_table import CAPTURES, OWN_TABLES
from registry_pipeline.defs import metadata
from registry_pipeline.defs.active_checks import ACTIVE_CHECK
from registry_pipeline.defs.event_log import CheckResults
from registry_pipeline.defs.proposal import CLOSURE_TAG, TRIES
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.errors import EvidenceError
from registry_pipeline.pipeline import steps
from registry_pipeline.pipeline import verify as pipeline_verify
from registry_pipeline.pointers import activation as pointers_activation
from registry_pipeline.pointers import find_runs
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.defs.conftest import (
    CHECK_NAMES,
    REGISTRIES,
    DagsterRepo,
    failure_of,
    from_failure,
    troubles,
    upstream_of,
    verdicts_of,
)
from registry_pipeline_tests.defs.event_log import newest, record_check, repeat
from registry_pipeline_tests.defs.served import WORK_SECONDS


@contextmanager
def before_each_build(act: Callable[[str, str | None], None]) -> Iterator[None]:
    """Call `act` with the registry and the Dagster run before anything is built."""
    build = steps.build

    def with_act(repository: Any, run: Any, spec: Any, sealed: Any, **options: Any) -> Any:
        act(spec.registry_id, run.dagster_run_id)
        return build(repository, run, spec, sealed, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "build", with_act)
        yield


def half_failed(repo: DagsterRepo) -> ExecuteInProcessResult:
    """Rebuild with a disk that fails where drift_signals is built."""

    def fail(registry_id: str, _run_id: str | None) -> None:
        if registry_id == "drift_signals":
            raise EvidenceError("a bad day", "try again")

    with before_each_build(fail):
        result = repo.rebuild()
    assert not result.success
    return result


def made_by(result: Any) -> dict[str, str]:
    """Return the run folder of each registry that a Dagster run materialized."""
    events = {name: result.asset_materializations_for_node(name) for name in REGISTRIES}
    return {name: str(found[0].metadata["run_id"].value) for name, found in events.items() if found}


# Retry after publish.


def test_a_retried_step_finds_the_folder_that_it_published(fresh: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = metadata.make_sealed_metadata
    tries: list[str] = []

    def torn(*arguments: Any) -> metadata.Metadata:
        page = describe(*arguments)
        if "run_registry" in page["run_id"]:
            tries.append(page["run_id"])
            if len(tries) == 1:
                raise RetryRequested(max_retries=1)
        return page

    monkeypatch.setattr(metadata, "make_sealed_metadata", torn)
    before = fresh.folders()

    result = fresh.rebuild()

    assert result.success, troubles(result)
    assert len(tries) == 2
    assert tries[0] == tries[1]
    assert len(fresh.folders() - before) == len(REGISTRIES)


# Half-failed run.


def test_runs_sealed_by_a_partly_failed_rebuild_stay_sealed_and_inactive(activated: DagsterRepo) -> None:
    active, before = activated.active(), activated.folders()

    sealed = made_by(half_failed(activated))

    assert set(sealed) == {"run_registry", "op_status_table", "governance_scorecard", *CAPTURES, *OWN_TABLES}
    kept = {active[name].run_id for name in (*CAPTURES, *OWN_TABLES)}
    assert activated.folders() - before == set(sealed.values()) - kept
    found = [find_runs.find_run(activated.repository, run_id) for run_id in sealed.values()]
    assert all(checked.verdict.passed for checked in pipeline_verify.check_runs(found, None))
    assert set(activated.asked_for()) == {"governance_scorecard"}  # which rests on nothing
    assert activated.active() == active


# Re-execution from failure.


def test_a_re_execution_from_failure_reuses_its_parents_runs_and_all_are_activated_together(
    activated: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = half_failed(activated)
    parents, before = made_by(parent), activated.folders()

    again = from_failure(activated, parent.run_id)

    made = made_by(again)
    drift = made["drift_signals"]
    assert activated.folders() - before == {drift}
    upstream = ("run_registry", "op_status_table", "expected_versions")
    assert upstream_of(activated, drift) == {name: parents[name] for name in upstream}
    unchanged = {name: parents[name] for name in (*CAPTURES, *OWN_TABLES)}
    assert {**parents, "drift_signals": drift} == {**unchanged, **activated.asked_for()}
    assert activated.execute_request(activated.requested()).success
    assert {name: ref.run_id for name, ref in activated.active().items()} == {**parents, "drift_signals": drift}


# A check executed alone.


def test_a_check_executed_alone_verifies_the_latest_run_and_withdraws_a_candidate(rebuilt: DagsterRepo) -> None:
    before, made = rebuilt.asked_for(), newest(rebuilt, "drift_signals")
    assert made.sealed is not None
    artifact = rebuilt.repository.publish_root / made.sealed.ref.run_id / "DRIFT_SIGNALS_v0_1.json"
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes() + b" ")
    alone = asset_job(
        "checks_alone", AssetSelection.checks(*(AssetCheckKey(AssetKey("drift_signals"), name) for name in CHECK_NAMES))
    )
    repo = dataclasses.replace(rebuilt, definitions=Definitions.merge(rebuilt.definitions, Definitions(jobs=[alone])))

    result = repo.execute("checks_alone")

    assert verdicts_of(result, "drift_signals")["seal"] is False
    assert "drift_signals" in before
    assert "drift_signals" not in rebuilt.asked_for()


# A build newer than a passed check.


def test_a_passed_check_counts_only_for_its_storage_id_and_root_hash(
    rebuilt: DagsterRepo,
) -> None:
    first = newest(rebuilt, "drift_signals")
    assert first.sealed is not None
    root = first.sealed.ref.manifest_sha256
    assert CheckResults(rebuilt.instance, SHIPPED).find_missing_or_failed(first) == {}

    again = repeat(rebuilt, first)

    unjudged = dict.fromkeys(CHECK_NAMES, "has no result")
    assert CheckResults(rebuilt.instance, SHIPPED).find_missing_or_failed(again) == unjudged, (
        "the checks judged the older one"
    )
    record_check(rebuilt, again, storage_id=again.storage_id, root="0" * 64)
    assert CheckResults(rebuilt.instance, SHIPPED).find_missing_or_failed(again) == unjudged, "another root"
    record_check(rebuilt, again, storage_id=first.storage_id, root=root)
    assert CheckResults(rebuilt.instance, SHIPPED).find_missing_or_failed(again) == unjudged, "another materialization"
    record_check(rebuilt, again, storage_id=again.storage_id, root=root)
    assert CheckResults(rebuilt.instance, SHIPPED).find_missing_or_failed(again) == {}


# Two overlapping rebuilds.


def overlapping(
    repo: DagsterRepo, older_waits_at: str, newer_waits_at: str | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Pause an older rebuild at a registry while a newer one begins; return what each of them made.

    With `newer_waits_at` the newer one pauses there in turn, until the older one has ended.
    """
    older_paused, older_may_go, newer_paused, older_is_over = Event(), Event(), Event(), Event()
    results: dict[str, ExecuteInProcessResult] = {}
    order: list[str | None] = []

    def wait(registry_id: str, run_id: str | None) -> None:
        if run_id not in order:
            order.append(run_id)
        if order.index(run_id) == 0 and registry_id == older_waits_at:
            older_paused.set()
            assert older_may_go.wait(WORK_SECONDS)
        elif order.index(run_id) == 1 and registry_id == newer_waits_at:
            newer_paused.set()
            assert older_is_over.wait(WORK_SECONDS)

    def rebuild(name: str, *done: Event) -> None:
        results[name] = repo.rebuild()
        for event in done:
            event.set()

    with before_each_build(wait), stamped_a_minute_apart():
        older = Thread(target=rebuild, args=("older", older_is_over))
        older.start()
        assert older_paused.wait(WORK_SECONDS)
        newer = Thread(target=rebuild, args=("newer", newer_paused))
        newer.start()
        assert newer_paused.wait(WORK_SECONDS)
        older_may_go.set()
        older.join()
        newer.join()
    assert all(result.success for result in results.values()), [troubles(result) for result in results.values()]
    return made_by(results["older"]), made_by(results["newer"])


@contextmanager
def stamped_a_minute_apart() -> Iterator[None]:
    """Give each Dagster run a start of its own, in the order in which they began."""
    stamps: dict[str, datetime] = {}
    first = datetime(2100, 1, 1, tzinfo=UTC)

    def started(_self: RepositoryResource, run_id: str) -> datetime:
        return stamps.setdefault(run_id, first + timedelta(minutes=len(stamps)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RepositoryResource, "started", started)
        yield


@pytest.mark.parametrize("newer_waits_at", [None, "drift_signals"])
def test_of_two_overlapping_rebuilds_the_newer_complete_one_is_activated(
    activated: DagsterRepo, newer_waits_at: str | None
) -> None:
    older, newer = overlapping(activated, "op_status_table", newer_waits_at)

    pointed = {name: newer[name] for name in REGISTRIES}
    assert {**{name: newer[name] for name in (*CAPTURES, *OWN_TABLES)}, **activated.asked_for()} == pointed
    assert activated.execute_request(activated.requested()).success
    assert {name: ref.run_id for name, ref in activated.active().items()} == pointed
    assert (
        f"{older['op_status_table']}: the as-of time of the run is earlier than that of the active run"
        in activated.skipped()
    )


# A refused advance.


def test_a_refused_activation_is_not_requested_again_until_the_pointer_file_changes(activated: DagsterRepo) -> None:
    pointers = activated.repository.pointer_path
    before = pointers.read_bytes()
    activated.rebuild()
    pointers.write_bytes(before + b"\n")

    refused = activated.execute_request(activated.requested())

    assert ": POINTER_EDITED: " in failure_of(refused, "active_registry_pointers")
    assert "refused (POINTER_EDITED), not requested again" in activated.skipped()
    assert "activation refused: POINTER_EDITED" in (activated.check("drift_signals", ACTIVE_CHECK).description or "")
    assert pointers.read_bytes() == before + b"\n"
    pointers.write_bytes(before)
    assert activated.execute_request(activated.requested()).success
    assert activated.skipped() == "the newest build of every registry is active"


# A failed activation is requested again.


def test_a_failed_activation_is_requested_three_times_with_new_keys(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise EvidenceError("the disk is gone", "look for it")

    keys = []
    with monkeypatch.context() as patch:
        patch.setattr(pointers_activation, "activate", fail)
        for _ in range(TRIES):
            request = rebuilt.requested()
            keys.append(request.run_key)
            assert not rebuilt.execute_request(request).success

    closure = request.tags[CLOSURE_TAG]
    assert keys == [f"{closure}:{n}" for n in range(TRIES)]
    assert f"given up after {TRIES} failed runs" in rebuilt.skipped()
    assert [run.status for run in rebuilt.instance.get_runs(limit=TRIES)] == [DagsterRunStatus.FAILURE] * TRIES
    assert rebuilt.rebuild().success
    assert rebuilt.requested().tags[CLOSURE_TAG] != closure, "a newer build is another set"
