"""`run-index` and `overrides` through the program: formats, exit codes, and what they write."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.run_index.values import a_run, a_success

FIRST, ALLOWED = "RUN-20260105-0900-AAAA", "RUN-20260107-0900-BBBB"
VOIDED = {
    "record_type": "OVERRIDE_UPDATE",
    "override_id": "OVR-20260107-0855-BBBB",
    "update_utc": "2026-01-08T08:00Z",
    "updated_by": "Tomas Weir",
    "update_type": "STATUS",
    "status": "voided",
}


def test_a_run_is_shown_with_what_each_record_changed(known: Repository) -> None:
    document = known("run-index", "show", FIRST, "--history", "--json").document("run-index-show")
    text = known("run-index", "show", FIRST, "--history").out

    assert [each["line"] for each in document["history"]] == [1, 2]
    assert [change["field"] for change in document["history"][1]["changes"]] == ["version_ids", "last_updated_utc"]
    assert "~ version_ids  VER-20260105-0940-AAAA -> VER-20260105-0940-AAAA, VER-20260106-0950-AAAA" in text
    assert known("run-index", "show", FIRST, "--json").document("run-index-show")["count"] == 1
    assert known("run-index", "show", "RUN-20260105-0900-ZZZZ").code == 7


def test_a_query_has_the_same_result_in_every_format(known: Repository, tmp_path: Path) -> None:
    words = ("run-index", "list", "--view", "all", "--order-by", "created_utc")

    document = known(*words, "--format", "json").document("run-index-list")
    table = known(*words, "--format", "table")
    rows = list(csv.DictReader(io.StringIO(known(*words, "--format", "csv").out)))
    assert known(*words, "--format", "parquet", "-o", str(tmp_path / "runs.parquet")).code == 0
    import duckdb

    held = duckdb.read_parquet(str(tmp_path / "runs.parquet")).project("run_id").fetchall()

    assert [each["run_id"] for each in document["records"]] == [FIRST, FIRST, ALLOWED]
    assert [row["run_id"] for row in rows] == [row[0] for row in held] == [FIRST, FIRST, ALLOWED]
    assert table.out == known(*words).out == known(*words, "--format", "text").out
    assert known("--format", "json", *words).out == known(*words, "--json").out
    assert known(*words, "--format", "github").out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--json", "run-index", "list", "--format", "csv"), "contradicts"),
        (("run-index", "list", "--json", "--format", "table"), "contradicts"),
        (("--format", "csv", "run-index", "list"), "csv"),
        (("run-index", "list", "--format", "yaml"), "yaml"),
        (("run-index", "list", "-o", "x"), "-o writes"),
        (("run-index", "list", "--order-by", "mood"), "mood"),
        (("run-index", "list", "--since", "2026-02-02", "--until", "2026-02-01"), "--until is before"),
        (("run-index", "append"), "name a FILE"),
        (("run-index", "append", "-", "--record", "{}"), "name a FILE"),
        (("run-index", "start", "x.md", "--artist", "ART-a", "--genre", "GEN-a"), "--machine"),
        (("run-index", "finish", "x.md", "--corrects", "mood"), "mood"),
        (("run-index", "lst"), "did you mean list"),
    ],
)
def test_an_invalid_query_is_a_usage_error(known: Repository, words: tuple[str, ...], message: str) -> None:
    result = known(*words)

    assert (result.code, message in result.err) == (2, True)
    assert "Traceback" not in result.err
    assert not (known.root / "x").exists()


def test_both_days_are_included_and_lanes_filter(known: Repository) -> None:
    def runs(*words: str) -> list[str]:
        document = known("run-index", "list", *words, "--json").document("run-index-list")
        return [each["run_id"] for each in document["records"]]

    assert runs() == [ALLOWED, FIRST]
    assert runs("--since", "2026-01-05", "--until", "2026-01-05") == [FIRST]
    assert runs("--since", "2026-01-05T09:00:01Z") == [ALLOWED]
    assert runs("--artist", "ART-heron", "--genre", "GEN-ambient", "-n", "1") == [ALLOWED]
    assert runs("--genre", "GEN-hymn") == []
    assert runs("--no-index") == [ALLOWED, FIRST]


def test_a_voided_override_makes_its_run_a_finding_again(known: Repository) -> None:
    assert known("run-index", "check").code == 0
    assert _latest(known) == ALLOWED

    done = known("overrides", "append", "--record", json.dumps(VOIDED), "--json").document("overrides-append")
    result = known("run-index", "check", "--json")

    assert done["changed_files"] == [OVERRIDES]
    assert result.code == 3
    document = result.document("run-index-check")
    assert (document["verdict"], [each["code"] for each in document["findings"]]) == ("fail", ["RI031"])
    assert "OVR-20260107-0855-BBBB is voided since 2026-01-08T08:00Z" in document["findings"][0]["got"]
    assert _latest(known) == FIRST
    failed = known("run-index", "failed-uniqueness", "--json").document("run-index-failed-uniqueness")
    assert [each["run_id"] for each in failed["records"]] == [ALLOWED]
    listed = known("overrides", "list", "--status", "voided", "--json").document("overrides-list")
    assert [(each["run_id"], each["status_by"]) for each in listed["records"]] == [(ALLOWED, "Tomas Weir")]


def _latest(repository: Repository) -> str:
    document = repository("run-index", "latest", "--artist", "ART-heron", "--json").document("run-index-latest")
    return str(document["records"][0]["run_id"])


def test_a_batch_is_appended_completely_or_not_at_all(known: Repository, tmp_path: Path) -> None:
    before = (known.root / RUN_INDEX).read_bytes()
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text(json.dumps(a_success(1)) + "\n" + json.dumps(a_run(2)))
    bad.write_text(json.dumps(a_run(3)) + "\n" + json.dumps(a_run(4, qa_gate2="PASS")) + "\n{\n")

    refused = known("run-index", "append", str(bad), "--json")
    unparsable = refused.document("run-index-append")

    assert (refused.code, unparsable["verdict"], unparsable["changed_files"]) == (5, "fail", [])
    assert (known.root / RUN_INDEX).read_bytes() == before
    done = known("run-index", "append", str(good), "--json").document("run-index-append")
    assert done["counts"]["added"] == 2
    assert (known.root / RUN_INDEX).read_bytes().startswith(before)
    again = known("run-index", "append", str(good))
    assert (again.code, "2 there already" in again.out) == (0, True)


def test_standard_input_is_a_batch_too(known: Repository) -> None:
    import subprocess

    from registry_pipeline_tests.cli.conftest import PROGRAM, environment

    done = subprocess.run(
        [*PROGRAM, "run-index", "append", "-"],
        cwd=known.root,
        env=environment(known.home),
        input=json.dumps(a_run(1)).encode() + b"\r\n",
        capture_output=True,
        check=False,
    )

    assert (done.returncode, b"1 record appended" in done.stdout) == (0, True)


def test_a_run_from_its_start_to_its_finish(known: Repository) -> None:
    words = ("run-index", "start", "runlogs/night.md", "--artist", "ART-heron", "--genre", "GEN-hymn")

    started = known(*words, "--json", REGISTRY_PIPELINE_MACHINE="C2").document("run-index-start")
    place = known.root / "runlogs/night.md"
    assert known("run-index", "finish", "runlogs/night.md").code == 5
    place.write_text(place.read_text().replace("qa_gate2:", "qa_gate2: FAIL", 1))
    done = known("run-index", "finish", "runlogs/night.md", "--json").document("run-index-finish")

    assert done["records"][0]["run_id"] == started["run_id"]
    assert done["records"][0]["machine_id"] == "C2"
    assert done["records"][0]["created_utc"] == "2026-03-01T12:00:00Z"
    assert known(*words, "--machine", "C1").code == 5
    assert known("run-index", "show", started["run_id"]).code == 0


def test_two_machines_logs_are_merged_into_one(known: Repository, tmp_path: Path) -> None:
    other = tmp_path / "c2.jsonl"
    other.write_text(json.dumps(a_run(1, machine_id="C2")) + "\n")
    mine, target = str(known.root / RUN_INDEX), str(tmp_path / "both.jsonl")

    document = known("run-index", "merge", mine, str(other), "-o", target, "--json").document("run-index-merge")
    assert (document["counts"]["only_in_a"], document["counts"]["only_in_b"], document["changed_files"]) == (
        3,
        1,
        [target],
    )
    assert (
        known("run-index", "merge", str(other), mine, "-o", target, "--json").document("run-index-merge")[
            "changed_files"
        ]
        == []
    )
    assert known("run-index", "merge", mine, str(other), "-o", mine).code == 0
    assert Path(mine).read_bytes() == Path(target).read_bytes()
    assert known("run-index", "check").code == 0


def test_a_merge_that_collides_or_would_lose_lines_writes_nothing(known: Repository, tmp_path: Path) -> None:
    mine, other, target = known.root / RUN_INDEX, tmp_path / "c2.jsonl", tmp_path / "both.jsonl"
    other.write_text(mine.read_text().replace('"C1"', '"C2"'))
    result = known("run-index", "merge", str(mine), str(other), "-o", str(target), "--json")
    assert (result.code, target.exists()) == (3, False)
    assert {each["code"] for each in result.document("run-index-merge")["findings"]} == {"RI024"}
    target.write_text(json.dumps(a_run(9)) + "\n")

    result = known("run-index", "merge", str(mine), str(mine), "-o", str(target), "--json")

    assert (result.code, target.read_text()) == (5, json.dumps(a_run(9)) + "\n")
    assert [each["code"] for each in result.document("run-index-merge")["findings"]] == ["RI050"]


def test_the_overrides_are_merged_by_the_same_rule(known: Repository, tmp_path: Path) -> None:
    mine, other = known.root / OVERRIDES, tmp_path / "c2.jsonl"
    other.write_text(json.dumps(VOIDED) + "\n")

    document = known("overrides", "merge", str(mine), str(other), "-o", str(mine), "--json").document("overrides-merge")

    assert document["counts"]["only_in_b"] == 1
    assert known("overrides", "check", "--json").document("overrides-check")["counts"]["records"] == 2


def test_violations_are_reported_by_code(known: Repository) -> None:
    log = known.root / RUN_INDEX
    log.write_bytes(log.read_bytes() + b"\n" + b"no json\n" + b'{"torn')

    result = known("run-index", "check", "--format", "github")
    document = known("run-index", "check", "--json").document("run-index-check")

    assert result.code == 3
    assert [line.split(" ")[0] for line in result.out.splitlines()] == ["::error", "::warning", "::warning"]
    assert document["counts"] == {
        "lines": 5, "records": 3, "runs": 2, "errors": 1, "warnings": 2, "infos": 0,
    }  # fmt: skip
    log.write_bytes(log.read_bytes().replace(b"no json\n", b"").replace(b'{"torn', b""))
    assert known("run-index", "check").code == 0
    assert known("run-index", "check", "--fail-on", "warning").code == 4


def test_the_active_snapshot_is_a_baseline_too(built: Repository) -> None:
    log = built.root / RUN_INDEX
    assert built("run-index", "check", "--baseline", "active").code == 0
    assert built("overrides", "check", "--baseline", "active").code == 0
    log.write_bytes(log.read_bytes().replace(b'"PASS"', b'"FAIL"', 1))

    document = built("run-index", "check", "--baseline", "active", "--json").document("run-index-check")

    lost = next(each for each in document["findings"] if each["code"] == "RI050")
    assert lost["location"] == f"line 1 of {built.active('run_index')}"


def test_a_long_batch_is_summarised(known: Repository, tmp_path: Path) -> None:
    batch = tmp_path / "batch.jsonl"
    batch.write_text("".join(json.dumps(a_run(number)) + "\n" for number in range(60)))

    lines = known("run-index", "append", str(batch)).out.splitlines()

    assert len(lines) == 22
    assert lines[-2:] == ["and 40 more", f"60 records appended to {RUN_INDEX}"]


def test_without_a_log_there_is_nothing_to_query(known: Repository) -> None:
    (known.root / RUN_INDEX).unlink()
    (known.root / OVERRIDES).unlink()

    for words in (("run-index", "list"), ("run-index", "check"), ("run-index", "latest"), ("overrides", "list")):
        result = known(*words, "--json")

        assert result.code == 7
        assert "there is no 60-REGISTRY" in result.document("error")["error"]["message"]


def test_a_query_writes_only_the_side_index(known: Repository) -> None:
    before = known.files()

    known("run-index", "list")
    known("run-index", "check")
    known("run-index", "latest")

    after = known.files()
    index = f"{RUN_INDEX}.index.sqlite3"
    assert sorted(set(after) - set(before)) == [index, f"{index}.state"]
    assert {path: after[path] for path in before} == before
    with sqlite3.connect(known.root / f"{RUN_INDEX}.index.sqlite3") as connection:
        assert connection.execute("SELECT count(*) FROM places").fetchone() == (3,)


def test_a_row_removed_from_the_side_index_hides_no_record_and_admits_no_duplicate(known: Repository) -> None:
    log = known.root / RUN_INDEX
    shown, before = known("run-index", "show", FIRST, "--history").out, log.read_bytes()
    (known.root / "again.jsonl").write_bytes(before.splitlines(keepends=True)[0])
    for words in (("show", FIRST, "--history"), ("append", "again.jsonl")):
        known("run-index", "list")
        with closing(sqlite3.connect(f"{log}.index.sqlite3")) as connection, connection:
            connection.execute("DELETE FROM places WHERE run_id = ?", (FIRST,))

        result = known("run-index", *words)

        assert result.code == 0
        assert words[0] != "show" or result.out == shown
        assert log.read_bytes() == before


def test_csv_is_safe_to_open_in_a_spreadsheet_unless_raw(known: Repository) -> None:
    with (known.root / RUN_INDEX).open("ab") as file:
        file.write(json_line(a_run(1, notes="=HYPERLINK(1)", created_utc="2027-01-01T00:00Z")))
    words = ("run-index", "list", "-n", "1", "--format")

    safe, raw = (
        next(csv.DictReader(io.StringIO(known(*words, "csv", *more).out)))["notes"] for more in ((), ("--raw",))
    )

    assert (safe, raw) == ("'=HYPERLINK(1)", "=HYPERLINK(1)")
    assert known(*words, "json").document("run-index-list")["records"][0]["notes"] == "=HYPERLINK(1)"
    assert (known("run-index", "list", "--raw").code, known(*words, "json", "--raw").code) == (2, 2)
    assert "--raw belongs to --format csv" in known("overrides", "list", "--raw").err
    for verb in (("run-index", "list"), ("run-index", "show"), ("run-index", "latest"), ("overrides", "list")):
        help_text = " ".join(known(*verb, "--help").out.split())
        assert "gets an apostrophe before it" in help_text
        assert "--raw" in help_text


def test_csv_on_a_terminal_shows_hidden_characters_as_escapes(known: Repository) -> None:
    with (known.root / RUN_INDEX).open("ab") as file:
        file.write(json_line(a_run(1, notes="a\x1b[2J\u202eb", created_utc="2027-01-01T00:00Z")))
    words = ("run-index", "list", "-n", "1", "--format", "csv", "--raw")

    piped = known(*words).out
    shown = known(*words, prefix=(sys.executable, "-c", _IN_A_TERMINAL)).out

    assert "a\x1b[2J\u202eb" in piped
    assert "a\\x1b[2J\\u202eb" in shown
    assert "\x1b" not in shown


_IN_A_TERMINAL = """
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
data = b""
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    data += part
os.waitpid(pid, 0)
sys.stdout.buffer.write(data)
"""


@pytest.mark.parametrize("there", [True, False], ids=["there", "yet to come"])
def test_init_keeps_the_line_ends_of_a_log_and_ignores_its_index(known: Repository, there: bool) -> None:
    if not there:
        (known.root / RUN_INDEX).unlink()
        (known.root / OVERRIDES).unlink()
    assert known("init").code == 0

    assert f"{RUN_INDEX} -text" in (known.root / ".gitattributes").read_text().splitlines()
    assert f"/{RUN_INDEX}.index.sqlite3*" in (known.root / ".gitignore").read_text().splitlines()
    assert f"{OVERRIDES} -text" in (known.root / ".gitattributes").read_text().splitlines()


def test_the_rules_are_listed_with_codes_and_fields(known: Repository) -> None:
    document = known("run-index", "rules", "--json").document("run-index-rules")

    assert {each["code"] for each in document["rules"]} >= {"RI001", "RI030", "RI031", "RI050"}
    run = next(each for each in document["record_types"] if each["record_type"] == "RUN")
    assert [each["field"] for each in run["fields"] if each["required"]] == [
        *("record_type", "run_id", "created_utc", "created_by", "machine_id", "artist_id", "genre_id", "qa_gate2")
    ]
    assert known("explain", "RI031").code == 0
