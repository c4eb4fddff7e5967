"""The side index: built once, refreshed from the tail, rebuilt if necessary, and never trusted for content."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index import side_index
from registry_pipeline.registries.run_index.log_file import run_index_log, scan_lines
from registry_pipeline.registries.run_index.query import Query, QueryResult, find_records, find_run
from registry_pipeline.registries.run_index.side_index import index_path
from registry_pipeline_tests.run_index.values import a_run, append, log_at, repository_at, write_log

ALL = Query(view="all", order_by="created_utc")


class Watch:
    """Counts what is built, and from which offsets lines are read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.built = 0
        self.offsets: list[int] = []
        build, read = side_index._build, side_index.read_rows

        def built(*args: object) -> object:
            self.built += 1
            return build(*args)  # type: ignore[arg-type]

        def rows(*args: object, **words: object) -> object:
            self.offsets.append(int(str(words.get("offset", 0))))
            return read(*args, **words)  # type: ignore[arg-type]

        patch.setattr(side_index, "_build", built)
        patch.setattr(side_index, "read_rows", rows)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def _numbers(answer: QueryResult) -> list[int]:
    return [entry.number for entry in answer.entries]


def test_the_index_is_built_once_and_then_reads_only_appended_lines(tmp_path: Path, watch: Watch) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(number) for number in range(300)])
    size = log.path.stat().st_size

    assert len(_numbers(find_records(log, ALL))) == 300
    assert len(_numbers(find_records(log, ALL))) == 300
    append(log, a_run(300), a_run(301))
    assert len(_numbers(find_records(log, ALL))) == 302
    assert (watch.built, watch.offsets) == (1, [0, size])


@pytest.mark.parametrize("edit", ["same size", "cut", "other log", "shorter and longer"])
def test_the_index_is_rebuilt_if_the_log_does_not_start_with_the_indexed_bytes(
    tmp_path: Path, watch: Watch, edit: str
) -> None:
    log = log_at(tmp_path)
    records = [a_run(number) for number in range(50)]
    write_log(log, records)
    find_records(log, ALL)
    changed = [*records[:20], records[20] | {"artist_id": "ART-zz"}, *records[21:]]
    after = {
        "same size": changed,
        "cut": records[:30],
        "other log": [a_run(number) for number in range(100, 200)],
        "shorter and longer": [*changed, a_run(60)],
    }[edit]
    write_log(log, after)

    answer = find_records(log, ALL)

    assert [entry.record for entry in answer.entries] == sorted(after, key=lambda each: str(each["created_utc"]))
    assert answer.by_index
    assert watch.built == 2


def _use_small_blocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(side_index, "_BLOCK", 1 << 10)
    patch.setattr(side_index, "_COMPARED", 4)


