"""Law: the side index and the plain scan give the same results after any change of the log."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line, second_of
from registry_pipeline.registries.run_index.gates import RuleContext, sort_versions, version_key
from registry_pipeline.registries.run_index.log_file import Entry, Log, open_log
from registry_pipeline.registries.run_index.query import (
    ORDERS,
    VIEWS,
    Query,
    QueryResult,
    find_latest,
    find_records,
    find_run,
)
from registry_pipeline.registries.run_index.record import UNIQUENESS
from registry_pipeline.registries.run_index.scan import group_by_run, read_entries, read_finished_end
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.run_index.values import Run, log_at, logs

QUESTIONS = st.builds(
    Query,
    artist_id=st.none() | st.sampled_from(["ART-a0", "ART-a1"]),
    genre_id=st.none() | st.just("GEN-g0"),
    since=st.none() | st.just("2026-02-10T09:04:00Z"),
    until=st.none() | st.just("2026-02-11T09:05:00Z"),
    failed=st.booleans(),
    passed=st.booleans(),
    view=st.sampled_from(VIEWS),
    order_by=st.sampled_from([*ORDERS, *(f"-{name}" for name in ORDERS)]),
    limit=st.integers(0, 4),
)
CHANGES = st.sampled_from(["append", "cut", "replace", "garbage", "torn", "newline"])


def _change(path: Path, how: str, records: list[Run]) -> None:
    data, more = path.read_bytes(), b"".join(map(json_line, records))
    path.write_bytes(
        {
            "append": data + more,
            "cut": data[: len(data) // 2],
            "replace": more,
            "garbage": data + b"no json\n\n" + more,
            "torn": data + more[:-20],
            "newline": data + b"\n" + more,
        }[how]
    )


@examples(50)
@given(logs, st.lists(st.tuples(CHANGES, logs), max_size=4), QUESTIONS)
def test_the_index_gives_the_same_results_as_the_log(
    records: list[Run], changes: list[tuple[str, list[Run]]], question: Query
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = log_at(Path(folder))
        log.path.write_bytes(b"".join(map(json_line, records)))
        for how, more in [("append", []), *changes]:
            _change(log.path, how, more)
            for ask in _questions(log, question):
                by_index, by_scan = ask(True), ask(False)

                assert by_index.by_index
                assert not by_scan.by_index
                assert by_index.entries == by_scan.entries
                assert by_index.findings == by_scan.findings
            assert list(find_records(log, question).entries) == _select(log, question)


def _select(log: Log, query: Query) -> list[Entry]:
    """Return what a query selects, without SQL."""
    with open_log(log) as file:
        entries = list(read_entries(log, file, read_finished_end(log, file)[0]))
    current = {run_id: sort_versions(versions)[-1] for run_id, versions in group_by_run(entries).items()}

    def matches(entry: Entry) -> bool:
        record = entry.record
        created = second_of(record["created_utc"]) or ""
        return (
            query.artist_id in (None, record["artist_id"])
            and query.genre_id in (None, record["genre_id"])
            and (query.since or "") <= created <= (query.until or "9")
            and (not query.failed or any(record.get(name) == "FAIL" for name in UNIQUENESS))
            and (not query.passed or record["qa_gate2"] == "PASS")
            and (query.view == "all" or (query.view == "current") == (current[record["run_id"]] == entry))
        )

    name, descending = query.order_by.removeprefix("-"), query.order_by.startswith("-")

    def key(entry: Entry) -> tuple[str, str, str, int]:
        field = str(entry.record.get(name, ""))
        return (second_of(field) or "" if name == "created_utc" else field, *version_key(entry.record), entry.number)

    ordered = sorted(filter(matches, entries), key=key, reverse=descending)
    ordered.sort(key=lambda entry: name not in entry.record)
    return ordered[: query.limit or None]


def _questions(log: Log, question: Query) -> list[Callable[[bool], QueryResult]]:
    return [
        lambda use: find_records(log, question, use_index=use),
        lambda use: find_run(log, "RUN-20260210-0001-AAAB", use_index=use),
        lambda use: find_latest(log, RuleContext(), artist_id="ART-a1", genre_id=None, use_index=use),
    ]
