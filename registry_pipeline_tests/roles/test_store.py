"""The diagnostics store: each violation once, counted, with a short event; an unusable store changes no verdict."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from registry_pipeline.errors import BusyError, NotFoundError
from registry_pipeline.registries.base.seal_build import STATE_NAMES
from registry_pipeline.registries.roles.diagnostics import STORE_NAME, read_diagnostics, read_events, record_diagnostics
from registry_pipeline_tests.roles.writing import NOW, diagnostic

COLUMNS = [
    *("diagnostic_id", "fingerprint", "title", "message", "severity", "source", "surface", "tool", "code", "tags"),
    *("wsid", "job_id", "locations", "link_confidence", "status", "count", "first_seen", "last_seen"),
]
LATER = NOW + timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / ".codex" / STORE_NAME


def test_a_diagnostic_has_the_columns_of_the_specification_by_name(store: Path) -> None:
    found = diagnostic("gaffer", tags=("gaffer",), job_id="run-1", wsid="ws", locations=("a:1:2", "main:a:3:4"))

    assert record_diagnostics(store, [found], NOW) == 1

    (row,) = read_diagnostics(store)
    assert list(row) == COLUMNS
    assert row["title"] == "RR001: role_id gaffer was published and is missing"
    assert (row["source"], row["count"], row["status"]) == ("validator", 1, "open")
    assert (row["tags"], row["locations"]) == (["gaffer"], ["a:1:2", "main:a:3:4"])
    assert (row["job_id"], row["link_confidence"]) == ("run-1", "direct")
    assert (row["first_seen"], row["last_seen"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z")


def test_the_same_fingerprint_counts_up_and_keeps_when_it_was_first_seen(store: Path) -> None:
    record_diagnostics(store, [diagnostic("gaffer")], NOW)

    assert (
        record_diagnostics(store, [diagnostic("gaffer", message="moved", job_id="b"), diagnostic("grip")], LATER) == 1
    )

    gaffer = next(row for row in read_diagnostics(store) if row["fingerprint"] == diagnostic("gaffer").fingerprint)
    assert (gaffer["count"], gaffer["message"], gaffer["job_id"]) == (2, "moved", "b")
    assert (gaffer["first_seen"], gaffer["last_seen"]) == ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z")
    assert len(read_diagnostics(store)) == 2


def test_a_late_diagnostic_does_not_move_last_seen_back(store: Path) -> None:
    record_diagnostics(store, [diagnostic("gaffer")], LATER)
    record_diagnostics(store, [diagnostic("gaffer")], NOW)

    assert read_diagnostics(store)[0]["last_seen"] == "2026-03-02T12:00:00Z"


def test_an_event_contains_only_the_code_and_the_run_of_the_diagnostic(store: Path) -> None:
    record_diagnostics(store, [diagnostic("gaffer", job_id="run-1"), diagnostic("grip", wsid="ws")], NOW)
    record_diagnostics(store, [diagnostic("gaffer")], LATER)

    newest, *older = read_events(store)

    assert [event["event_code"] for event in (newest, *older)] == ["FR-EVT-003"] * 3
    assert {event["event_type"] for event in older} == {"diagnostic"}
    assert newest["recorded_utc"] == "2026-03-02T12:00:00Z"
    ids = [diagnostic(name).diagnostic_id for name in ("gaffer", "grip")]
    assert [event["payload"] for event in older] == [
        {"diagnostic_id": ids[0], "severity": "error", "source": "validator"},
        {"diagnostic_id": ids[1], "wsid": "ws", "severity": "error", "source": "validator"},
    ]
    assert [event["job_id"] for event in older] == ["run-1", None]


def test_a_diagnostic_that_is_given_twice_is_stored_once(store: Path) -> None:
    record_diagnostics(store, [diagnostic("gaffer"), diagnostic("gaffer")], NOW)

    assert [row["count"] for row in read_diagnostics(store)] == [1]


def test_without_diagnostics_there_is_no_store(store: Path) -> None:
    assert record_diagnostics(store, [], NOW) == 0

    assert not store.parent.exists()
    assert read_diagnostics(store) == read_events(store) == []


def test_init_makes_git_ignore_the_store() -> None:
    assert {STORE_NAME, f"{STORE_NAME}.wal"} <= set(STATE_NAMES)


@contextmanager
def writer(store: Path, name: str, *, times: int = 1, wait: float = 600) -> Iterator[subprocess.Popen[str]]:
    """Start a process that records when it is signalled."""
    words = [
        sys.executable,
        "-m",
        "registry_pipeline_tests.roles.writing",
        str(store),
        name,
        str(times),
        str(wait),
    ]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_concurrent_writers_all_succeed(store: Path) -> None:
    """Every process begins where there is no store yet, so that they race to make it, too."""
    with writer(store, "one", times=5) as one, writer(store, "two", times=5) as two, writer(store, "three") as three:
        writers = (one, two, three)
        for each in writers:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        result = [(each.wait(), each.communicate()[1]) for each in writers]

    assert result == [(0, "")] * 3
    counts = {row["fingerprint"]: row["count"] for row in read_diagnostics(store)}
    assert counts == {
        diagnostic(name).fingerprint: n for name, n in (("shared", 11), ("one", 5), ("two", 5), ("three", 1))
    }
    assert len(read_events(store)) == 22
    assert len({event["event_id"] for event in read_events(store)}) == 22


HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.readline()"


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Hold the store's lock in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.kill()
        process.communicate()


def test_a_writer_that_cannot_get_the_lock_reports_it_and_changes_nothing(store: Path) -> None:
    record_diagnostics(store, [diagnostic("gaffer")], NOW)

    with held(store):
        with pytest.raises(BusyError, match="another process has locked"):
            record_diagnostics(store, [diagnostic("grip")], NOW, wait_seconds=0.1)
        with pytest.raises(BusyError):
            read_diagnostics(store, wait_seconds=0)

    assert len(read_diagnostics(store)) == 1


def test_a_killed_writer_leaves_a_usable_store(store: Path) -> None:
    record_diagnostics(store, [diagnostic("gaffer")], NOW)
    killed = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        "c.execute('UPDATE diagnostics SET count = 7'); c.execute('BEGIN');"
        "c.execute('UPDATE diagnostics SET count = 99'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(store)], check=False)

    assert done.returncode == -signal.SIGKILL
    assert store.with_name(f"{STORE_NAME}.wal").exists()
    assert read_diagnostics(store)[0]["count"] == 7
    assert record_diagnostics(store, [diagnostic("grip")], NOW) == 1
    assert len(read_diagnostics(store)) == 2


@pytest.mark.parametrize("damage", ["text", "empty", "folder", "link", "nowhere"])
def test_an_unusable_store_is_reported_and_kept(store: Path, damage: str) -> None:
    store.parent.mkdir()
    elsewhere = store.parent.parent / "elsewhere"
    if damage == "folder":
        store.mkdir()
    elif damage == "link":
        store.symlink_to(elsewhere)
    elif damage == "nowhere":
        store.parent.rmdir()
        store.parent.write_text("a file where the folder should be")
    else:
        store.write_bytes(b"no database\n" if damage == "text" else b"")

    with pytest.raises(NotFoundError) as caught:
        record_diagnostics(store, [diagnostic("gaffer")], NOW)

    assert "cannot be written" in caught.value.message
    assert caught.value.advice
    assert not elsewhere.exists()
    if damage in ("text", "empty"):
        assert store.read_bytes() == (b"no database\n" if damage == "text" else b"")
        with pytest.raises(NotFoundError, match="cannot be read"):
            read_diagnostics(store)
