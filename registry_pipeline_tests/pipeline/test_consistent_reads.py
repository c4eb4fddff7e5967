"""What a reader sees of pointers and chain while another process changes them: the old state or the new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from registry_pipeline.errors import BusyError
from registry_pipeline.pipeline.inspect import inspect
from registry_pipeline.pointers import state
from registry_pipeline.pointers.recovery import complete_pending
from registry_pipeline.pointers.state import pointer_lock, read_chain_state
from registry_pipeline_tests.pipeline.conftest import World, all_active
from registry_pipeline_tests.pipeline.crash_changes import STEPS, kill


def once(real: Callable[..., Any], before: Callable[[], object] | None, after: Callable[[], object] | None) -> Any:
    """Return a function that lets another writer act before or after its first call."""
    acts = iter([None])

    def paused(*args: Any, **kwargs: Any) -> Any:
        first = next(acts, True) is None
        if first and before is not None:
            before()
        value = real(*args, **kwargs)
        if first and after is not None:
            after()
        return value

    return paused


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", ["_read_all_records", "read_pointer_bytes", "read_intent"])
def test_an_activation_between_two_reads_is_no_edited_pointer_file(
    built: World, monkeypatch: pytest.MonkeyPatch, call: str, moment: str
) -> None:
    activated: list[bool] = []

    def other_process() -> None:
        monkeypatch.undo()
        activated.append(all_active(built.build(minutes=10)))

    acts = {"before": None, "after": None} | {moment: other_process}
    monkeypatch.setattr(state, call, once(getattr(state, call), acts["before"], acts["after"]))

    chain = read_chain_state(built.repository)

    assert activated == [True]
    assert (chain.state, chain.findings) == ("committed", ())


def test_a_reader_that_meets_one_change_reads_again_and_takes_no_lock(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared lock would make a change that begins meanwhile wait."""
    activated: list[bool] = []
    read_all_records = state._read_all_records

    def other_process() -> None:
        with monkeypatch.context() as undone:
            undone.setattr(state, "_read_all_records", read_all_records)
            undone.setattr(state, "pointer_lock", pointer_lock)
            activated.append(all_active(built.build(minutes=10)))

    def refused(*_args: Any, **_kwargs: Any) -> Any:
        raise AssertionError("the reader takes the lock")

    monkeypatch.setattr(state, "_read_all_records", once(read_all_records, None, other_process))
    monkeypatch.setattr(state, "pointer_lock", refused)

    assert read_chain_state(built.repository).state == "committed"
    assert activated == [True]


def test_a_change_waits_for_a_reader_that_shares_the_lock(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[float] = []
    reader = pointer_lock(built.repository.pointer_path, built.root, shared=True)
    reader.__enter__()

    def end_the_reader(seconds: float) -> None:
        if not released:
            released.append(seconds)
            reader.__exit__(None, None, None)

    monkeypatch.setattr("registry_pipeline.files.lock.time.sleep", end_the_reader)

    assert all_active(built.build(minutes=10))
    assert released


def test_an_inspection_reads_pointer_file_and_chain_of_one_moment(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    activated: list[bool] = []

    def other_process() -> None:
        monkeypatch.undo()
        activated.append(all_active(built.build(minutes=10)))

    monkeypatch.setattr(state, "_read_all_records", once(state._read_all_records, None, other_process))

    seen = inspect(built.repository, built.run(20))

    assert activated == [True]
    assert seen.findings == ()
    assert seen.active["drift_signals"].ref.run_id == built.active("drift_signals")


def test_a_reader_that_meets_changes_again_and_again_waits_for_the_lock(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, read_fingerprint = iter(range(10_000)), state._read_fingerprint
    monkeypatch.setattr(
        state, "_read_fingerprint", lambda repository: (*read_fingerprint(repository)[:-1], next(changes))
    )

    assert read_chain_state(built.repository).state == "committed"


def test_a_sealed_record_without_its_pointer_file_is_pending_only_if_no_writer_is_there(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.build(minutes=10)
    kill(built, STEPS["after the record"], "rollback")
    monkeypatch.setattr(state, "WAIT_SECONDS", 0.0)

    with pointer_lock(built.repository.pointer_path, built.root):
        with pytest.raises(BusyError) as caught:
            read_chain_state(built.repository)
        assert caught.value.exit_code == 6
    assert read_chain_state(built.repository).state == "pending"


def test_a_writer_that_ends_while_a_reader_waits_leaves_it_the_final_state(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader finds the record before the pointer file is replaced; the writer ends before the lock is free."""
    built.build(minutes=10)
    kill(built, STEPS["after the record"], "rollback")
    real = pointer_lock

    def finished_first(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        complete_pending(built.repository)
        return real(*args, **kwargs)

    monkeypatch.setattr(state, "pointer_lock", finished_first)

    assert read_chain_state(built.repository).state == "committed"
