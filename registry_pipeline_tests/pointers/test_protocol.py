"""The protocol end to end: committed at its end, a documented state after a kill, one winner in a race."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.errors import BusyError, RefusedError
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline_tests.lock_waits import give_up_locks_at_once
from registry_pipeline_tests.pointers.composition import STEPS, activate, make_store, parse, read_state
from registry_pipeline_tests.pointers.requests import run

FIRST, SECOND, THIRD = (run("run_registry", day) for day in (1, 2, 3))
KILLED = 9


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = load_repository(tmp_path)
    make_store(made)
    return made


def read_pointer_hash(repository: Repository) -> str:
    return sha256_hex(repository.pointer_path.read_bytes())


def active(repository: Repository) -> object:
    return parse(repository.pointer_path.read_bytes()).active("run_registry")


def begin(work: Callable[[], object]) -> int:
    """Run `work` in a process of its own and return its id; it exits with 0, its error's code, or KILLED."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except (BusyError, RefusedError) as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return child


def end(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_a_process(work: Callable[[], object]) -> int:
    return end(begin(work))


def dying_after(step: str, occurrence: int) -> Callable[[str], None]:
    seen: list[str] = []

    def reached(here: str) -> None:
        seen.append(here)
        if seen.count(step) == occurrence:
            os._exit(KILLED)

    return reached


def test_the_first_change_seals_init_and_then_itself(repository: Repository) -> None:
    assert activate(repository, FIRST, read_pointer_hash(repository))

    state = read_state(repository)
    assert state.state == "committed"
    assert state.findings == ()
    assert [r.record.action for r in state.records] == ["init", "activate"]
    assert active(repository) == FIRST.ref


def test_changes_form_a_chain(repository: Repository) -> None:
    for sealed in (FIRST, SECOND, THIRD):
        activate(repository, sealed, read_pointer_hash(repository))

    state = read_state(repository)
    moves = [(m.from_ref, m.to_ref) for r in state.records for m in r.record.moves]
    assert moves == [(None, FIRST.ref), (FIRST.ref, SECOND.ref), (SECOND.ref, THIRD.ref)]
    assert not repository.pointer_path.with_name(repository.pointer_path.name + ".intent").exists()


def test_activating_what_is_active_seals_nothing(repository: Repository) -> None:
    activate(repository, FIRST, read_pointer_hash(repository))
    before = sorted(repository.publish_root.iterdir())

    assert not activate(repository, FIRST, read_pointer_hash(repository))
    assert sorted(repository.publish_root.iterdir()) == before


AFTER_A_KILL = {
    "lock": ("committed", FIRST),
    "compare": ("committed", FIRST),
    "chain": ("committed", FIRST),
    "plan": ("committed", FIRST),
    "intent": ("committed", FIRST),
    "seal": ("pending", FIRST),
    "swap": ("committed", SECOND),
    "remove": ("committed", SECOND),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_after_a_step_leaves_a_documented_state(repository: Repository, step: str) -> None:
    activate(repository, FIRST, read_pointer_hash(repository))
    seen = read_pointer_hash(repository)

    assert in_a_process(lambda: activate(repository, SECOND, seen, dying_after(step, 1))) == KILLED
    expected, expected_run = AFTER_A_KILL[step]
    state = read_state(repository)
    assert state.state == expected
    assert active(repository) == expected_run.ref
    if state.refuses:
        with pytest.raises(RefusedError, match="CHAIN_PENDING"):
            activate(repository, THIRD, read_pointer_hash(repository))
        assert active(repository) == expected_run.ref
    else:
        assert activate(repository, THIRD, read_pointer_hash(repository))
        assert read_state(repository).findings == ()


@pytest.mark.parametrize("step", ["intent", "seal", "swap", "remove"])
def test_the_next_change_continues_after_a_kill_during_init(repository: Repository, step: str) -> None:
    seen = read_pointer_hash(repository)

    assert in_a_process(lambda: activate(repository, FIRST, seen, dying_after(step, 1))) == KILLED
    assert read_state(repository).state == ("not_chained" if step == "intent" else "committed")
    assert activate(repository, SECOND, read_pointer_hash(repository))
    assert [r.record.action for r in read_state(repository).records] == ["init", "activate"]


def dying_before_call(number: int) -> None:
    """Kill this process before its `number`-th call that opens, renames, removes or makes something."""
    left = number

    def watch(event: str, _arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "fcntl.flock", "os.scandir"):
            left -= 1
            if left == 0:
                os._exit(KILLED)

    sys.addaudithook(watch)


def test_a_process_killed_before_any_call_leaves_no_partial_state(repository: Repository, tmp_path: Path) -> None:
    activate(repository, FIRST, read_pointer_hash(repository))
    before, kept = repository.pointer_path.read_bytes(), tmp_path / "kept"
    shutil.copytree(tmp_path / ".codex", kept)
    found: list[str] = []
    for number in range(1, 500):
        shutil.rmtree(tmp_path / ".codex")
        shutil.copytree(kept, tmp_path / ".codex")

        def work(number: int = number) -> None:
            dying_before_call(number)
            activate(repository, SECOND, sha256_hex(before))

        code = in_a_process(work)
        state = read_state(repository)
        moved = repository.pointer_path.read_bytes() != before
        assert active(repository) == (SECOND if moved else FIRST).ref
        assert state.state == "committed" or (state.state == "pending" and not moved)
        found.append(f"{state.state}, {'moved' if moved else 'as before'}")
        if code == 0:
            break
        if state.state == "committed":
            activate(repository, THIRD, read_pointer_hash(repository))
            assert read_state(repository).findings == ()

    assert code == 0
    assert list(dict.fromkeys(found)) == ["committed, as before", "pending, as before", "committed, moved"]


def test_of_two_processes_exactly_one_wins_and_the_loser_changes_nothing(repository: Repository) -> None:
    for round_ in range(1, 11):
        rivals = (run("run_registry", round_ * 2), run("run_registry", round_ * 2 + 1))
        seen = read_pointer_hash(repository)
        folders = len(list(repository.publish_root.iterdir()))
        gate, starter = os.pipe()

        def work(rival: SealedRun, seen: str = seen, gate: int = gate) -> None:
            os.read(gate, 1)
            activate(repository, rival, seen)

        children = [begin(partial(work, rival)) for rival in rivals]
        os.write(starter, b"go")
        codes = [end(child) for child in children]
        os.close(gate)
        os.close(starter)

        assert sorted(codes) == [0, BusyError.exit_code]
        assert active(repository) == rivals[codes.index(0)].ref
        assert len(list(repository.publish_root.iterdir())) == folders + (2 if round_ == 1 else 1)
        assert read_state(repository).findings == ()


def test_a_change_does_not_wait_for_a_held_lock(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    give_up_locks_at_once(monkeypatch)
    seen, folders = read_pointer_hash(repository), sorted(repository.publish_root.iterdir())

    def while_planning(step: str) -> None:
        if step == "plan":
            assert in_a_process(lambda: activate(repository, SECOND, seen)) == BusyError.exit_code
            assert sorted(repository.publish_root.iterdir()) == folders

    assert activate(repository, FIRST, seen, while_planning)
    assert active(repository) == FIRST.ref


def test_a_verdict_that_saw_another_pointer_file_seals_nothing(repository: Repository) -> None:
    seen = read_pointer_hash(repository)
    activate(repository, FIRST, seen)
    folders = sorted(repository.publish_root.iterdir())

    with pytest.raises(BusyError, match="changed since"):
        activate(repository, SECOND, seen)
    assert sorted(repository.publish_root.iterdir()) == folders


def test_a_file_edited_while_the_record_is_sealed_is_not_overwritten(repository: Repository) -> None:
    activate(repository, FIRST, read_pointer_hash(repository))

    def edit(step: str) -> None:
        if step == "seal":
            repository.pointer_path.write_bytes(b"{}\n")

    with pytest.raises(BusyError):
        activate(repository, SECOND, read_pointer_hash(repository), edit)
    assert repository.pointer_path.read_bytes() == b"{}\n"
    assert read_state(repository).state == "edited"
