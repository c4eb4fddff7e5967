"""Law: after any change of the side index, queries and appends are those of the log, and the index is rebuilt."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import Log
from registry_pipeline.registries.run_index.query import VIEWS, Query, find_latest, find_records, find_run
from registry_pipeline.registries.run_index.side_index import index_path
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.run_index.values import Run, append_runs, log_at, logs, repository_at, runs

Change = Callable[[Path, st.DataObject], None]

COLUMNS = (
    "offset",
    "size",
    "run_id",
    "created",
    "ordered",
    "machine",
    "artist",
    "genre",
    "passed",
    "failed",
    "current",
)
META = ("format", "reader", "end", "lines", "compared", "state")
VALUES = st.sampled_from([0, 1, 7, "", "ART-a0", "GEN-g1", "2026-02-10T09:04:00Z", "RUN-20260210-0001-AAAB"])


def _in_sql(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def remove_rows(path: Path, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, 3), "every so many rows are removed")
    _in_sql(path, "DELETE FROM places WHERE number % ? = 0", kept + 1)


def change_a_column(path: Path, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(COLUMNS), "column")
    _in_sql(path, f"UPDATE places SET {column} = ? WHERE number % 2 = 1", data.draw(VALUES, "value"))  # noqa: S608


def add_rows(path: Path, data: st.DataObject) -> None:
    by = data.draw(st.integers(100, 200), "shift")
    rest = ", ".join(COLUMNS)
    _in_sql(path, f"INSERT INTO places SELECT number + {by}, {rest} FROM places")  # noqa: S608


def swap_rows(path: Path, data: st.DataObject) -> None:
    by = data.draw(st.integers(1, 5), "distance")
    _in_sql(path, "UPDATE places SET number = -number")
    _in_sql(path, "UPDATE places SET number = CASE WHEN -number > ?1 THEN -number - ?1 ELSE 1000 - number END", by)


def change_meta(path: Path, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(META), "key")
    _in_sql(path, "UPDATE meta SET value = ? WHERE key = ?", data.draw(st.sampled_from(["0", "3", "x", ""])), key)


def remove_rows_and_hide_it(path: Path, _: st.DataObject) -> None:
    stat = path.stat()
    _in_sql(path, "DELETE FROM places WHERE number % 2 = 0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def make_an_index_partial(path: Path, _: st.DataObject) -> None:
    _in_sql(path, "DROP INDEX by_success")
    _in_sql(path, "CREATE INDEX by_success ON places (artist, genre, ordered) WHERE passed = 1 AND current = 1 AND 0")


def replace_the_table_by_a_view(path: Path, _: st.DataObject) -> None:
    _in_sql(path, "ALTER TABLE places RENAME TO kept")
    _in_sql(path, "CREATE VIEW places AS SELECT * FROM kept WHERE number % 2 = 0")


def change_bytes(path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=40), "places"):
        content[place] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path, data: st.DataObject) -> None:
    os.truncate(path, data.draw(st.integers(0, path.stat().st_size - 1), "size"))


def replace_by_that_of_another_log(path: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        other = log_at(Path(folder))
        other.path.write_bytes(b"".join(map(json_line, data.draw(logs, "other log"))))
        assert find_records(other, Query()).by_index
        names = [index_path(other).name] + (
            [index_path(other).name + ".state"] if data.draw(st.booleans(), "with its state") else []
        )
        for name in names:
            source = other.path.parent / name
            if source.exists():
                source.replace(path.parent / name)


def copy_it(path: Path, _: st.DataObject) -> None:
    remove_rows(path, _)
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


CHANGES: tuple[Change, ...] = (
    remove_rows, change_a_column, add_rows, swap_rows, change_meta, remove_rows_and_hide_it, make_an_index_partial,
    replace_the_table_by_a_view, change_bytes, cut, replace_by_that_of_another_log, copy_it,
)  # fmt: skip


def _assert_answers_are_those_of_the_log(log: Log, run_ids: set[str]) -> None:
    queries: list[Callable[[bool], Any]] = [
        *(
            lambda use, view=view: find_records(log, Query(view=view, order_by="run_id"), use_index=use)
            for view in VIEWS
        ),
        lambda use: find_records(log, Query(artist_id="ART-a1", genre_id="GEN-g1"), use_index=use),
        lambda use: find_records(log, Query(failed=True, since="2026-02-10T09:04:00Z"), use_index=use),
        lambda use: find_latest(log, RuleContext(), artist_id=None, genre_id="GEN-g0", use_index=use),
        *(lambda use, run_id=run_id: find_run(log, run_id, use_index=use) for run_id in sorted(run_ids)),
    ]
    for ask in queries:
        by_index, by_scan = ask(True), ask(False)
        assert by_index.by_index
        assert (by_index.entries, by_index.findings) == (by_scan.entries, by_scan.findings)


@examples(150)
@given(logs.filter(bool), runs, st.sampled_from(CHANGES), st.booleans(), st.data())
def test_a_changed_index_changes_no_answer(
    records: list[Run], one: Run, change: Change, grows: bool, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = log_at(Path(folder))
        log.path.write_bytes(b"".join(map(json_line, records)))
        assert find_records(log, Query()).by_index
        change(index_path(log), data)
        if grows:
            with log.path.open("ab") as file:
                file.write(json_line(one))

        _assert_answers_are_those_of_the_log(log, {record["run_id"] for record in [*records, one]})


@examples(150)
@given(logs.filter(bool), runs, st.sampled_from(CHANGES), st.data())
def test_a_changed_index_lets_no_duplicate_and_no_collision_into_the_log(
    records: list[Run], other: Run, change: Change, data: st.DataObject
) -> None:
    known = data.draw(st.sampled_from(records), "known")
    batches = [[known], [known | {"created_by": "gpt"}], [other]]
    with tempfile.TemporaryDirectory() as folder:
        with_index, without = Path(folder, "with"), Path(folder, "without")
        for root in (with_index, without):
            log_at(root).path.write_bytes(b"".join(map(json_line, records)))
        log = log_at(with_index)
        for batch in batches:
            assert find_records(log, Query()).by_index
            change(index_path(log), data)

            assert append_runs(repository_at(with_index), batch) == append_runs(repository_at(without), batch)
            assert log.path.read_bytes() == log_at(without).path.read_bytes()
