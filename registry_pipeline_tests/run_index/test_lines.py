"""Reading is bounded, and ends where the log ended when it was opened."""

from __future__ import annotations

import fcntl
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.errors import BusyError, NotFoundError, RefusedError
from registry_pipeline.registries.run_index import append as appending
from registry_pipeline.registries.run_index import log_file
from registry_pipeline.registries.run_index.append import parse_batch
from registry_pipeline.registries.run_index.log_file import MAX_LINE, open_log, read_lines
from registry_pipeline.registries.run_index.merge import merge_files
from registry_pipeline.registries.run_index.query import Query, find_records, find_run
from registry_pipeline.registries.run_index.scan import read_entries, read_log
from registry_pipeline_tests.run_index.values import a_run, append, log_at, write_log


def test_a_line_of_ten_megabytes_is_reported_and_skipped_in_bounded_memory(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    long = b'{"notes":"' + b"x" * 10_000_000 + b'"}\n'
    log.path.write_bytes(json_line(a_run(1)) + long + json_line(a_run(2)))

    tracemalloc.start()
    held = read_log(log)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [entry.number for entry in held.entries] == [1, 3]
    assert [each.code for each in held.findings] == ["RI006"]
    assert peak < 5 * MAX_LINE
    assert len(find_records(log, Query()).entries) == 2


def test_a_run_after_a_long_line_is_found_in_bounded_memory(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    log.path.write_bytes(json_line(a_run(1)) + b"x" * 40_000_000 + b"\n" + json_line(a_run(1, notes="later")))

    tracemalloc.start()
    found = find_run(log, str(a_run(1)["run_id"]), use_index=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [entry.number for entry in found.entries] == [1, 3]
    assert peak < 20 * MAX_LINE


def test_a_line_at_the_limit_is_a_record_and_a_longer_one_is_not(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    room = MAX_LINE + 1 - len(json_line(a_run(1, notes="")))
    write_log(log, [a_run(1, notes="x" * room), a_run(2, notes="x" * (room + 1))])

    assert [entry.number for entry in read_log(log).entries] == [1]


def test_the_carriage_return_of_a_line_counts_in_a_batch_too(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    # Blanks between the members: the line that the log would contain is shorter than the line of the batch.
    text = json.dumps(a_run(1, notes="")).encode("ascii")
    text = text.replace(b'"notes": ""', b'"notes": "' + b"x" * (MAX_LINE - len(text)) + b'"')
    assert len(text) == MAX_LINE

    records, findings = parse_batch(log, text + b"\r\n", "batch")

    assert records == ()
    assert [(each.code, each.got) for each in findings] == [("RI006", f"{MAX_LINE + 1} bytes")]
    assert parse_batch(log, text + b"\n", "batch")[1] == ()


def test_records_that_are_appended_during_a_read_are_left_to_the_next_reader(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1), a_run(2)])
    with open_log(log) as file:
        reading = read_entries(log, file, os.fstat(file.fileno()).st_size)
        seen = [next(reading).record["run_id"]]
        append(log, a_run(3))
        seen += [entry.record["run_id"] for entry in reading]

    assert seen == [a_run(1)["run_id"], a_run(2)["run_id"]]
    assert len(read_log(log).entries) == 3


def test_a_log_that_is_truncated_during_a_read_ends_there(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(number) for number in range(200)])
    with open_log(log) as file:
        reading = read_lines(file, end=os.fstat(file.fileno()).st_size)
        first = next(reading)
        log.path.write_bytes(b"")

        assert len([first, *reading]) < 200


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    os.mkfifo(log.path)

    with pytest.raises(RefusedError, match="not a regular file"):
        read_log(log)
    with pytest.raises(RefusedError, match="not a regular file"):
        append(log, a_run(1))


def test_a_link_is_not_followed_by_an_append(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    (tmp_path / "elsewhere").write_bytes(b"")
    log.path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RefusedError, match="is a link"):
        append(log, a_run(1))

    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_without_a_log_queries_are_empty_and_a_refused_record_creates_none(tmp_path: Path) -> None:
    log = log_at(tmp_path)

    with pytest.raises(NotFoundError, match="there is no"):
        find_records(log, Query())
    assert append(log, a_run(1, qa_gate2="PASS")).refused
    assert not log.path.exists()


def test_an_append_does_not_wait_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1)])
    monkeypatch.setattr(appending, "WAIT", 0.05)

    with appending.hold_log_lock(log), pytest.raises(BusyError, match="nothing changed"):
        append(log, a_run(2))

    assert len(read_log(log).entries) == 1


def test_an_append_that_waited_writes_to_the_log_that_replaced_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1)])
    real = fcntl.flock

    def checked_out_meanwhile(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        other = log.path.with_name("other")
        other.write_bytes(json_line(a_run(5)))
        other.replace(log.path)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", checked_out_meanwhile)
    append(log, a_run(2))

    assert [entry.record["run_id"] for entry in read_log(log).entries] == [a_run(5)["run_id"], a_run(2)["run_id"]]


def test_a_part_of_a_batch_is_not_merged(tmp_path: Path) -> None:
    log, other, target = log_at(tmp_path), tmp_path / "other.jsonl", tmp_path / "merged.jsonl"
    batch = [json_line(a_run(number)) for number in (1, 2)]
    other.write_bytes(json_line(a_run(3)))
    log_file.write_batch_intent(log, log_file.BatchIntent(0, b"".join(batch)))
    log.path.write_bytes(batch[0])

    refused = merge_files(log, other, log.path, target)

    assert [(each.code, each.severity) for each in refused.findings] == [("RI007", "error")]
    assert (refused.refused, target.exists()) == (True, False)
    log.path.write_bytes(b"".join(batch))
    assert merge_files(log, other, log.path, target).changed


def test_a_folder_in_place_of_a_log_is_refused(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    log.path.mkdir()

    with pytest.raises(RefusedError, match="not a regular file"):
        open_log(log)


def test_a_batch_that_completes_during_a_read_is_seen_completely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(tmp_path)
    batch = [json_line(a_run(number)) for number in (1, 2)]
    log.path.write_bytes(batch[0])

    def settled(_log: object) -> None:
        if log.path.read_bytes() == batch[0]:  # the writer is faster: all is there, and the announcement is gone
            log.path.write_bytes(b"".join(batch))

    monkeypatch.setattr(log_file, "_read_batch_intent", settled)

    assert [entry.number for entry in read_log(log).entries] == [1, 2]
