"""Law: a search by ids in blocks of a log finds the same as reading line by line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import open_log
from registry_pipeline.registries.run_index.query import VIEWS, Query, find_latest, find_records
from registry_pipeline.registries.run_index.scan import find_entries, read_entries
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.run_index.values import a_run, log_at, runs

ODD = st.sampled_from(
    [
        b"\n",
        b"no json\n",
        b'{"run_id": "RUN-20260210-0001-AAAB"\n',
        json_line(a_run(1, notes='"run_id":"RUN-20260210-0002-AAAC"')),
        json_line(a_run(1)).replace(b'"RUN-', b'"RUN\\u002d'),
        json_line(a_run(1)).replace(b'"run_id"', b'"run\\u005Fid"'),
        json_line(a_run(1)).replace(b'"run_id"', b'"\\u0072un_id"\r'),
        json_line(a_run(1, notes="\\u0072")).replace(b'"run_id"', b'"run_id" \r'),
        json_line(a_run(1)).replace(b'":"', b'" : \t"').replace(b"\n", b"\r\n"),
        b'{"notes":"' + b"x" * 300 + b"\n",
    ]
)
LINES = st.lists(runs.map(json_line) | ODD, max_size=20)


@examples(150)
@given(LINES, st.binary(max_size=20).filter(lambda tail: b"\n" not in tail), st.integers(30, 900))
def test_a_search_by_blocks_finds_the_same_as_by_lines(lines: list[bytes], tail: bytes, block: int) -> None:
    wanted = {str(a_run(number)["run_id"]) for number in (1, 2)}
    data = b"".join(lines) + tail
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("registry_pipeline.registries.run_index.scan._CHUNK", block),
    ):
        log = log_at(Path(folder))
        log.path.write_bytes(data)
        with open_log(log) as file:
            found, count = find_entries(log, file, len(data), wanted)
            expected = [each for each in read_entries(log, file, len(data)) if each.record["run_id"] in wanted]

        assert found == expected
        assert count == len(data.split(b"\n")) - (data.endswith(b"\n") or not data)


@examples(40)
@given(st.lists(st.sampled_from([80, 200, 700, 1500]), max_size=8), st.integers(30, 900))
def test_a_line_that_is_too_long_is_counted_and_hides_no_other(sizes: list[int], block: int) -> None:
    lines = [json_line(a_run(1, notes="x" * size)) for size in sizes] + [json_line(a_run(1))]
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("registry_pipeline.registries.run_index.scan._CHUNK", block),
        mock.patch("registry_pipeline.registries.run_index.scan.MAX_LINE", 600),
        mock.patch("registry_pipeline.registries.run_index.log_file.MAX_LINE", 600),
    ):
        log = log_at(Path(folder))
        log.path.write_bytes(b"".join(lines))
        with open_log(log) as file:
            found, count = find_entries(log, file, log.path.stat().st_size, {str(a_run(1)["run_id"])})

        assert count == len(lines)
        assert [entry.number for entry in found] == [n for n, line in enumerate(lines, 1) if len(line) <= 601]


SEARCHED = st.lists(
    (runs | runs.map(lambda run: run | {"uniqueness_hook": "FAIL", "artist_id": "ART-a9"})).map(json_line)
    | runs.map(lambda run: json_line(run).replace(b"-", b"\\u002d").replace(b"FAIL", b"F\\u0041IL"))
    | runs.map(lambda run: json_line(run).replace(b'":"', b'" :\t"'))
    | ODD,
    max_size=20,
)
QUERIES = st.builds(
    Query,
    artist_id=st.sampled_from([None, "", "ART-a0", "ART-a9", 'no "id", é']),
    genre_id=st.sampled_from([None, "GEN-g0", "GEN-g1"]),
    since=st.none() | st.just("2026-02-10T09:04:00Z"),
    until=st.none() | st.just("2026-02-11T09:05:00Z"),
    failed=st.booleans(),
    view=st.sampled_from(VIEWS),
)


@examples(150)
@given(SEARCHED, QUERIES)
def test_a_query_that_reads_only_the_runs_that_may_match_finds_the_same_as_one_that_reads_all(
    lines: list[bytes], query: Query
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = log_at(Path(folder))
        log.path.write_bytes(b"".join(lines))
        results = []
        for rare in (0, 10**9):
            with mock.patch("registry_pipeline.registries.run_index.scan._RARE", rare):
                latest = find_latest(
                    log, RuleContext(), artist_id=query.artist_id, genre_id=query.genre_id, use_index=False
                )
                results.append((find_records(log, query, use_index=False), latest))

        assert results[0] == results[1]
