"""Checkpoints of real changes: when one is written, what a reader then skips, and what happens if it cannot be."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.errors import WriteError
from registry_pipeline.pipeline.status import read_status
from registry_pipeline.pipeline.verify import check_runs
from registry_pipeline.pointers import transaction
from registry_pipeline.pointers.chain import RECORD_FILE, ChainState
from registry_pipeline.pointers.find_runs import find_run, find_run_at
from registry_pipeline.pointers.rollback import mark_bad, rollback, select_rollback
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.pipeline.conftest import NOON, Who, World

WHO: Who = {"actor": "Grace", "reason": "to and fro"}
KILLED = 9


@pytest.fixture(autouse=True)
def _a_checkpoint_after_three_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "CHECKPOINT_EVERY", 3)


def go_back(world: World, minutes: int, *, redo: bool = False) -> Activation:
    """Undo the last activation, or the last rollback."""
    target = select_rollback(read_chain_state(world.repository), redo=redo)
    moved = rollback(world.repository, world.run(minutes), target, **WHO)
    assert isinstance(moved, Activation)
    return moved


def change_often(world: World) -> None:
    """Make eight changes after the build at noon, and the checkpoints that follow from them."""
    world.build(minutes=30)
    for number in range(7):
        go_back(world, 40 + number, redo=number % 2 == 1)


def actions(chain: ChainState) -> list[str]:
    return [sealed.record.action for sealed in chain.records]


def both_ways(world: World) -> tuple[ChainState, ChainState]:
    """Return the chain read from the newest checkpoint, and the chain read in full."""
    return read_chain_state(world.repository, from_checkpoint=True), read_chain_state(world.repository)


def test_the_change_that_makes_three_records_is_followed_by_a_checkpoint(built: World) -> None:
    change_often(built)
    fast, slow = both_ways(built)

    assert actions(slow)[:8] == [
        *("init", "activate", "activate", "checkpoint"),
        *("rollback", "rollback", "rollback", "checkpoint"),
    ]
    assert (slow.state, slow.findings) == ("committed", ())
    assert actions(fast)[0] == "checkpoint"
    assert len(fast.records) <= 3
    assert (fast.head, fast.facts, fast.lines) == (slow.head, slow.facts, slow.lines)


def test_a_checkpoint_passes_every_check_of_its_registry(built: World) -> None:
    built.build(minutes=30)
    found = find_run_at(built.root / read_chain_state(built.repository).records[-1].path)
    (checked,) = check_runs([found], None)

    assert actions(read_chain_state(built.repository))[-1] == "checkpoint"
    assert (checked.verdict.verdict, checked.verdict.findings) == ("pass", ())


def test_an_old_chain_gets_its_first_checkpoint_with_the_next_change(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "CHECKPOINT_EVERY", 1000)
    change_often(built)
    assert "checkpoint" not in actions(read_chain_state(built.repository))
    monkeypatch.setattr(transaction, "CHECKPOINT_EVERY", 3)

    go_back(built, 80, redo=True)

    fast, slow = both_ways(built)
    assert actions(slow)[-2:] == ["rollback", "checkpoint"]
    assert actions(fast) == ["checkpoint"]


def test_of_the_older_records_only_the_hash_file_is_opened(built: World) -> None:
    change_often(built)
    fast, slow = both_ways(built)
    older = {sealed.ref.run_id for sealed in slow.records} - {sealed.ref.run_id for sealed in fast.records}

    opened = in_a_process(lambda: read_chain_state(built.repository, from_checkpoint=True), watch_opens)

    assert len(older) > 6
    assert {path for path in opened if path.split("/")[-2] in older} == {f"{name}/MANIFEST.sha256" for name in older}


def watch_opens(report: Callable[[str], object]) -> None:
    """Report each path that is opened, shortened to the names of folder and file."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            report("/".join(["", *arguments[0].split("/")][-2:]))

    sys.addaudithook(watch)


def in_a_process(work: Callable[[], object], prepare: Callable[[Callable[[str], object]], object]) -> list[str]:
    """Run `work` in a process of its own, and return what `prepare` had reported."""
    source, target = os.pipe()
    if os.fork() == 0:
        try:
            os.close(source)
            prepare(lambda text: os.write(target, f"{text}\n".encode()))
            work()
        finally:
            os._exit(0)
    os.close(target)
    with os.fdopen(source) as lines:
        reported = lines.read().splitlines()
    os.wait()
    return reported


def test_status_names_actor_and_reason_of_a_record_before_the_checkpoint(built: World) -> None:
    before = read_status(built.repository, NOON).registries
    for number, run_id in enumerate(("expected_versions", "threshold_packs_file", "role_registry")):
        found = find_run(built.repository, "active", run_id)
        mark_bad(built.repository, built.run(40 + number), found, **WHO)

    fast = read_chain_state(built.repository, from_checkpoint=True)
    assert "activate" not in actions(fast)
    after = read_status(built.repository, NOON).registries
    still_active = [(new["active"], old["active"]) for new, old in zip(after, before, strict=True) if new["active"]]
    assert all(new == old for new, old in still_active)
    assert {(new["actor"], new["reason"]) for new, _ in still_active} == {("Ada", "because it is Sunday")}


