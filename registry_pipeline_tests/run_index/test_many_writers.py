"""Eight processes append at once; nothing is lost and nothing is mixed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from registry_pipeline.registries.run_index import side_index
from registry_pipeline.registries.run_index.query import Query, find_records
from registry_pipeline.registries.run_index.scan import read_log
from registry_pipeline_tests.lock_waits import wait_for_locks_without_limit
from registry_pipeline_tests.run_index.values import a_run, log_at, write_log

PROCESSES = 8
_PROGRAM = """
import sys
from pathlib import Path
from registry_pipeline_tests.lock_waits import wait_for_locks_without_limit
from registry_pipeline_tests.run_index.values import a_run, append, log_at
wait_for_locks_without_limit()
first, count, root = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
log = log_at(root)
number = first
while number < first + count:
    batch = [a_run(n) for n in range(number, min(first + count, number + 1 + number % 3))]
    done = append(log, *batch)
    assert len(done.added) == len(batch), done
    number += len(batch)
"""


def _append_at_once(root: Path, each: int) -> list[str]:
    starts = [
        subprocess.Popen([sys.executable, "-c", _PROGRAM, str(number * each), str(each), str(root)])
        for number in range(PROCESSES)
    ]
    query_count = 0
    while any(start.poll() is None for start in starts):  # a reader meanwhile
        if log_at(root).path.exists():
            find_records(log_at(root), Query(artist_id="ART-a1"))
            query_count += 1
    assert [start.wait() for start in starts] == [0] * PROCESSES
    assert query_count
    return [entry.record["run_id"] for entry in read_log(log_at(root)).entries]


def _judge(root: Path, each: int) -> None:
    held = _append_at_once(root, each)

    assert len(held) == len(set(held)) == PROCESSES * each
    assert all(json.loads(line) for line in log_at(root).path.read_bytes().splitlines())
    assert sorted(path.name for path in log_at(root).path.parent.iterdir()) == [
        "run-index.jsonl",
        "run-index.jsonl.index.sqlite3",
        "run-index.jsonl.index.sqlite3.state",
    ]


@pytest.mark.process
def test_eight_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    _judge(tmp_path, 40)


@pytest.mark.soak
def test_eight_processes_that_append_five_hundred_records_each_lose_nothing(tmp_path: Path) -> None:
    _judge(tmp_path, 500)


_THROUGH_THE_INDEX = """
import sys
from pathlib import Path
from registry_pipeline_tests.lock_waits import wait_for_locks_without_limit
from registry_pipeline_tests.run_index.values import a_run, append_runs, repository_at
wait_for_locks_without_limit()
first, count, root = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
for number in range(first, first + count):
    assert append_runs(repository_at(root), [a_run(number)]).added
"""


@pytest.mark.process
def test_many_writers_and_a_reader_share_one_index_and_none_of_them_rebuilds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1000)])
    assert find_records(log, Query()).by_index

    def refuse(*_: object) -> None:
        raise AssertionError("the index was rebuilt")

    monkeypatch.setattr(side_index, "_build", refuse)
    wait_for_locks_without_limit(monkeypatch)
    index = side_index.index_path(log).stat().st_ino

    starts = [
        subprocess.Popen([sys.executable, "-c", _THROUGH_THE_INDEX, str(number * 20), "20", str(tmp_path)])
        for number in range(4)
    ]
    numbers = [0]
    while any(start.poll() is None for start in starts):
        answer = find_records(log, Query(view="all"))
        assert answer.by_index
        numbers.append(len(answer.entries))

    assert [start.wait() for start in starts] == [0] * 4
    assert numbers == sorted(numbers)
    assert len(find_records(log, Query(view="all")).entries) == 81
    assert side_index.index_path(log).stat().st_ino == index
