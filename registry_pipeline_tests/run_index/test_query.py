"""The queries of the run index, as values, as DataFrames, and as bytes for other programs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index import query
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import overrides_log
from registry_pipeline.registries.run_index.query import Query, find_latest, find_records, find_run
from registry_pipeline.registries.run_index.service import read_rule_context
from registry_pipeline_tests.run_index.values import a_run, a_success, log_at, repository_at, write_log

DAYS = [a_run(n, created_utc=stamp) for n, stamp in enumerate(("2026-02-09T23:59:59Z", "2026-02-10T00:00Z",
        "2026-02-10T12:00Z", "2026-02-10T23:59:59Z", "2026-02-11T00:00Z"))]  # fmt: skip


def test_both_days_of_a_span_are_included(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, DAYS)
    span = Query(since="2026-02-10T00:00:00Z", until="2026-02-10T23:59:59Z", order_by="created_utc")

    assert find_records(log, span).records == tuple(DAYS[1:4])
    assert find_records(log, span, use_index=False).records == tuple(DAYS[1:4])


def test_the_current_record_is_the_last_by_timestamp_machine_and_position(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    by_stamp = a_run(1, last_updated_utc="2026-02-12T00:00Z")
    by_machine = a_run(2, last_updated_utc="2026-02-12T00:00Z", created_utc="2026-02-11T00:00Z", machine_id="C2")
    write_log(
        log,
        [
            by_stamp,
            a_run(1, notes="older"),
            by_machine,
            a_run(2, last_updated_utc="2026-02-12T00:00Z"),
            a_run(3, notes="first"),
            a_run(3, notes="second"),
        ],
    )

    current = find_records(log, Query(order_by="run_id"))
    superseded = find_records(log, Query(view="superseded", order_by="run_id"))

    assert current.records == (by_stamp, by_machine, a_run(3, notes="second"))
    assert [entry.number for entry in superseded.entries] == [2, 4, 5]
    assert find_run(log, str(by_machine["run_id"])).records[-1] == by_machine


def test_records_without_the_field_come_last_in_both_orders(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    write_log(log, [a_run(1), a_run(2, notes="b"), a_run(3, notes="a")])

    up = find_records(log, Query(order_by="notes"))
    down = find_records(log, Query(order_by="-notes", limit=2))

    assert [entry.number for entry in up.entries] == [3, 2, 1]
    assert [entry.number for entry in down.entries] == [2, 3]


def test_the_latest_success_passes_its_rules(tmp_path: Path) -> None:
    repository, log = repository_at(tmp_path), log_at(tmp_path)
    lane = {"artist_id": "ART-a", "genre_id": "GEN-a"}
    oldest, allowed, unlinked = (
        a_success(1, **lane),
        a_success(2, **lane, uniqueness_hook="FAIL"),
        a_success(3, **lane),
    )
    del unlinked["scripture_packet_id"]
    changed = [
        a_success(4, **lane),
        a_success(4, **lane, last_updated_utc="2026-02-12T00:00Z", work_id="WORK-20260210-0931-AAAA"),
    ]
    write_log(log, [oldest, allowed, unlinked, *changed, a_run(5, **lane)])
    override = {
        "record_type": "OVERRIDE", "override_id": "OVR-20260210-0855-AAAA", "created_utc": "2026-02-10T08:55Z",
        "approved_by": "Ines", "override_type": "HOOK_REUSE", **lane, "run_id": allowed["run_id"],
        "policy_failed": "p", "why_allowed": "w", "hook_family_id": "HKF-a",
    }  # fmt: skip
    update = {
        "record_type": "OVERRIDE_UPDATE", "override_id": override["override_id"], "update_utc": "2026-02-13T00:00Z",
        "updated_by": "Tomas", "update_type": "STATUS", "status": "voided",
    }  # fmt: skip

    found = []
    for lines in ([], [override], [override, update]):
        overrides_log(repository).path.write_bytes(b"".join(map(json_line, lines)))
        around, _ = read_rule_context(repository)
        found += [
            find_latest(log, around, artist_id="ART-a", genre_id="GEN-a", use_index=use).records
            for use in (True, False)
        ]
        assert list(query.latest(repository, "ART-a", "GEN-a")["run_id"]) == [found[-1][0]["run_id"]]

    assert found == [(oldest,), (oldest,), (allowed,), (allowed,), (oldest,), (oldest,)]
    assert find_latest(log, RuleContext(), artist_id="ART-b", genre_id=None).records == ()


def test_a_line_that_is_no_record_is_not_in_a_result(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    log.path.write_bytes(json_line(a_run(1)) + b'{"record_type":"RUN"}\nno json\n\n' + json_line(a_run(2))[:-1])

    for use in (True, False):
        answer = find_records(log, Query(), use_index=use)

        assert [entry.number for entry in answer.entries] == [1]
        assert [each.code for each in answer.findings] == ["RI007"]


def test_an_id_that_is_written_with_escapes_is_the_same_id(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    run_id = str(a_run(1)["run_id"])
    escaped = json_line(a_run(1, notes="second")).replace(run_id.encode(), run_id.replace("-", "\\u002d").encode())
    log.path.write_bytes(json_line(a_run(1)) + escaped)

    for use in (True, False):
        assert [each.get("notes") for each in find_run(log, run_id, use_index=use).records] == [None, "second"]


def test_queries_can_return_data_frames(tmp_path: Path) -> None:
    repository, log = repository_at(tmp_path), log_at(tmp_path)
    write_log(
        log, [a_success(1), a_success(1, last_updated_utc="2026-02-12T00:00Z"), a_run(2, uniqueness_scene="FAIL")]
    )

    shown = query.show(repository, str(a_run(1)["run_id"]), history=True)
    listed = query.list_runs(repository, Query(order_by="run_id"))

    assert list(shown.columns) == list(query.COLUMNS)
    assert list(shown["last_updated_utc"]) == [None, "2026-02-12T00:00Z"]
    assert len(query.show(repository, str(a_run(1)["run_id"]))) == 1
    assert query.show(repository, "RUN-20260210-0900-ZZZZ").empty
    assert list(listed["version_ids"]) == [["VER-20260210-0940-AAAA"], None]
    assert list(query.failed_uniqueness(repository)["run_id"]) == [a_run(2)["run_id"]]
    assert query.latest(repository, "ART-none").empty


def test_csv_and_parquet_contain_the_values_of_the_records(tmp_path: Path) -> None:
    records = [a_success(1, notes='a "quoted" line\nand another, ö'), a_run(2, mood={"major": True})]

    rows = list(csv.DictReader(io.StringIO(query.format_csv(records).decode("utf-8"), newline="")))
    place = tmp_path / "runs.parquet"
    place.write_bytes(query.format_parquet(records))
    import duckdb

    relation = duckdb.read_parquet(str(place))
    held = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    for record, row, other in zip(records, rows, held, strict=True):
        for name in query.find_columns(records):
            value = record.get(name)
            text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
            assert row[name] == text
            assert other[name] == (json.dumps(value) if isinstance(value, dict) else value)
    assert relation.columns == [*query.COLUMNS, "mood"]
    assert relation.types[relation.columns.index("version_ids")] == "VARCHAR[]"


def test_csv_runs_no_formula_in_a_spreadsheet_and_raw_keeps_every_text(tmp_path: Path) -> None:
    hostile = {"notes": "=cmd|' /C calc'!A0", "mood": ' "@SUM(1)', "=key": "\t1", "number": -5, "text": "-5"}
    record = a_run(1) | hostile

    safe, raw = (
        next(csv.DictReader(io.StringIO(query.format_csv([record], raw=raw).decode(), newline="")))
        for raw in (False, True)
    )

    assert {name: safe[name] for name in ("notes", "mood", "'=key", "number", "text")} == {
        "notes": "'=cmd|' /C calc'!A0", "mood": "' \"@SUM(1)", "'=key": "'\t1", "number": "-5", "text": "'-5"
    }  # fmt: skip
    assert {name: raw[name] for name in hostile} == hostile | {"number": "-5"}
    assert query.format_csv([a_run(1)]) == query.format_csv([a_run(1)], raw=True)


def test_an_empty_result_has_columns(tmp_path: Path) -> None:
    import duckdb

    place = tmp_path / "none.parquet"
    place.write_bytes(query.format_parquet([]))

    assert duckdb.read_parquet(str(place)).columns == list(query.COLUMNS)
    assert query.format_csv([]).decode().strip() == ",".join(query.COLUMNS)


@pytest.mark.parametrize("module", ["query", "service"])
def test_a_module_imports_neither_pandas_nor_duckdb_nor_yaml(module: str) -> None:
    import_module = f"import sys, registry_pipeline.registries.run_index.{module}"
    program = f"{import_module}; print({{'pandas', 'duckdb', 'ruamel.yaml'}} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"
