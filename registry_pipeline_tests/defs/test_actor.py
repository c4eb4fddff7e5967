"""Who activated is computed from what Dagster knows of the launch, and cannot be typed into a run."""

from __future__ import annotations

import json

import pytest
from dagster import DagsterInvalidConfigError, ExecuteInProcessResult

from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline_tests.defs.conftest import DagsterRepo, page_of

SENSOR = {"dagster/sensor_name": "activation_sensor"}


def recorded(repo: DagsterRepo) -> tuple[str, str]:
    """Return actor and reason of the last activation record."""
    head = read_chain_state(repo.repository).head
    assert head is not None
    document = json.loads((repo.repository.path(head.ref.path) / "POINTER_ACTIVATION_v0_1.json").read_bytes())
    return document["actor"], document["reason"]


def activate(repo: DagsterRepo, **tags: str) -> ExecuteInProcessResult:
    result = repo.execute("activate_pointers_job", tags=tags)
    assert result.success
    return result


def test_a_sensor_that_is_only_typed_into_the_tags_is_not_the_actor(rebuilt: DagsterRepo) -> None:
    result = activate(rebuilt, **SENSOR, **{"dagster/tick": "1"})

    assert recorded(rebuilt)[0] == f"dagster:unknown (Dagster run {result.run_id})"


def test_a_hand_launch_activates_what_the_sensor_would_request_and_is_recorded_as_one(rebuilt: DagsterRepo) -> None:
    expected = rebuilt.asked_for()

    result = activate(rebuilt)

    assert {name: ref.run_id for name, ref in rebuilt.active().items()} == expected
    assert recorded(rebuilt) == (
        f"dagster:unknown (Dagster run {result.run_id})",
        "activate_pointers_job was launched by hand",
    )


def test_a_hand_launch_with_nothing_to_activate_moves_nothing(activated: DagsterRepo) -> None:
    before = activated.repository.pointer_path.read_bytes()

    result = activate(activated)

    assert page_of(result, "active_registry_pointers")["moved"] == 0
    assert activated.repository.pointer_path.read_bytes() == before


def test_a_user_that_dagster_knows_is_the_actor_of_a_hand_launch(rebuilt: DagsterRepo) -> None:
    result = activate(rebuilt, user="ada@example.com")

    assert recorded(rebuilt)[0] == f"dagster:ada@example.com (by the tag `user`) (Dagster run {result.run_id})"


def test_a_run_that_a_person_executes_again_is_not_recorded_as_the_sensors(rebuilt: DagsterRepo) -> None:
    result = activate(rebuilt, **SENSOR, **{"dagster/parent_run_id": "0" * 8, "dagster/root_run_id": "0" * 8})

    assert recorded(rebuilt) == (
        f"dagster:unknown (Dagster run {result.run_id})",
        "activate_pointers_job was launched by hand",
    )


@pytest.mark.parametrize("key", ["actor", "reason"])
def test_actor_and_reason_cannot_be_configured(rebuilt: DagsterRepo, key: str) -> None:
    config = {"ops": {"active_registry_pointers": {"config": {key: "Ada"}}}}

    with pytest.raises(DagsterInvalidConfigError):
        rebuilt.execute("activate_pointers_job", run_config=config)

    assert not rebuilt.active()
