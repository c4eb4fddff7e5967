"""An append is on the disk before it is acknowledged, and never goes to a log that was replaced."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.errors import RefusedError
from registry_pipeline.registries.run_index.log_file import Log, run_index_log
from registry_pipeline.registries.run_index.merge import merge_files
from registry_pipeline.registries.run_index.service import create_run_log
from registry_pipeline_tests.files.recorded import recorded_syncs
from registry_pipeline_tests.run_index.values import a_run, append, log_at, repository_at, write_log

DATA, LOG = "60-REGISTRY/data", "60-REGISTRY/data/run-index.jsonl"
BATCH = f"{DATA}/.run-index.jsonl.batch.registry-pipeline.tmp"


def test_a_new_log_is_durable_with_the_folders_that_were_made_for_it(tmp_path: Path) -> None:
    log = run_index_log(repository_at(tmp_path))

    with recorded_syncs(tmp_path) as synced:
        append(log, a_run(0))

    assert synced == [".", "60-REGISTRY", DATA, LOG]


def test_one_more_record_is_one_sync_of_the_log(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    append(log, a_run(0))

    with recorded_syncs(tmp_path) as synced:
        append(log, a_run(1))

    assert synced == [LOG]


def test_the_intent_of_a_batch_is_durable_before_the_batch_is_written(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    append(log, a_run(0))

    with recorded_syncs(tmp_path) as synced:
        append(log, a_run(1), a_run(2))

    assert synced == [BATCH, DATA, LOG]


def test_a_torn_tail_is_saved_durably_before_it_is_cut_off(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    log.path.write_bytes(json_line(a_run(0)) + b'{"torn')

    with recorded_syncs(tmp_path) as synced:
        append(log, a_run(1))

    assert len(synced) == 4
    assert synced[0].startswith(f"{DATA}/.run-index.jsonl.torn-")
    assert synced[1:] == [DATA, LOG, LOG]


def test_a_run_log_and_a_merge_target_are_durable_with_their_names(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(0)])

    with recorded_syncs(tmp_path) as synced:
        create_run_log(tmp_path / "logs/night.md", "text")
        merge_files(log, log.path, log.path, tmp_path / "both.jsonl")

    assert synced == [
        *(".", "logs/.night.md.registry-pipeline.tmp", "logs"),
        *(".both.jsonl.registry-pipeline.tmp", "."),
    ]


def test_a_log_that_is_replaced_before_the_lock_is_taken_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(0)])
    real = fcntl.flock

    def checkout(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        other = log.path.with_name("other")
        other.write_bytes(json_line(a_run(0)) + json_line(a_run(1)))
        other.replace(log.path)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", checkout)
    append(log, a_run(2))

    assert log.path.read_bytes() == b"".join(json_line(a_run(number)) for number in range(3))


@pytest.mark.parametrize("exists", [False, True], ids=["a new log", "a log that exists"])
def test_a_log_behind_a_link_to_outside_is_refused(tmp_path: Path, exists: bool) -> None:
    outside = tmp_path / "outside"
    (outside / "data").mkdir(parents=True)
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/60-REGISTRY").symlink_to(outside)
    log = log_at(tmp_path / "repository")
    if exists:
        write_log(log, [a_run(0)])
    before = {path.name: path.read_bytes() for path in (outside / "data").iterdir()}

    with pytest.raises(RefusedError, match="is outside") as caught:
        append(log, a_run(1))

    assert caught.value.exit_code == 5
    assert {path.name: path.read_bytes() for path in (outside / "data").iterdir()} == before


def test_a_log_that_the_user_names_may_be_anywhere(tmp_path: Path) -> None:
    log = log_at(tmp_path / "repository")
    write_log(log, [a_run(0)])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    target = Log(tmp_path / "link/both.jsonl", "both", log.validator)

    assert merge_files(log, log.path, log.path, target.path).changed
    assert os.listdir(tmp_path / "elsewhere") == ["both.jsonl"]  # noqa: PTH208 - names are what is wanted