class ReadCounter:
    """Counts the bytes of the log that a query reads."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.size = 0
        read, scan = os.pread, scan_lines

        def pread(descriptor: int, size: int, offset: int) -> bytes:
            data = read(descriptor, size, offset)
            self.size += len(data)
            return data

        def scanned(*args: Any, **words: Any) -> Any:
            self.size += words["end"] - words["offset"]
            return scan(*args, **words)

        patch.setattr(os, "pread", pread)
        patch.setattr(side_index, "scan_lines", scanned)


def test_a_refresh_after_an_append_reads_as_much_of_a_long_log_as_of_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_small_blocks(monkeypatch)
    sizes = []
    for count in (500, 3000):
        log = log_at(tmp_path / str(count))
        write_log(log, [a_run(number) for number in range(count)])
        find_run(log, "RUN-20260210-0000-ZZZZ")
        with monkeypatch.context() as patch:
            append(log, a_run(4000), a_run(4001))
            counter = ReadCounter(patch)
            assert find_run(log, "RUN-20260210-0000-ZZZZ").by_index
        sizes.append(counter.size)

    # The last block may be cut anywhere. The end of the log is looked for three times, in 64 KiB each.
    assert abs(sizes[0] - sizes[1]) <= 1 << 10
    assert max(sizes) < (3 << 16) + (10 << 10)


@pytest.mark.parametrize("at", [0, 250, 499])
def test_an_edit_in_place_before_an_append_is_found_by_the_rotation_of_the_refreshes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watch: Watch, at: int
) -> None:
    _use_small_blocks(monkeypatch)
    log = log_at(tmp_path)
    records = [a_run(number) for number in range(500)]
    write_log(log, records)
    find_records(log, ALL)
    blocks = log.path.stat().st_size // (1 << 10) + 1
    write_log(log, [*records[:at], records[at] | {"artist_id": "ART-zz"}, *records[at + 1 :]])

    refreshes = 0
    while watch.built == 1:
        append(log, a_run(1000 + refreshes))
        found = find_records(log, Query(artist_id="ART-zz"))
        refreshes += 1
        assert refreshes <= blocks // 4 + 2

    assert _numbers(found) == [at + 1]


@pytest.mark.parametrize("way", ["nothing appended", "another file", "another length"])
def test_an_edit_anywhere_is_found_at_once_unless_the_same_file_was_only_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    _use_small_blocks(monkeypatch)
    log = log_at(tmp_path)
    records = [a_run(number) for number in range(500)]
    for at in (0, 250, 499):
        write_log(log, records)
        find_records(log, ALL)
        artist = "ART-zzz" if way == "another length" else "ART-zz"
        more = [] if way == "nothing appended" else [a_run(1000)]
        if way == "another file":
            log.path.unlink()
        write_log(log, [*records[:at], records[at] | {"artist_id": artist}, *records[at + 1 :], *more])

        assert _numbers(find_records(log, Query(artist_id=artist))) == [at + 1]


def test_an_old_record_that_was_edited_before_an_append_is_found_by_its_new_fields(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    records = [a_run(number) for number in range(50)]
    write_log(log, records)
    find_records(log, ALL)
    write_log(log, [*records[:20], records[20] | {"artist_id": "ART-zz"}, *records[21:], a_run(60)])

    assert _numbers(find_records(log, Query(artist_id="ART-zz"))) == [21]


def test_an_edit_of_the_same_length_is_detected_by_the_file_status(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    records = [a_run(number) for number in range(1500)]
    write_log(log, records)
    find_records(log, ALL)
    hidden = next(n for n in range(1500) if len(b"".join(map(json_line, records[:n]))) > 12_000)
    write_log(log, [*records[:hidden], records[hidden] | {"artist_id": "ART-zz"}, *records[hidden + 1 :]])

    assert _numbers(find_records(log, Query(artist_id="ART-zz"))) == [hidden + 1]


def test_an_offset_without_the_indexed_record_is_not_trusted(tmp_path: Path, watch: Watch) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(number) for number in range(50)])
    find_records(log, ALL)
    with sqlite3.connect(index_path(log)) as connection:
        connection.execute("UPDATE places SET artist = 'ART-forged' WHERE number = 7")
    connection.close()

    assert _numbers(find_records(log, Query(artist_id="ART-forged"))) == []
    assert watch.built == 2


def test_an_offset_in_the_middle_of_a_line_is_not_trusted(tmp_path: Path, watch: Watch) -> None:
    log = log_at(tmp_path)
    inner = json_line(a_run(7)).decode().strip()
    write_log(log, [a_run(1), a_run(2, notes=inner)])
    find_records(log, ALL)
    with sqlite3.connect(index_path(log)) as connection:
        connection.execute("UPDATE places SET offset = offset + 5, size = size - 5 WHERE number = 2")
    connection.close()

    assert _numbers(find_records(log, ALL)) == [1, 2]
    assert watch.built == 2


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_rebuilt(tmp_path: Path, watch: Watch, damage: bytes) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1)])
    index_path(log).write_bytes(damage)

    answer = find_records(log, ALL)

    assert (_numbers(answer), answer.by_index, watch.built) == ([1], True, 1)


def test_another_id_grammar_makes_another_index(tmp_path: Path, watch: Watch) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1), a_run(2, mood="major")])

    assert _numbers(find_records(log, ALL)) == [1]
    assert _numbers(find_records(run_index_log(repository_at(tmp_path, extra_keys=("mood",))), ALL)) == [1, 2]
    assert watch.built == 2


def test_without_a_writable_index_the_log_is_read_and_this_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1)])

    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def refuse(path: object, **options: Any) -> sqlite3.Connection:
        if path != ":memory:":
            raise sqlite3.OperationalError("unable to open database file")
        return connect(":memory:", **options)

    monkeypatch.setattr(sqlite3, "connect", refuse)

    answer = find_records(log, ALL)

    assert (_numbers(answer), answer.by_index) == ([1], False)
    assert [(each.code, each.severity) for each in answer.findings] == [("RI070", "info")]


def test_a_folder_in_place_of_the_index_is_reported(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1)])
    index_path(log).mkdir()

    answer = find_run(log, str(a_run(1)["run_id"]))

    assert (_numbers(answer), [each.code for each in answer.findings]) == ([1], ["RI070"])


def test_leftovers_of_a_killed_builder_are_removed_and_those_of_a_live_one_kept(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1)])
    dead, alive = (log.path.with_name(f"{index_path(log).name}.building-{pid}") for pid in (2**22 + 1, os.getppid()))
    dead.write_bytes(b"")
    alive.write_bytes(b"")

    find_records(log, ALL)

    assert (dead.exists(), alive.exists()) == (False, True)


def test_no_index_is_made_without_a_request(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1)])

    assert _numbers(find_records(log, ALL, use_index=False)) == [1]
    assert not index_path(log).exists()
