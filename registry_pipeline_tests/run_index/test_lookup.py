"""An append never uses the side index, and a query after it does not trust an outdated one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index.append import AppendResult
from registry_pipeline.registries.run_index.log_file import Log
from registry_pipeline.registries.run_index.query import Query, find_records
from registry_pipeline.registries.run_index.side_index import index_path
from registry_pipeline_tests.run_index.values import Run, a_run, append_runs, log_at, repository_at, write_log

ALL = Query(view="all", order_by="created_utc")
OTHER_MAKER = a_run(20, created_by="gpt")
"""Collides with run 20."""


def _append(root: Path, *records: Run) -> AppendResult:
    return append_runs(repository_at(root), records)


def _indexed(root: Path, count: int = 50) -> Log:
    log = log_at(root)
    write_log(log, [a_run(number) for number in range(count)])
    assert find_records(log, ALL).by_index
    return log


def test_no_index_is_made_for_an_append(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(20)])

    assert _append(tmp_path, OTHER_MAKER).refused
    assert _append(tmp_path, a_run(21)).added
    assert not index_path(log).exists()


def _unfinished(log: Log) -> None:
    with log.path.open("ab") as file:
        file.write(json_line(a_run(51)).rstrip())


def _torn(log: Log) -> None:
    with log.path.open("ab") as file:
        file.write(b'{"torn')


def _by_hand(log: Log) -> None:
    with log.path.open("ab") as file:
        file.write(json_line(a_run(51)))


def _garbage(log: Log) -> None:
    index_path(log).write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


def _moved(log: Log) -> None:
    with sqlite3.connect(index_path(log)) as connection:
        connection.execute("UPDATE places SET offset = offset + 1")
    connection.close()


def _of_another(log: Log) -> None:
    write_log(log, [a_run(number) for number in (*range(30, 50), 20)])


@pytest.mark.parametrize("change", [_unfinished, _torn, _by_hand, _garbage, _moved, _of_another])
def test_a_collision_is_found_whatever_the_state_of_the_index(tmp_path: Path, change: Callable[[Log], None]) -> None:
    log = _indexed(tmp_path)
    change(log)

    assert [each.code for each in _append(tmp_path, OTHER_MAKER).findings] == ["RI024"]
    done = _append(tmp_path, a_run(70))

    assert done.added
    assert find_records(log, ALL).entries == find_records(log, ALL, use_index=False).entries


@pytest.mark.parametrize("size", [50, 3000])
@pytest.mark.parametrize("through", ["the program", "another program"])
def test_an_edit_of_the_same_length_is_detected_after_any_growth(tmp_path: Path, size: int, through: str) -> None:
    log = _indexed(tmp_path, size)
    for number in (7, size // 3, size - 9):
        lines = log.path.read_bytes().splitlines(keepends=True)
        lines[number] = json_line(a_run(number, artist_id="ART-zz"))
        grown = json_line(a_run(number + 10_000))
        log.path.write_bytes(b"".join(lines) + (grown if through == "another program" else b""))
        if through == "the program":
            assert _append(tmp_path, a_run(number + 10_000)).added

    found = find_records(log, Query(artist_id="ART-zz", order_by="created_utc"))

    assert found.by_index
    assert {entry.number for entry in found.entries} == {8, size // 3 + 1, size - 8}
