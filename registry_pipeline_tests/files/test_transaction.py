"""Several files are one change: after a kill, the next process completes or undoes it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.errors import BusyError, DurabilityError, RefusedError, RegistryPipelineError, WriteError
from registry_pipeline.files import atomic_write, transaction
from registry_pipeline.files.transaction import Recovery, StageFolder, hold_stage, recover, write_files
from registry_pipeline_tests.files.recorded import recorded_syncs

KILLED = 9
STEPS = ("os.rename", "os.remove", "os.mkdir", "open")
ONE, TWO, GONE, NEW = "data/one.yaml", "data/two.yaml", "gone.yaml", "deep/er/new.yaml"
BEFORE = {ONE: b"one: 1\n", TWO: b"two: 1\n", GONE: b"gone: 1\n"}
AFTER = {ONE: b"one: 2\n", TWO: b"two: 2\n", NEW: b"new: 2\n"}
CHANGE = {path: (BEFORE.get(path), AFTER.get(path)) for path in (ONE, TWO, GONE, NEW)}
"""Two files are replaced, one is removed, and one is created in new folders."""


def stage_at(root: Path) -> StageFolder:
    """Return the stage folder of a new tree that contains `BEFORE`."""
    (root / "state").mkdir(parents=True)
    for path, data in BEFORE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return StageFolder(root, root / "state/stage", "change of data", 1 << 20)


def change(stage: StageFolder) -> None:
    with hold_stage(stage, wait_seconds=0.0):
        write_files(stage, CHANGE)


def contents_of(stage: StageFolder) -> dict[str, bytes]:
    """Return all files but those of the stage folder."""
    paths = (path.relative_to(stage.root).as_posix() for path in stage.root.rglob("*") if path.is_file())
    return {path: (stage.root / path).read_bytes() for path in paths if not path.startswith("state/")}


def staged(stage: StageFolder) -> list[str]:
    return sorted(path.name for path in stage.path.iterdir())


def killed_at(stage: StageFolder, step: int) -> bool:
    """Make the change in a process that dies before its step with that number; return whether it came so far."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if event in STEPS and writes and str(arguments[0]).startswith(str(stage.root)):
                if seen == step:
                    os._exit(KILLED)
                seen += 1

        try:
            sys.addaudithook(count)
            change(stage)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def test_killed_before_any_step_the_next_reader_sees_all_of_it_or_nothing(tmp_path: Path) -> None:
    ends = []
    for step in range(100):
        stage = stage_at(tmp_path / str(step))
        if not killed_at(stage, step):
            break
        torn = contents_of(stage)
        recovery = recover(stage, wait_seconds=0.0)

        after = contents_of(stage)
        assert after in (BEFORE, AFTER)
        assert after == AFTER if recovery is not None else after == torn
        assert not list(stage.path.glob("*.json"))
        ends.append("all" if after == AFTER else "nothing")
        if after == BEFORE:
            change(stage)
            assert contents_of(stage) == AFTER
            assert staged(stage) == ["lock"]

    assert ends == sorted(ends, reverse=True)
    assert ends.count("nothing") >= 6
    assert ends.count("all") >= 5


def interrupted(tmp_path: Path) -> StageFolder:
    """Return a tree in which at least one of the files has taken its name, and the writer died."""
    for step in range(100):
        stage = stage_at(tmp_path / f"at{step}")
        assert killed_at(stage, step)
        if (stage.path / "intent.json").exists() and contents_of(stage) != BEFORE:
            return stage
    raise AssertionError


def test_a_file_that_somebody_edited_since_stays_and_the_rest_is_undone(tmp_path: Path) -> None:
    stage = interrupted(tmp_path)
    pending = next(path for path in (TWO, ONE) if contents_of(stage)[path] == BEFORE[path])
    (stage.root / pending).write_bytes(BEFORE[pending] + b"# mine\n")

    recovery = recover(stage, wait_seconds=0.0)

    assert recovery == Recovery("undone", tuple(sorted(CHANGE)))
    assert contents_of(stage) == {**BEFORE, pending: BEFORE[pending] + b"# mine\n"}