def test_a_run_that_was_marked_bad_before_the_checkpoint_stays_bad(built: World) -> None:
    built.build(minutes=30)
    found = find_run(built.repository, "active", "drift_signals")
    mark_bad(built.repository, built.run(40), found, **WHO)
    for number in range(3):
        go_back(built, 50 + number, redo=number % 2 == 1)

    fast, slow = both_ways(built)
    assert fast.marked_bad == slow.marked_bad == {found.run_id: WHO["reason"]}
    assert all(sealed.record.action != "mark_bad" for sealed in fast.records)


def test_an_altered_byte_in_an_older_record_is_found_by_a_full_reading_only(built: World) -> None:
    change_often(built)
    first = read_chain_state(built.repository).records[1]
    flip_byte(built.root / first.path / RECORD_FILE)

    fast, slow = both_ways(built)
    assert fast.findings == ()
    assert {f.code for f in slow.findings} >= {"CHAIN_RECORD_EDITED"}


@pytest.mark.parametrize("damage", ["removed", "resealed", "linked"])
def test_an_older_record_that_is_removed_or_resealed_refuses_the_next_change(built: World, damage: str) -> None:
    change_often(built)
    old = built.root / read_chain_state(built.repository).records[1].path
    if damage == "linked":
        old.rename(built.root / "away")
        old.symlink_to(built.root / "away")
    elif damage == "removed":
        shutil.rmtree(old)
    else:
        text = (old / "MANIFEST.sha256").read_text()
        (old / "MANIFEST.sha256").chmod(0o644)
        (old / "MANIFEST.sha256").write_text(text[:-2] + ("0" if text[-2] != "0" else "1") + "\n")

    fast, slow = both_ways(built)
    assert fast == slow
    found = find_run(built.repository, "active", "drift_signals")
    assert isinstance(mark_bad(built.repository, built.run(90), found, **WHO), Refusal)


def test_a_checkpoint_that_cannot_be_written_does_not_fail_the_change_and_is_written_next_time(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> Any:
        raise WriteError("no space left on device", "make room")

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "plan_checkpoint", fail)
        built.build(minutes=30)
    assert actions(read_chain_state(built.repository)) == ["init", "activate", "activate"]

    go_back(built, 40)
    assert actions(read_chain_state(built.repository))[2:] == ["activate", "rollback", "checkpoint"]


def test_a_checkpoint_whose_name_is_not_the_last_is_not_written(built: World) -> None:
    built.build(minutes=30)
    for number in range(3):
        go_back(built, 20 + number, redo=number % 2 == 1)
    fast, slow = both_ways(built)

    assert actions(slow) == ["init", "activate", "activate", "checkpoint", "rollback", "rollback", "rollback"]
    assert fast == slow

    go_back(built, 40, redo=True)
    fast, slow = both_ways(built)
    assert actions(slow)[-2:] == ["rollback", "checkpoint"]
    assert actions(fast) == ["checkpoint"]


def test_a_rollback_returns_to_a_record_before_the_checkpoint(built: World) -> None:
    chain = read_chain_state(built.repository)
    change_often(built)

    target = select_rollback(read_chain_state(built.repository), chain.records[1].ref.run_id)
    outcome = rollback(built.repository, built.run(90), target, actor="Ada", reason="from the start", allow_mixed=True)

    assert isinstance(outcome, Activation)
    assert read_chain_state(built.repository).findings == ()


def test_a_change_with_a_checkpoint_that_is_killed_before_any_call_leaves_a_documented_state(
    built: World, tmp_path: Path
) -> None:
    built.build(minutes=30)
    go_back(built, 40)
    go_back(built, 41, redo=True)
    kept, found, before = tmp_path / "kept", [], built.repository.pointer_path.read_bytes()
    target = select_rollback(read_chain_state(built.repository))
    folders = {built.repository.pointer_path.parent, built.repository.publish_root.parent}
    for folder in folders:
        shutil.copytree(folder, kept / folder.name)
    for number in range(1, 2000, 19):
        for folder in folders:
            remove_folder(folder)
            shutil.copytree(kept / folder.name, folder)
        code = die_before_call(number, lambda: rollback(built.repository, built.run(50), target, **WHO))
        chain = read_chain_state(built.repository)
        moved = built.repository.pointer_path.read_bytes() != before
        assert chain.state == "committed" or (chain.state == "pending" and not moved)
        found.append((chain.state, moved, actions(chain)[-1]))
        if code != KILLED:
            break
        if chain.state == "committed" and moved:
            go_back(built, 60, redo=True)
            fast, slow = both_ways(built)
            assert (fast.findings, fast.facts) == (slow.findings, slow.facts)

    assert code == 0
    assert [state for state in dict.fromkeys(found) if state[1]] == [
        ("committed", True, "rollback"),
        ("committed", True, "checkpoint"),
    ]


def remove_folder(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        Path(path).chmod(0o755)
    shutil.rmtree(folder)


def die_before_call(number: int, work: Callable[[], object]) -> int:
    """Run `work` in a process that is killed before its `number`-th call that changes or opens something."""
    child = os.fork()
    if child == 0:
        left = number

        def watch(event: str, _arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.scandir"):
                left -= 1
                if left == 0:
                    os._exit(KILLED)

        sys.addaudithook(watch)
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
