"""The state file of the side index: what it accepts, on file systems with coarse clocks, and after a killed write."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index import side_index
from registry_pipeline.registries.run_index.log_file import Log
from registry_pipeline.registries.run_index.query import Query, find_records, find_run
from registry_pipeline.registries.run_index.side_index import index_path, is_recorded, record_state, state_path
from registry_pipeline_tests.crash_points import killed_at
from registry_pipeline_tests.run_index.values import LOG_CALLS, a_run, append_runs, log_at, repository_at, write_log

HIDDEN = a_run(20)


def _indexed(root: Path) -> Log:
    log = log_at(root)
    write_log(log, [a_run(number) for number in range(50)])
    assert find_records(log, Query()).by_index
    return log


def _hide(log: Log) -> None:
    with closing(sqlite3.connect(index_path(log))) as connection, connection:
        connection.execute("DELETE FROM places WHERE run_id = ?", (HIDDEN["run_id"],))


def test_a_record_whose_row_was_deleted_is_found_and_the_index_is_rebuilt(tmp_path: Path) -> None:
    log = _indexed(tmp_path)
    before = index_path(log).stat().st_ino
    _hide(log)

    answer = find_run(log, HIDDEN["run_id"])

    assert answer.records == (HIDDEN,)
    assert answer.by_index
    assert index_path(log).stat().st_ino != before
    assert is_recorded(index_path(log), index_path(log).stat().st_ino)


def test_a_record_whose_row_was_deleted_is_not_appended_twice_and_its_collision_is_refused(tmp_path: Path) -> None:
    log = _indexed(tmp_path)
    _hide(log)
    before = log.path.read_bytes()

    again = append_runs(repository_at(tmp_path), [HIDDEN])
    other = append_runs(repository_at(tmp_path), [HIDDEN | {"created_by": "gpt"}])

    assert (again.added, again.repeated) == ((), (HIDDEN,))
    assert [each.code for each in other.findings] == ["RI024"]
    assert log.path.read_bytes() == before


def _removed(path: Path) -> None:
    path.unlink()


def _of_another_index(path: Path) -> None:
    path.write_bytes(b"1:2:3:4\n")


def _extended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"0")


def _a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _a_link(path: Path) -> None:
    kept = path.with_name("kept")
    path.rename(kept)
    path.symlink_to(kept)


@pytest.mark.parametrize("change", [_removed, _of_another_index, _extended, _a_pipe, _a_link])
def test_an_index_without_its_state_is_rebuilt(tmp_path: Path, change: Callable[[Path], None]) -> None:
    log = _indexed(tmp_path)
    before = index_path(log).stat().st_ino
    change(state_path(index_path(log)))

    assert find_run(log, HIDDEN["run_id"]).by_index
    assert index_path(log).stat().st_ino != before
    assert state_path(index_path(log)).is_file()
    assert not state_path(index_path(log)).is_symlink()


def test_a_journal_that_an_older_index_left_is_not_applied_to_the_new_one(tmp_path: Path) -> None:
    log = _indexed(tmp_path)
    journal = index_path(log).with_name(index_path(log).name + "-journal")
    with closing(sqlite3.connect(index_path(log), isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE places SET run_id = 'x' || run_id")
        torn, kept = index_path(log).read_bytes(), journal.read_bytes()
    index_path(log).write_bytes(torn)
    journal.write_bytes(kept)

    assert find_run(log, HIDDEN["run_id"]).records == (HIDDEN,)
    assert not journal.exists()


class CoarseClock:
    """Stamps files with the same time until it is asked `stopped` times."""

    def __init__(self, patch: pytest.MonkeyPatch, stopped: int) -> None:
        self.asked = 0
        self._stopped = stopped
        patch.setattr(os, "fstat", self.fstat)
        self._fstat = os.stat

    def fstat(self, descriptor: int) -> SimpleNamespace:
        self.asked += 1
        now = self._fstat(descriptor)
        return SimpleNamespace(st_ctime_ns=0 if self.asked <= self._stopped else now.st_ctime_ns + 10**9)


def test_a_state_is_recorded_only_when_the_clock_of_the_file_system_has_advanced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index.write_bytes(b"rows")
    inode = index.stat().st_ino
    with monkeypatch.context() as patch:
        clock = CoarseClock(patch, stopped=3)
        record_state(index, inode)
    assert clock.asked == 4
    assert is_recorded(index, inode)

    with monkeypatch.context() as patch:
        CoarseClock(patch, stopped=10**9)
        patch.setattr(side_index, "_PATIENCE", 0.01)
        record_state(index, inode)
    assert not is_recorded(index, inode)


def test_no_state_is_recorded_of_a_file_that_another_one_has_replaced(tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.write_bytes(b"rows")
    other = index.stat().st_ino + 1
    record_state(index, other)

    assert not is_recorded(index, other)
    assert not is_recorded(index, index.stat().st_ino)


def test_an_edit_right_after_an_append_is_seen_however_fast_it_comes(tmp_path: Path) -> None:
    log = _indexed(tmp_path)
    for number in range(60, 80):
        line, edited = json_line(a_run(number, notes="before")), json_line(a_run(number, notes="edited"))
        append_runs(repository_at(tmp_path), [a_run(number, notes="before")])
        with log.path.open("r+b") as file:
            file.seek(-len(line), os.SEEK_END)
            file.write(edited)

        assert [each["notes"] for each in find_run(log, a_run(number)["run_id"]).records] == ["edited"]


def test_an_append_and_a_query_killed_at_any_call_leave_an_index_that_hides_nothing(tmp_path: Path) -> None:
    number, killed, rebuilt = 1, True, 0
    while killed:
        log = _indexed(tmp_path / str(number))
        one, root = a_run(60), tmp_path / str(number)

        def append_and_refresh() -> None:
            append_runs(repository_at(root), [one])  # noqa: B023 - called before the next round
            find_records(log, Query())  # noqa: B023

        killed = killed_at(number, append_and_refresh, LOG_CALLS)
        unchanged = side_index.index_path(log).stat().st_ino
        by_index, by_scan = (find_records(log, Query(view="all"), use_index=use) for use in (True, False))

        assert by_index.by_index
        assert by_index.entries == by_scan.entries, f"killed at call {number}"
        rebuilt += index_path(log).stat().st_ino != unchanged
        assert len(append_runs(repository_at(root), [one]).findings) == 0
        assert len(find_run(log, one["run_id"]).entries) == 1
        number += 1

    assert number > 10
    assert rebuilt


@pytest.mark.parametrize("key", ["format", "reader", "state", "end", "lines", "compared"])
@pytest.mark.parametrize("change", ["DELETE FROM meta WHERE key = ?", "UPDATE meta SET value = 'x' WHERE key = ?"])
def test_an_index_with_a_recorded_state_but_without_its_description_is_rebuilt(
    tmp_path: Path, key: str, change: str
) -> None:
    log = _indexed(tmp_path)
    before = index_path(log).stat().st_ino
    with closing(sqlite3.connect(index_path(log))) as connection, connection:
        connection.execute(change, (key,))
    record_state(index_path(log), before)
    append_runs(repository_at(tmp_path), [a_run(60)])

    assert find_run(log, a_run(60)["run_id"]).by_index
    # A log in an unknown state is compared completely, which is as good.
    is_compared = key == "state" and change.startswith("UPDATE")
    assert (index_path(log).stat().st_ino == before) == is_compared