def test_what_was_staged_and_is_missing_or_altered_is_undone(tmp_path: Path) -> None:
    stage = interrupted(tmp_path)
    for path in stage.path.glob("*.new"):
        path.unlink()

    recovery = recover(stage, wait_seconds=0.0)

    assert recovery is not None
    assert recovery.outcome == "undone"
    assert contents_of(stage) == BEFORE


def test_an_intent_that_nobody_can_parse_is_not_touched(tmp_path: Path) -> None:
    stage = interrupted(tmp_path)
    intent = stage.path / "intent.json"
    intent.write_text("{")
    torn = contents_of(stage)

    with pytest.raises(RefusedError, match="cannot be parsed"):
        change(stage)

    assert contents_of(stage) == torn
    assert intent.exists()


def test_an_intent_that_leads_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    stage = interrupted(tmp_path)
    intent = stage.path / "intent.json"
    document = json.loads(intent.read_bytes())
    document["files"][0]["path"] = "../outside.yaml"
    intent.write_text(json.dumps(document))

    with pytest.raises(RefusedError, match="does not stay inside"):
        change(stage)

    assert not (stage.root.parent / "outside.yaml").exists()


@pytest.mark.parametrize(
    "stated",
    [
        {"version": "9", "files": []},
        {"version": "0.1", "files": [{"path": 5, "before": None, "after": None, "mode": 420, "number": 0}]},
        {"version": "0.1", "files": [{"path": "x", "before": None, "after": None, "mode": 420, "number": "../x"}]},
        {"version": "0.1", "files": [{"path": "x\0", "before": None, "after": None, "mode": 420, "number": 0}]},
        {"version": "0.1", "files": [{"path": "\ud800", "before": None, "after": None, "mode": 420, "number": 0}]},
    ],
)
def test_an_intent_that_no_change_wrote_is_not_touched(tmp_path: Path, stated: dict[str, object]) -> None:
    stage = stage_at(tmp_path / "tree")
    intent = stage.path / "intent.json"
    intent.parent.mkdir()
    intent.write_text(json.dumps(stated))

    with pytest.raises(RefusedError, match="cannot be parsed"):
        change(stage)

    assert json.loads(intent.read_bytes()) == stated
    assert contents_of(stage) == BEFORE


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, at: int) -> Iterator[None]:
    """Let the `at`-th call of a function of the transaction fail as a full disk does."""
    real, calls = getattr(transaction, name), []

    def fail(*arguments: Any) -> Any:
        calls.append(name)
        if len(calls) == at:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(transaction, name, fail)
        yield


@pytest.mark.parametrize(
    ("name", "at"),
    [("_stage_file", 2), ("create_file", 1), ("_apply_file", 1), ("_apply_file", 3), ("_confirm_written", 1)],
)
def test_a_disk_that_refuses_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    stage = stage_at(tmp_path / "tree")

    with (
        failing(monkeypatch, name, at),
        pytest.raises(WriteError, match="cannot be written: No space left on device; it is as it was") as caught,
    ):
        change(stage)

    assert "free some space" in caught.value.advice
    assert contents_of(stage) == BEFORE
    assert staged(stage) == ["lock"]


def test_an_intent_that_the_disk_did_not_confirm_is_removed_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_at(tmp_path / "tree")
    real = atomic_write.create_file

    def unconfirmed(path: Path, data: bytes) -> None:
        real(path, data)
        raise DurabilityError("not confirmed")

    monkeypatch.setattr(transaction, "create_file", unconfirmed)
    with pytest.raises(DurabilityError):
        change(stage)

    assert contents_of(stage) == BEFORE
    assert staged(stage) == ["lock"]


