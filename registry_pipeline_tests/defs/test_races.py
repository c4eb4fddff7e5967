"""The Dagster sensor and its job against the command line, which acts at a chosen call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from registry_pipeline.pipeline import rebuild, steps
from registry_pipeline.pointers import (
    rollback as pointers_rollback,
)
from registry_pipeline.pointers import (
    state,
    transaction,
)
from registry_pipeline.pointers.activated_runs import check_activated_runs
from registry_pipeline.pointers.state import pointer_lock
from registry_pipeline.registries.base import seal_build
from registry_pipeline.runs.sealed_run import Activation
from registry_pipeline_tests.defs.conftest import DagsterRepo

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def at_first_call(real: Callable[..., Any], act: Callable[[], object]) -> Callable[..., Any]:
    """Return a function that lets another writer act whole before its first call."""
    waiting = [act]

    def paused(*args: Any, **kwargs: Any) -> Any:
        while waiting:
            waiting.pop()()
        return real(*args, **kwargs)

    return paused


def build_by_command_line(repo: DagsterRepo) -> rebuild.RebuildResult:
    run = seal_build.start_build_run(repo.repository, LATER)
    return rebuild.rebuild(repo.repository, run, actor="Ada", reason="by hand")


def check_whole(repo: DagsterRepo) -> None:
    """The chain verifies and the pointer file is what its last record left."""
    chain = state.read_chain_state(repo.repository)
    assert (chain.state, chain.findings) == ("committed", ())
    assert check_activated_runs(repo.repository, chain) == ()


@pytest.mark.parametrize("step", ["create_intent", "seal_record", "replace_file", "remove_intent"])
def test_the_sensor_between_two_steps_of_an_activation_requests_nothing_wrong(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The reader inside the writer's process cannot take the writer's lock: it says so instead of guessing."""
    monkeypatch.setattr(state, "WAIT_SECONDS", 0.0)
    answers: list[str] = []

    def sensor() -> None:
        answer = rebuilt.evaluate_sensor()
        answers.append(str(getattr(answer, "skip_message", "") or "a request"))

    monkeypatch.setattr(transaction, step, at_first_call(getattr(transaction, step), sensor))

    outcome = build_by_command_line(rebuilt)

    assert isinstance(outcome.activation, Activation)
    assert len(answers) == 1
    assert not any(word in answers[0] for word in ("POINTER_EDITED", "CHAIN_PENDING", "Traceback"))
    check_whole(rebuilt)


def test_a_build_of_the_command_line_between_request_and_job_wins_and_the_job_moves_nothing(
    rebuilt: DagsterRepo,
) -> None:
    request = rebuilt.requested()
    outcome = build_by_command_line(rebuilt)
    assert isinstance(outcome.activation, Activation)
    after = rebuilt.active()

    result = rebuilt.execute_request(request)

    assert not result.success
    assert rebuilt.active() == after
    check_whole(rebuilt)


def test_a_rollback_of_the_command_line_between_request_and_job_is_kept(activated: DagsterRepo) -> None:
    before = activated.active()
    activated.rebuild()
    request = activated.requested()
    target = pointers_rollback.select_rollback(state.read_chain_state(activated.repository))
    run = seal_build.start_build_run(activated.repository, LATER)
    undone = pointers_rollback.rollback(activated.repository, run, target, actor="Ada", reason="wrong")
    assert isinstance(undone, Activation)

    activated.execute_request(request)

    check_whole(activated)
    records = state.read_chain_state(activated.repository).records
    assert undone.record in [sealed.ref for sealed in records]
    assert activated.active() != before or not activated.active()


def test_an_activation_of_the_command_line_inside_the_job_makes_one_of_the_two_exit_as_busy(
    rebuilt: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line activates after the job has made its verdicts and before it takes the lock."""
    request = rebuilt.requested()
    monkeypatch.setattr(
        transaction, "pointer_lock", at_first_call(pointer_lock, lambda: build_by_command_line(rebuilt))
    )

    result = rebuilt.execute_request(request)

    newest = {ref.run_id[:4] for ref in rebuilt.active().values() if ref.run_id.startswith("2100")}
    assert newest == {"2100"}
    assert not result.success or all(ref.run_id.startswith("2100") for ref in rebuilt.active().values())
    check_whole(rebuilt)


def test_a_build_of_the_command_line_between_two_assets_leaves_one_head_of_the_delta_log(
    fresh: DagsterRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "build", at_first_call(steps.build, lambda: build_by_command_line(fresh)))

    fresh.rebuild()

    outcome = rebuild.rebuild(
        fresh.repository,
        seal_build.start_build_run(fresh.repository, datetime(2100, 1, 2, tzinfo=UTC)),
        actor="Ada",
        reason="afterwards",
    )
    assert "DELTA_TWO_HEADS" not in {finding.code for finding in outcome.findings}
    check_whole(fresh)
