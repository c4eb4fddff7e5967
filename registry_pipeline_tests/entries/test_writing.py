"""Several files are one change: killed anywhere, the next command finishes it or undoes it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import Governed
from registry_pipeline.entries import writing
from registry_pipeline.errors import BusyError, RefusedError, RegistryPipelineError
from registry_pipeline.runbook.entries import check_entries
from registry_pipeline_tests.entries.small import (
    BEFORE,
    HOOK,
    INSTANCES,
    TYPES,
    add_three,
    contents_of,
    make_small,
)

KILLED = 9
STEPS = ("os.rename", "os.remove", "os.mkdir", "open")


def killed_at(governed: Governed, step: int) -> bool:
    """Make the change in a process that dies before its step with that number; tell whether it got so far."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if event in STEPS and writes and str(arguments[0]).startswith(str(governed.root)):
                if seen == step:
                    os._exit(KILLED)
                seen += 1

        try:
            sys.addaudithook(count)
            add_three(governed)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    governed = make_small(tmp_path_factory.mktemp("whole") / "repository")
    assert add_three(governed).written
    return contents_of(governed.root)


def test_killed_before_any_step_the_next_command_sees_all_of_it_or_nothing(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    ends = []
    for step in range(100):
        governed = make_small(tmp_path / str(step))
        if not killed_at(governed, step):
            break
        torn = contents_of(governed.root)
        _, found, settled = check_entries(governed)

        after = contents_of(governed.root)
        assert after in (BEFORE, whole)
        assert after == whole if settled is not None else after == torn
        assert not [each for each in found if each.severity.value == "error"]
        assert not list(writing.stage_folder(governed).glob("*.json"))
        ends.append("all" if after == whole else "nothing")
        assert add_three(governed).written
        assert contents_of(governed.root) == whole
        assert [path.name for path in writing.stage_folder(governed).iterdir()] == ["lock"]

    assert ends == sorted(ends, reverse=True)
    assert ends.count("nothing") >= 6
    assert ends.count("all") >= 5


def interrupted(tmp_path: Path) -> Governed:
    """Return a repository in which one of three files has taken its name, and the writer died."""
    for step in range(100):
        governed = make_small(tmp_path / f"at{step}")
        assert killed_at(governed, step)
        if (writing.stage_folder(governed) / "intent.json").exists() and contents_of(governed.root) != BEFORE:
            return governed
    raise AssertionError


def test_a_file_that_somebody_edited_since_stays_and_the_rest_is_undone(tmp_path: Path) -> None:
    governed = interrupted(tmp_path)
    pending = next(path for path in (TYPES, INSTANCES) if contents_of(governed.root)[path] == BEFORE[path])
    (governed.root / pending).write_bytes(BEFORE[pending] + b"# mine\n")

    _, _, settled = check_entries(governed)

    assert settled is not None
    assert settled.outcome == "undone"
    assert contents_of(governed.root) == {**BEFORE, pending: BEFORE[pending] + b"# mine\n"}


def test_what_was_staged_and_is_gone_or_altered_is_undone(tmp_path: Path) -> None:
    governed = interrupted(tmp_path)
    for place in writing.stage_folder(governed).glob("*.new"):
        place.unlink()

    _, _, settled = check_entries(governed)

    assert settled is not None
    assert settled.outcome == "undone"
    assert contents_of(governed.root) == BEFORE


def test_an_intent_that_nobody_can_read_is_left_alone(tmp_path: Path) -> None:
    governed = interrupted(tmp_path)
    place = writing.stage_folder(governed) / "intent.json"
    place.write_text("{")
    torn = contents_of(governed.root)

    with pytest.raises(RefusedError, match="cannot be understood"):
        add_three(governed)

    assert contents_of(governed.root) == torn
    assert place.exists()


def test_an_intent_that_leads_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    governed = interrupted(tmp_path)
    place = writing.stage_folder(governed) / "intent.json"
    document = json.loads(place.read_bytes())
    document["files"][0]["path"] = "../outside.yaml"
    place.write_text(json.dumps(document))

    with pytest.raises(RefusedError, match="does not stay inside"):
        add_three(governed)

    assert not (governed.root.parent / "outside.yaml").exists()


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, at: int) -> Iterator[None]:
    """Let the `at`-th call of a function of the writer fail as a full disk does."""
    real, calls = getattr(writing, name), []

    def fail(*arguments: Any) -> Any:
        calls.append(name)
        if len(calls) == at:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(writing, name, fail)
        yield


@pytest.mark.parametrize(
    ("name", "at"), [("_stage", 2), ("_write_intent", 1), ("_apply", 1), ("_apply", 3), ("_prove", 1)]
)
def test_a_disk_that_refuses_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    governed = make_small(tmp_path / "repository")

    with failing(monkeypatch, name, at), pytest.raises(RegistryPipelineError, match="no content file changed"):
        add_three(governed)

    assert contents_of(governed.root) == BEFORE
    assert [path.name for path in writing.stage_folder(governed).iterdir()] == ["lock"]


def test_an_interrupt_while_files_take_their_names_finishes_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    governed = make_small(tmp_path / "repository")
    real = writing._apply
    calls = []

    def interrupt(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(writing, "_apply", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add_three(governed)

    assert contents_of(governed.root) == whole


def test_a_file_that_changed_since_the_plan_was_made_is_not_overwritten(tmp_path: Path) -> None:
    governed = make_small(tmp_path / "repository")
    with writing.entries_lock(governed):
        (governed.root / TYPES).write_bytes(b"types: []\n")

        with pytest.raises(BusyError, match="changed since it was read"):
            writing.write_files(governed, {TYPES: (BEFORE[TYPES], b"x: 1\n"), HOOK: (None, b"id: a\n")})

    assert contents_of(governed.root) == {**BEFORE, TYPES: b"types: []\n"}


def test_while_one_writer_holds_the_lock_another_changes_nothing(tmp_path: Path) -> None:
    governed = make_small(tmp_path / "repository")

    with writing.entries_lock(governed), pytest.raises(BusyError):
        add_three(governed)

    assert contents_of(governed.root) == BEFORE


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    governed = make_small(tmp_path / "repository")
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            os._exit(write_many(governed, number))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    contents, found, _ = check_entries(governed)

    assert codes == [0, 0, 0, 0]
    assert set(contents.of("module_type")) == {"gauge", *(f"t{n}{i}" for n in range(4) for i in range(5))}
    assert found == ()


def write_many(governed: Governed, number: int) -> int:
    """Add five types, again and again until the lock was free; return 0 where that went well."""
    from registry_pipeline.runbook.entries import GivenEntry, add_entries
    from registry_pipeline_tests.entries.small import ASKED

    for i in range(5):
        entry = GivenEntry("module_type", {"id": f"t{number}{i}", "description": "x"}, "a test")
        for _ in range(100_000):
            try:
                add_entries(governed, [entry], ASKED, dry_run=False)
                break
            except BusyError:
                continue
        else:
            return 1
    return 0