def test_an_interrupt_while_files_take_their_names_finishes_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_at(tmp_path / "tree")
    real = transaction._apply_file
    calls = []

    def interrupt(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(transaction, "_apply_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        change(stage)

    assert contents_of(stage) == AFTER


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")
    with hold_stage(stage, wait_seconds=0.0):
        (stage.root / ONE).write_bytes(b"mine\n")

        with pytest.raises(BusyError, match="changed since it was read"):
            write_files(stage, CHANGE)

    assert contents_of(stage) == {**BEFORE, ONE: b"mine\n"}


@pytest.mark.parametrize("path", [TWO, GONE, NEW])
def test_an_editor_that_saves_while_files_take_their_names_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stage = stage_at(tmp_path / "tree")
    real = atomic_write.create_file

    def save(intent: Path, data: bytes) -> None:
        real(intent, data)
        (stage.root / path).parent.mkdir(parents=True, exist_ok=True)
        (stage.root / path).write_bytes(b"mine\n")

    monkeypatch.setattr(transaction, "create_file", save)
    with pytest.raises(BusyError, match="changed since it was read"):
        change(stage)

    assert contents_of(stage) == {**BEFORE, path: b"mine\n"}
    assert staged(stage) == ["lock"]


def test_while_one_change_holds_the_lock_another_changes_nothing(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")

    with hold_stage(stage, wait_seconds=0.0), pytest.raises(BusyError, match="another change of data is in progress"):
        change(stage)

    assert contents_of(stage) == BEFORE


def test_every_write_is_on_the_disk_before_the_next_step_relies_on_it(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")

    with recorded_syncs(stage.root) as synced:
        change(stage)

    assert synced == [
        "state",  # the name of the stage folder
        *("state/stage/0.old", "state/stage/0.new"),  # data/one.yaml
        *("state/stage/1.old", "state/stage/1.new"),  # data/two.yaml
        "state/stage/2.new",  # deep/er/new.yaml
        "state/stage/3.old",  # gone.yaml
        "state/stage",  # their names, before the intent relies on them
        "state/stage/.intent.json.registry-pipeline.tmp",
        "state/stage",  # the name of the intent: the change is decided
        *("data", "data"),
        *(".", "deep", "deep/er"),  # new folders, each in its parent, and the file in the last one
        ".",
        "state/stage",  # the intent is removed
    ]


def test_undoing_a_change_reaches_the_disk_before_the_intent_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_at(tmp_path / "tree")

    with recorded_syncs(stage.root) as synced, failing(monkeypatch, "_confirm_written", 1), pytest.raises(WriteError):
        change(stage)

    assert synced[-5:] == ["data", "data", "deep/er", ".", "state/stage"]


def test_modes_are_kept_and_new_files_are_readable(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")
    (stage.root / ONE).chmod(0o640)

    change(stage)

    assert (stage.root / ONE).stat().st_mode & 0o777 == 0o640
    assert (stage.root / NEW).stat().st_mode & 0o777 == 0o644


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")
    (stage.root / ONE).write_bytes(b"x" * ((1 << 20) + 1))

    with pytest.raises(RefusedError, match="larger than 1 MiB"):
        change(stage)


def test_a_new_file_is_not_written_behind_a_link(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")
    (tmp_path / "outside").mkdir()
    (stage.root / "deep").symlink_to(tmp_path / "outside")

    with pytest.raises(RefusedError, match="lies behind deep"):
        change(stage)

    assert list((tmp_path / "outside").iterdir()) == []
    assert (stage.root / ONE).read_bytes() == BEFORE[ONE]


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")
    stage.path.mkdir()
    (stage.path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RefusedError, match="is a link"):
        change(stage)

    assert not (tmp_path / "elsewhere").exists()


def test_a_stage_folder_that_leads_outside_is_refused_and_one_that_stays_inside_is_not(tmp_path: Path) -> None:
    stage = stage_at(tmp_path / "tree")
    (tmp_path / "outside").mkdir()
    stage.path.symlink_to(tmp_path / "outside")

    with pytest.raises(RefusedError, match="is a link"):
        change(stage)
    assert list((tmp_path / "outside").iterdir()) == []

    stage.path.unlink()
    (stage.root / "state/other").mkdir()
    stage.path.symlink_to("other")
    change(stage)
    assert contents_of(stage) == AFTER


def test_a_change_that_cannot_be_undone_says_so_and_the_next_one_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_at(tmp_path / "tree")

    with (
        failing(monkeypatch, "_confirm_written", 1),
        failing(monkeypatch, "_restore_files", 1),
        pytest.raises(RegistryPipelineError, match="change of data stopped half way"),
    ):
        change(stage)

    assert recover(stage, wait_seconds=0.0) == Recovery("finished", tuple(sorted(CHANGE)))
    assert contents_of(stage) == AFTER
