"""Records and logs for the tests of the run index; fields that are not given have valid values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from registry_pipeline.canonical import json_line
from registry_pipeline.config import Config, Repository
from registry_pipeline.config import RunIndex as RunIndexTable
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.append import AppendResult, append_records
from registry_pipeline.registries.run_index.check import check_runs
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import Entry, Log, run_index_log

Run = dict[str, Any]
LOG_CALLS = tuple(
    f"os.{name}" for name in ("open", "write", "fsync", "pread", "ftruncate", "close", "fstat", "rename", "unlink")
)
"""The calls of an append by which files change or are read."""


def repository_at(root: Path, **table: Any) -> Repository:
    return Repository(root, Config(run_index=RunIndexTable(**table)))


def log_at(root: Path) -> Log:
    log = run_index_log(repository_at(root))
    log.path.parent.mkdir(parents=True, exist_ok=True)
    return log


def a_run(number: int = 0, **stated: Any) -> Run:
    """Return the record of a run that failed, one of 46,656 by its number."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    rest = digits[number // 1296 % 36] + digits[number // 36 % 36] + digits[number % 36]
    record: Run = {
        "record_type": "RUN",
        "run_id": f"RUN-20260210-{number // 60 % 24:02}{number % 60:02}-A{rest}",
        "created_utc": f"2026-02-10T{number // 60 % 24:02}:{number % 60:02}Z",
        "created_by": "human",
        "machine_id": "C1",
        "artist_id": f"ART-a{number % 3}",
        "genre_id": f"GEN-g{number % 2}",
        "qa_gate2": "FAIL",
    }
    return record | stated


def a_success(number: int = 0, **stated: Any) -> Run:
    outputs = {
        "qa_gate2": "PASS",
        "scripture_packet_id": "SCR-20260210-0830-AAAA",
        "work_id": "WORK-20260210-0930-AAAA",
        "version_ids": ["VER-20260210-0940-AAAA"],
        "run_log_filepath_abs": "/srv/a.md",
    }
    return a_run(number, **(outputs | stated))


def write_log(log: Log, records: Iterable[Run]) -> None:
    log.path.write_bytes(b"".join(map(json_line, records)))


def append(log: Log, *records: Run) -> AppendResult:
    """Append with all the rules, and no overrides."""

    def check(entries: Sequence[Entry]) -> Iterable[Finding]:
        return check_runs(log.display_path, entries, RuleContext())

    return append_records(log, records, check)


def append_runs(repository: Repository, records: Sequence[Run]) -> AppendResult:
    """Append to the run index of a repository with all the rules, and no overrides."""
    return append(run_index_log(repository), *records)


# Few runs, few stamps and few lanes, so that records meet each other.
runs = st.builds(
    lambda number, minute, machine, lane, updated, fails, passed: a_run(
        number,
        created_utc=f"2026-02-1{minute % 2}T09:{minute:02}Z",
        machine_id=machine,
        artist_id=f"ART-a{lane}",
        genre_id=f"GEN-g{lane % 2}",
        qa_gate2="PASS" if passed else "FAIL",
        **({} if updated is None else {"last_updated_utc": f"2026-02-12T10:{updated:02}:30Z"}),
        **({"uniqueness_scene": "FAIL"} if fails else {}),
    ),
    st.integers(0, 5),
    st.integers(0, 9),
    st.sampled_from(["C1", "C2", "other"]),
    st.integers(0, 2),
    st.none() | st.integers(0, 9),
    st.booleans(),
    st.booleans(),
)
logs = st.lists(runs, max_size=24)
