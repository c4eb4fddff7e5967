"""Several processes change registry entries at once: each waits for the others, and nothing is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.config import Repository
from registry_pipeline.errors import BusyError
from registry_pipeline.files.transaction import hold_stage
from registry_pipeline.registries.entries import service
from registry_pipeline.registries.entries.service import (
    GivenEntry,
    add_entries,
    check_entries,
    initialise_entries,
    remove_entries,
    stage_folder,
)
from registry_pipeline_tests.entries.small import ASKED, BEFORE, add_three, contents_of, make_small
from registry_pipeline_tests.lock_waits import wait_for_locks_without_limit

WRITERS = 10


def add_type(repository: Repository, name: str) -> None:
    entry = GivenEntry("module_type", {"id": name, "description": "x"}, "a test")
    add_entries(repository, [entry], ASKED, dry_run=False)


def test_ten_processes_that_add_different_entries_at_once_all_succeed(tmp_path: Path) -> None:
    repository = make_small(tmp_path / "repository")
    ready, start = os.pipe(), os.pipe()
    children = []
    for number in range(WRITERS):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(start[1])
                wait_for_locks_without_limit()
                os.write(ready[1], b".")
                os.read(start[0], 1)  # it ends when the parent closes its end: all of them at the same moment
                add_type(repository, f"t{number}")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    for _ in range(WRITERS):
        os.read(ready[0], 1)
    os.close(start[1])
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    contents, findings, _ = check_entries(repository)

    assert codes == [0] * WRITERS
    assert set(contents.of("module_type")) == {"gauge", *(f"t{number}" for number in range(WRITERS))}
    assert findings == ()


@pytest.mark.parametrize("verb", ["add", "remove", "init --entries"])
def test_a_writer_that_waited_too_long_reports_it_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    repository = make_small(tmp_path / "repository")
    monkeypatch.setattr(service, "WAIT_SECONDS", 0.05)
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: add_three(repository),
        "remove": lambda: remove_entries(repository, [("module_type", "gauge")], dry_run=False),
        "init --entries": lambda: initialise_entries(repository),
    }

    with hold_stage(stage_folder(repository), wait_seconds=0.0), pytest.raises(BusyError) as caught:
        calls[verb]()

    assert caught.value.exit_code == 6
    assert "another change of registry entries is in progress after" in caught.value.message
    assert contents_of(repository.root) == BEFORE


def test_a_waiting_writer_continues_when_the_other_one_ends(tmp_path: Path) -> None:
    repository = make_small(tmp_path / "repository")
    waiting = threading.Thread(target=add_type, args=(repository, "second"))

    with hold_stage(stage_folder(repository), wait_seconds=0.0):
        waiting.start()
        assert contents_of(repository.root) == BEFORE
    waiting.join()

    assert set(check_entries(repository)[0].of("module_type")) == {"gauge", "second"}


def test_the_next_reader_completes_an_interrupted_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = make_small(tmp_path / "repository")
    child = os.fork()
    if child == 0:
        monkeypatch.setattr("registry_pipeline.files.transaction._apply_file", lambda *_: os._exit(9))
        add_three(repository)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert contents_of(repository.root) == BEFORE

    _, findings, recovery = check_entries(repository)

    assert recovery is not None
    assert recovery.outcome == "finished"
    assert findings == ()
    assert len(contents_of(repository.root)) == 3
