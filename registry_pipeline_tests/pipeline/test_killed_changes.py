"""The state table of the specification ("Chain"), row by row, for every change and every step at which it is killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.pointers.find_runs import find_run
from registry_pipeline.pointers.recovery import complete_pending, void_records
from registry_pipeline.pointers.rollback import mark_bad, rollback, select_rollback
from registry_pipeline.pointers.state import intent_path, read_chain_state
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline_tests.pipeline.conftest import Who, World, all_active, copied
from registry_pipeline_tests.pipeline.crash_changes import STEPS, kill

FIRST = "2026-03-01__120000__drift_signals_build"
SECOND = "2026-03-01__123000__drift_signals_build"
CHANGES = {"activate": (), "rollback": (), "mark_bad": (SECOND,)}
PENDING = "after the record"
WHO: Who = {"actor": "Grace", "reason": "settled"}


@pytest.fixture(scope="session")
def twice_built_repository(built_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twice") / "repository"
    shutil.copytree(built_repository, root, symlinks=True)
    World(load_repository(root)).build(minutes=30)
    return root


@pytest.fixture
def twice(twice_built_repository: Path, tmp_path: Path) -> Iterator[World]:
    """A repository built and activated at noon and half an hour later."""
    yield from copied(twice_built_repository, tmp_path / "twice")


def pointers(world: World) -> bytes:
    return world.repository.pointer_path.read_bytes()


def state(world: World) -> str:
    return read_chain_state(world.repository).state


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", STEPS)
def test_a_change_killed_at_any_step_is_undone_committed_or_pending(twice: World, change: str, step: str) -> None:
    before, records = pointers(twice), len(read_chain_state(twice.repository).records)

    kill(twice, STEPS[step], change, *CHANGES[change])

    chain = read_chain_state(twice.repository)
    sealed = step in (PENDING, "after the replacement", "after all")
    has_moved = step in ("after the replacement", "after all")
    assert chain.state == ("pending" if step == PENDING else "committed")
    assert len(chain.records) == records + sealed
    assert (pointers(twice) != before) is has_moved
    assert chain.head is not None
    assert (chain.head.record.action == change and chain.head.record.reason == "to be killed") is sealed


@pytest.mark.parametrize("change", CHANGES)
def test_a_pending_change_is_finished_with_the_bytes_of_its_record(twice: World, change: str) -> None:
    kill(twice, STEPS[PENDING], change, *CHANGES[change])
    pending = read_chain_state(twice.repository).head
    assert pending is not None

    done = complete_pending(twice.repository)

    assert isinstance(done, Activation)
    assert done.record == pending.ref
    assert pointers(twice) == (twice.runs / pending.ref.run_id / "POINTERS_AFTER.json").read_bytes()
    assert state(twice) == "committed"
    assert not intent_path(twice.repository.pointer_path).exists()


@pytest.mark.parametrize("change", CHANGES)
def test_a_pending_change_is_voided_and_nothing_moved(twice: World, change: str) -> None:
    before = pointers(twice)
    kill(twice, STEPS[PENDING], change, *CHANGES[change])
    pending = read_chain_state(twice.repository).head
    assert pending is not None

    done = void_records(twice.repository, twice.run(90), ["pending"], **WHO)

    chain = read_chain_state(twice.repository)
    assert isinstance(done, Activation)
    assert (done.action, pointers(twice), chain.state, chain.findings) == ("void", before, "committed", ())
    assert [r.ref for r in chain.voided] == [pending.ref]
    assert chain.marked_bad == {}
    assert chain.rolled_back_runs == frozenset()
    assert not intent_path(twice.repository.pointer_path).exists()


FINISHING = {
    "before the replacement": (("pointers.recovery", "replace_file", "before"), "pending"),
    "after the replacement": (("pointers.recovery", "replace_file", "after"), "committed"),
    "after all": (("pointers.recovery", "remove_intent", "after"), "committed"),
}


@pytest.mark.parametrize("step", FINISHING)
def test_finishing_can_be_killed_too_and_done_again(twice: World, step: str) -> None:
    kill(twice, STEPS[PENDING], "rollback")
    kill(twice, FINISHING[step][0], "finish")

    assert state(twice) == FINISHING[step][1]
    again = complete_pending(twice.repository)
    assert (again is None) is (FINISHING[step][1] == "committed")
    assert state(twice) == "committed"
    assert twice.active("drift_signals") == FIRST


VOIDING = {
    "before the record": (("pointers.recovery", "seal_record", "before"), "pending"),
    "after the record": (("pointers.recovery", "seal_record", "after"), "committed"),
    "after all": (("pointers.recovery", "remove_intent", "after"), "committed"),
}


@pytest.mark.parametrize("step", VOIDING)
def test_voiding_can_be_killed_too_and_done_again(twice: World, step: str) -> None:
    before = pointers(twice)
    kill(twice, STEPS[PENDING], "activate")
    kill(twice, VOIDING[step][0], "void")

    assert state(twice) == VOIDING[step][1]
    again = void_records(twice.repository, twice.run(90), ["pending"], **WHO)
    assert (again is None) is (VOIDING[step][1] == "committed")
    assert (state(twice), pointers(twice)) == ("committed", before)
    assert all_active(twice.build(minutes=95))


def test_a_pending_change_whose_run_no_longer_verifies_is_not_finished(twice: World) -> None:
    before = pointers(twice)
    kill(twice, STEPS[PENDING], "rollback")
    twice.tamper(FIRST, "DRIFT_SIGNALS_v0_1.json")

    refused = complete_pending(twice.repository)

    assert isinstance(refused, Refusal)
    assert {"ACTIVATE_NOT_VERIFIED", "HASH_MISMATCH"} <= {f.code for f in refused.findings}
    assert (state(twice), pointers(twice)) == ("pending", before)


def test_where_nothing_is_pending_nothing_is_completed_or_voided(twice: World) -> None:
    before = pointers(twice), twice.names()

    assert complete_pending(twice.repository) is None
    assert void_records(twice.repository, twice.run(90), ["pending"], **WHO) is None
    assert (pointers(twice), twice.names()) == before


def test_while_a_change_is_pending_every_other_is_refused(twice: World) -> None:
    kill(twice, STEPS[PENDING], "activate")
    names, run = twice.names(), twice.run(90)
    target = select_rollback(read_chain_state(twice.repository))

    bad = mark_bad(twice.repository, run, find_run(twice.repository, SECOND), **WHO)
    back = rollback(twice.repository, run, target, **WHO)

    for refused in (bad, back):
        assert isinstance(refused, Refusal)
        assert [f.code for f in refused.findings] == ["CHAIN_PENDING"]
    assert twice.names() == names
