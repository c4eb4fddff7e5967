"""Which folder a build is given for an upstream: this run's, its parent's, or the active one; never the newest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import dagster
import pytest
from dagster import (
    AssetIn,
    DagsterEvent,
    DagsterEventType,
    DagsterRunStatus,
    InputContext,
    IOManager,
    OutputContext,
    asset,
    materialize,
)
from dagster._core.storage.tags import PARENT_RUN_ID_TAG

from registry_pipeline.dagster.dagster_internals import find_producing_run
from registry_pipeline.defs.event_log import ROOT_KEY
from registry_pipeline.defs.location import ROOT_TAG
from registry_pipeline.defs.resources import (
    COMMIT_TAG,
    TAKEN_TAG,
    TREE_TAG,
    RepositoryResource,
)
from registry_pipeline.errors import EvidenceError
from registry_pipeline.pipeline import steps
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.base import seal_build
from registry_pipeline.runs import pointer_file
from registry_pipeline_tests.defs.conftest import (
    CAPTURED,
    CHECK_NAMES,
    QUIET,
    DagsterRepo,
    failure_of,
    from_failure,
    page_of,
    troubles,
    upstream_of,
)
from registry_pipeline_tests.defs.served import WORK_SECONDS


def test_dagster_distinguishes_upstreams_of_the_run_as_in_the_pinned_release() -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    class Recording(IOManager):
        def handle_output(self, context: OutputContext, obj: object) -> None:
            """Keep nothing."""

        def load_input(self, context: InputContext) -> None:
            upstream = context.upstream_output
            assert upstream is not None
            seen.append((upstream.step_key, upstream.run_id, find_producing_run(upstream)))

    @asset(io_manager_key="io")
    def upper() -> int:
        return 1

    @asset(io_manager_key="io", ins={"upper": AssetIn("upper")})
    def lower(upper: Any) -> int:
        return 2

    both = materialize([upper, lower], resources={"io": Recording()}, run_config=QUIET)
    materialize([upper, lower], selection=[lower], resources={"io": Recording()}, run_config=QUIET)

    assert dagster.__version__ == "1.13.27"
    assert seen == [("upper", both.run_id, both.run_id), ("none", "__EPHEMERAL_RUN_ID", None)]


def test_an_asset_executed_alone_reads_the_active_upstream_and_not_the_newest(activated: DagsterRepo) -> None:
    newer = page_of(activated.materialize("run_registry"), "run_registry")["run_id"]

    alone = activated.materialize("op_status_table")

    active = activated.active()["run_registry"].run_id
    assert alone.success, troubles(alone)
    assert newer != active
    assert upstream_of(activated, page_of(alone, "op_status_table")["run_id"]) == {"run_registry": active}


def test_an_asset_executed_alone_without_active_runs_is_refused_with_a_command(
    rebuilt: DagsterRepo,
) -> None:
    alone = rebuilt.materialize("op_status_table")

    assert "no run_registry is active" in failure_of(alone, "op_status_table")


def test_a_tampered_upstream_is_refused_by_name(activated: DagsterRepo) -> None:
    active = activated.active()["run_registry"]
    artifact = activated.repository.publish_root / active.run_id / "RUN_REGISTRY_v0_1.jsonl"
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes().replace(b"OP-A01", b"OP-A02", 1))

    alone = activated.materialize("op_status_table")

    assert not alone.success
    assert active.run_id in str(troubles(alone))
    assert "does not verify" in str(troubles(alone))


def test_a_re_execution_reads_git_again_although_it_inherits_its_parents_tags(rebuilt: DagsterRepo) -> None:
    first = rebuilt.instance.get_runs()[0]
    inherited = {COMMIT_TAG: "0" * 40, TREE_TAG: "dirty", TAKEN_TAG: first.run_id, PARENT_RUN_ID_TAG: first.run_id}

    again = rebuilt.execute("rebuild_job", tags=inherited)

    run = rebuilt.instance.get_run_by_id(again.run_id)
    assert run is not None
    assert run.tags[TAKEN_TAG] == again.run_id
    assert run.tags[COMMIT_TAG] == first.tags[COMMIT_TAG]


def test_the_resource_outside_an_execution_says_so() -> None:
    with pytest.raises(Exception, match="outside of a Dagster execution"):
        _ = RepositoryResource(Path()).instance


def test_steps_that_start_at_the_same_time_read_git_once(rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {TAKEN_TAG: "another run", ROOT_TAG: str(rebuilt.repository.root)}
    job = rebuilt.definitions.resolve_job_def("rebuild_job")
    run = rebuilt.instance.create_run_for_job(job, tags=tags, status=DagsterRunStatus.STARTING)
    start = DagsterEvent(DagsterEventType.RUN_START.value, job.name)
    rebuilt.instance.report_dagster_event(start, run.run_id)
    ask, calls = seal_build.start_build_run, []
    both = Barrier(2)

    def counted(*args: Any) -> seal_build.BuildRun:
        calls.append(args)
        return ask(*args)

    def step(_number: int) -> seal_build.BuildRun:
        resource = rebuilt.resource()
        both.wait(WORK_SECONDS)
        return resource.build_run(run.run_id)

    monkeypatch.setattr(seal_build, "start_build_run", counted)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(step, range(2))

    assert first == second
    assert len(calls) == 1


def test_a_check_executed_again_verifies_the_run_of_its_parent_and_not_the_latest(
    fresh: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        validate = registries_validation.validate

        def unwell(repository: Any, sealed: Any) -> Any:
            if sealed.registry_id == "op_status_table":
                raise EvidenceError("the disk is gone", "look for it")
            return validate(repository, sealed)

        patch.setattr(registries_validation, "validate", unwell)
        parent = fresh.rebuild()
    root = page_of(parent, "op_status_table")[ROOT_KEY]
    latest = page_of(fresh.rebuild(), "op_status_table")[ROOT_KEY]

    again = from_failure(fresh, parent.run_id)

    checked_roots = {
        e.metadata[ROOT_KEY].value
        for e in again.get_asset_check_evaluations()
        if e.asset_key.path[-1] == "op_status_table" and e.check_name in CHECK_NAMES
    }
    assert checked_roots == {root}
    assert root != latest


def test_a_folder_altered_since_its_checks_is_not_given_to_an_asset(
    fresh: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate, build, built = registries_validation.validate, steps.build, []

    def then_altered(repository: Any, sealed: Any) -> Any:
        verdict = validate(repository, sealed)
        if sealed.registry_id == "run_registry":
            artifact = pointer_file.run_folder(repository, sealed.ref) / "RUN_REGISTRY_v0_1.jsonl"
            artifact.chmod(0o644)
            artifact.write_bytes(artifact.read_bytes() + b"{}\n")
        return verdict

    def noted(repository: Any, run: Any, spec: Any, sealed: Any, **options: Any) -> Any:
        built.append(spec.registry_id)
        return build(repository, run, spec, sealed, **options)

    monkeypatch.setattr(registries_validation, "validate", then_altered)
    monkeypatch.setattr(steps, "build", noted)

    result = fresh.rebuild()

    assert not result.success
    assert sorted(built) == sorted({"run_registry", *CAPTURED})
    assert "does not verify" in str(troubles(result))


def test_an_asset_fails_without_git_and_seals_no_folder_without_a_commit(
    rebuilt: DagsterRepo,
) -> None:
    (rebuilt.repository.root / ".git/HEAD").write_bytes(b"")
    before = rebuilt.folders()

    result = rebuilt.materialize("run_registry")

    assert not result.success
    assert "exists and is damaged or unreadable" in failure_of(result, "run_registry")
    assert rebuilt.folders() == before
