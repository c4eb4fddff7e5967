"""An append is killed at every call: the log has all of its records or none, and the next append recovers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index.append import AppendResult
from registry_pipeline.registries.run_index.log_file import Log, batch_intent_path
from registry_pipeline.registries.run_index.scan import read_log
from registry_pipeline_tests.crash_points import killed_at
from registry_pipeline_tests.run_index.values import LOG_CALLS, a_run, append, log_at

FIRST, SECOND, THIRD, LATER = (a_run(number) for number in range(4))
TORN = json_line(a_run(9))[:90]
STATES: dict[str, bytes | None] = {
    "no log": None,
    "a log": json_line(FIRST),
    "a torn tail": json_line(FIRST) + TORN,
    "a last line without a newline": json_line(FIRST).rstrip(),
}


def _runs(log: Log) -> list[str]:
    return [entry.record["run_id"] for entry in read_log(log, missing_ok=True).entries]


def _begin(root: Path, state: str) -> Log:
    shutil.rmtree(root, ignore_errors=True)
    log = log_at(root)
    held = STATES[state]
    if held is not None:
        log.path.write_bytes(held)
    return log


def _aside(log: Log) -> list[bytes]:
    return [path.read_bytes() for path in sorted(log.path.parent.glob("*.torn-*")) if not path.name.startswith(".")]


@pytest.mark.parametrize("half", [False, True], ids=["before the call", "half of a write"])
@pytest.mark.parametrize("batch", [(SECOND,), (SECOND, THIRD)], ids=["one", "a batch"])
@pytest.mark.parametrize("state", STATES)
def test_an_append_killed_at_any_call_is_complete_or_absent(
    tmp_path: Path, state: str, batch: tuple[dict[str, object], ...], half: bool
) -> None:
    root = tmp_path / "repository"
    before = _runs(_begin(root, state))
    known = [FIRST["run_id"]] if state == "a last line without a newline" else before
    wanted = [str(record["run_id"]) for record in batch]
    number, killed, outcomes = 1, True, set()
    while killed:
        log = _begin(root, state)
        killed = killed_at(number, lambda: append(log, *batch), LOG_CALLS, half=half)  # noqa: B023 -- done before the next round
        held = _runs(log)
        assert held in (before, known, [*known, *wanted]), f"killed at call {number}"
        outcomes.add((killed, held[-len(wanted) :] == wanted))

        done = append(log, *batch, LATER)

        assert not done.refused
        assert _runs(log) == [*known, *wanted, LATER["run_id"]], f"killed at call {number}"
        assert not batch_intent_path(log).exists()
        whole = b"".join(map(json_line, read_log(log).entries and [dict(e.record) for e in read_log(log).entries]))
        assert log.path.read_bytes().rstrip(b"\n") == whole.rstrip(b"\n")
        if state == "a torn tail":
            assert TORN in _aside(log)
        number += 1

    assert {(True, False), (False, True)} <= outcomes
    assert number > 8


def test_an_incomplete_batch_is_moved_aside_and_reported(tmp_path: Path) -> None:
    log = _begin(tmp_path, "a log")
    number = 1
    while killed_at(number, lambda: append(log, SECOND, THIRD), LOG_CALLS, half=True):
        if log.path.read_bytes().count(b"\n") != 1 or not log.path.read_bytes().endswith(b"\n"):
            break
        number += 1

    seen = read_log(log)
    done: AppendResult = append(log, LATER)

    assert _runs(log) == [FIRST["run_id"], LATER["run_id"]]
    assert [each.code for each in seen.findings] == ["RI007"]
    assert [each.code for each in done.findings] == ["RI008"]
    assert [len(data) for data in _aside(log)] == [(len(json_line(SECOND)) + len(json_line(THIRD))) // 2]
    assert len(done.changed_files) == 2


def test_an_intent_file_of_another_log_hides_nothing(tmp_path: Path) -> None:
    log = _begin(tmp_path, "a log")
    number = 1
    while (
        killed_at(number, lambda: append(log, SECOND, THIRD), LOG_CALLS, half=True)
        and not batch_intent_path(log).exists()
    ):
        number += 1
    log.path.write_bytes(json_line(FIRST) + json_line(LATER))  # a checkout, say

    assert _runs(log) == [FIRST["run_id"], LATER["run_id"]]
    assert not append(log, SECOND).refused
    assert _runs(log) == [FIRST["run_id"], LATER["run_id"], SECOND["run_id"]]


def test_a_full_disk_leaves_the_log_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry_pipeline.errors import RegistryPipelineError
    from registry_pipeline.registries.run_index import append as module

    log = _begin(tmp_path, "a log")

    def full(descriptor: int, data: bytes) -> None:
        import os

        os.write(descriptor, data[:40])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_all_bytes", full)

    with pytest.raises(RegistryPipelineError, match="No space left"):
        append(log, SECOND)

    assert log.path.read_bytes() == json_line(FIRST)
