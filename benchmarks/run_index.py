"""The queries of the run index, with and without the side index: python benchmarks/run_index.py [N].

A log of N records (default 1,000,000) in a hundred lanes; one run in ten has a second record. Every query is asked

- by a plain scan: `json.loads` of every line, current records by a dictionary, as one would write it in ten minutes;
- of DuckDB, which reads the JSON lines with the columns that it is given;
- of our own scan, which validates every line that may belong to the answer;
- of the side index, which reads and validates what it points at.

The answers are compared by run ids. Each way runs in a process of its own, and its peak of resident memory is printed.
The time is the CPU time of the query, of all threads and without imports. Before that the index is built, and refreshed
behind a thousand new records; after it `run-index check` is compared with a plain scan.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from side_by_side import Cost, Results, Way, child_environment, folders_wanted, measure, measure_in_turns

from registry_pipeline.config import Config, Repository
from registry_pipeline.registries.run_index.gates import RuleContext
from registry_pipeline.registries.run_index.log_file import Log, run_index_log
from registry_pipeline.registries.run_index.query import Query, find_latest, find_records, find_run
from registry_pipeline.registries.run_index.service import append_to_log, check_log
from registry_pipeline.registries.run_index.side_index import index_path

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
BEGUN = datetime(2025, 1, 1, tzinfo=UTC)
LANE = ("ART-a3", "GEN-g7")
SPAN = ("2025-03-01T00:00:00Z", "2025-03-31T23:59:59Z")
QUERIES = ("show one run", "a lane in a month", "failed uniqueness, newest 50", "latest success of a lane")
TYPES = {
    name: "VARCHAR[]" if name == "version_ids" else "VARCHAR"
    for name in (
        *("run_id", "created_utc", "last_updated_utc", "machine_id", "artist_id", "genre_id", "qa_gate2"),
        *("uniqueness_hook", "uniqueness_scene", "uniqueness_scripture", "work_id", "version_ids"),
    )
}


def record(number: int) -> dict[str, Any]:
    """Return the record of a run: half a minute after the one before, of some 600 bytes."""
    at = BEGUN + timedelta(seconds=30 * number)
    rest = "".join(LETTERS[number // 36**place % 36] for place in range(4))
    stamp = f"{at:%Y%m%d-%H%M}-{rest}"
    passed = number % 3 != 0
    made: dict[str, Any] = {
        "record_type": "RUN",
        "run_id": f"RUN-{stamp}",
        "created_utc": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "created_by": "gpt",
        "machine_id": "C1" if number % 2 else "C2",
        "artist_id": f"ART-a{number * 7 % 10}",
        "genre_id": f"GEN-g{number * 13 // 10 % 10}",
        "scripture_packet_id": f"SCR-{stamp}",
        "story_id": f"SF-{stamp}",
        "song_frame_id": f"SFR-{stamp}",
        "qa_gate0": "PASS",
        "qa_gate1": "PASS",
        "qa_gate2": "PASS" if passed else "FAIL",
        "uniqueness_hook": "PASS",
        "uniqueness_scene": "FAIL" if not passed and number % 30 == 0 else "PASS",
        "uniqueness_scripture": "PASS",
        "run_log_filepath_abs": f"/srv/songs/runlogs/{at:%Y/%m}/RUN-{stamp}.md",
    }
    return made | ({"work_id": f"WORK-{stamp}", "version_ids": [f"VER-{stamp}"]} if passed else {})


def write_records(log: Log, first: int, count: int) -> None:
    """Append records as they are, unlocked; of every tenth run the second follows at once."""
    with log.path.open("ab") as file:
        written, number = 0, first
        while written < count:
            made = record(number)
            file.write(json.dumps(made, separators=(",", ":")).encode() + b"\n")
            written += 1
            if number % 10 == 0 and written < count:
                later = made | {"last_updated_utc": made["created_utc"], "notes": "listened to again"}
                file.write(json.dumps(later, separators=(",", ":")).encode() + b"\n")
                written += 1
            number += 1


def wanted_run(count: int) -> str:
    """Return a run in the middle of the log."""
    return str(record(count // 22 * 10)["run_id"])


def plain(log: Log, query: str, count: int) -> list[str]:
    """Answer as a script would that reads the whole log."""
    current: dict[str, tuple[str, str, int]] = {}
    held: list[tuple[int, dict[str, Any]]] = []
    run_id = wanted_run(count)
    with log.path.open("rb") as file:
        for number, line in enumerate(file):
            each = json.loads(line)
            order = (each.get("last_updated_utc", each["created_utc"]), each["machine_id"], number)
            if query != QUERIES[0] and order > current.get(each["run_id"], ("", "", -1)):
                current[each["run_id"]] = order
            if _is_asked(query, each, run_id):
                held.append((number, each))
    if query == QUERIES[0]:
        return [each["run_id"] for _, each in held]
    kept = [
        (current[each["run_id"]], each["run_id"], each) for number, each in held if current[each["run_id"]][2] == number
    ]
    kept.sort(key=lambda found: found[0] if query == QUERIES[3] else (found[2]["created_utc"], found[0]), reverse=True)
    return [found[1] for found in kept[: {QUERIES[2]: 50, QUERIES[3]: 1}.get(query)]]


def _is_asked(query: str, each: dict[str, Any], run_id: str) -> bool:
    if query == QUERIES[0]:
        return bool(each["run_id"] == run_id)
    if query == QUERIES[2]:
        return "FAIL" in (each["uniqueness_hook"], each["uniqueness_scene"], each["uniqueness_scripture"])
    lane = (each["artist_id"], each["genre_id"]) == LANE
    return lane and (each["qa_gate2"] == "PASS" if query == QUERIES[3] else SPAN[0] <= each["created_utc"] <= SPAN[1])


def duckdb_lines(log: Log, query: str, count: int) -> list[str]:
    """Answer by DuckDB on the JSON lines."""
    import duckdb  # noqa: PLC0415 - the other ways are not to pay for its memory

    order = "coalesce(last_updated_utc, created_utc) DESC, machine_id DESC, number DESC"
    lane = f"artist_id = '{LANE[0]}' AND genre_id = '{LANE[1]}'"
    failed = "'FAIL' IN (uniqueness_hook, uniqueness_scene, uniqueness_scripture)"
    where, tail = {
        QUERIES[0]: (f"run_id = '{wanted_run(count)}'", "ORDER BY number"),
        QUERIES[1]: (
            f"{lane} AND created_utc BETWEEN '{SPAN[0]}' AND '{SPAN[1]}'",
            f"ORDER BY created_utc DESC, {order}",
        ),
        QUERIES[2]: (failed, f"ORDER BY created_utc DESC, {order} LIMIT 50"),
        QUERIES[3]: (f"{lane} AND qa_gate2 = 'PASS'", f"ORDER BY {order} LIMIT 1"),
    }[query]
    newest = "" if query == QUERIES[0] else f"QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY {order}) = 1"
    read = (
        "SELECT *, row_number() OVER () AS number FROM read_json($log, format = 'newline_delimited', columns = $types)"
    )
    text = f"SELECT run_id FROM (SELECT * FROM ({read}) {newest}) WHERE {where} {tail}"  # noqa: S608 - our own words
    found = duckdb.connect().execute(text, {"log": str(log.path), "types": TYPES}).fetchall()
    return [row[0] for row in found]


def ours(log: Log, query: str, count: int, *, use_index: bool) -> list[str]:
    """Answer by the package, through the side index or not."""
    if query == QUERIES[0]:
        answer = find_run(log, wanted_run(count), use_index=use_index)
    elif query == QUERIES[3]:
        answer = find_latest(log, RuleContext(), artist_id=LANE[0], genre_id=LANE[1], use_index=use_index)
    elif query == QUERIES[2]:
        answer = find_records(log, Query(failed=True, limit=50), use_index=use_index)
    else:
        query_object = Query(LANE[0], LANE[1], since=SPAN[0], until=SPAN[1])
        answer = find_records(log, query_object, use_index=use_index)
    assert answer.by_index == use_index
    return [str(each["run_id"]) for each in answer.records]


PLAIN = "plain JSON scan"
SCAN = "our scan"
WAYS: dict[str, Callable[[Log, str, int], list[str]]] = {
    PLAIN: plain,
    "DuckDB on JSON lines": duckdb_lines,
    SCAN: lambda log, query, count: ours(log, query, count, use_index=False),
    "our side index": lambda log, query, count: ours(log, query, count, use_index=True),
}
CHECK = "`run-index check`, every line and rule"


def check(log: Log) -> list[str]:
    """Check every rule; there are no findings."""
    repository = Repository(log.path.parents[2], Config())
    result = check_log(repository, log, baseline=None, machine_id=None, now=BEGUN + timedelta(days=5000))
    assert not result.findings
    return []


def measured(root: str, way: str, query: str, count: int) -> None:
    """Ask once, or several times where that is quick; print seconds, peak memory in MB and the answer."""
    log = run_index_log(Repository(Path(root), Config()))
    best, spent, found = float("inf"), 0.0, []
    while spent < 0.2:
        begun = process_time()
        found = check(log) if way == CHECK else WAYS[way](log, query, count)
        best = min(best, process_time() - begun)
        spent += process_time() - begun
    status = Path("/proc/self/status").read_text(encoding="ascii")  # ru_maxrss would count the parent's, too
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    print(json.dumps([best, peak, found]))


def measure_alone(root: Path, way: str, query: str, count: int, answers: dict[str, set[tuple[str, ...]]]) -> Cost:
    """Return what `measured` prints in a process of its own; its answer is added to those to the query."""
    words = [sys.executable, __file__, "--one", str(root), way, query, str(count)]
    done = subprocess.run(words, capture_output=True, check=True, env=child_environment())
    seconds, peak, found = json.loads(done.stdout)
    answers.setdefault(query, set()).add(tuple(found))
    return Cost(seconds, peak_mb=peak)


def add_index_costs(log: Log, count: int, results: Results) -> None:
    """Add what building the index takes, refreshing it, and an append."""
    built = measure(lambda: find_run(log, "RUN-20250101-0000-ZZZZ"))
    print(f"side index: {index_path(log).stat().st_size / log.path.stat().st_size:.2f} of the log's size")
    refreshes = []
    for number in range(5):
        write_records(log, count + 1000 * number, 1000)
        refreshes.append(measure(lambda: find_run(log, "RUN-20250101-0000-ZZZZ")))
    repository, made = Repository(log.path.parents[2], Config()), [record(2 * count + number) for number in range(50)]
    appends = [measure(partial(append_to_log, repository, log, [each], machine_id=None, now=BEGUN)) for each in made]
    costs = {
        "building the side index": [built],
        "refreshing it after 1,000 new records": refreshes,
        "an append, which reads the log": appends,
    }
    results.add("the side index", count, "records", costs, ratio="cost")


def main() -> None:
    """Measure each query, or be one way to answer one."""
    if sys.argv[1:2] == ["--one"]:
        measured(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
        return
    count, results = folders_wanted(__doc__, 1_000_000, "records"), Results(__file__)
    answers: dict[str, set[tuple[str, ...]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-run-index-") as place:
        log = run_index_log(Repository(Path(place), Config()))
        log.path.parent.mkdir(parents=True)
        write_records(log, 0, count)
        add_index_costs(log, count, results)

        def ways(query: str, names: Iterable[str]) -> dict[str, Way]:
            return {way: partial(measure_alone, Path(place), way, query, count, answers) for way in names}

        for query in QUERIES:
            costs = measure_in_turns(ways(query, WAYS), rounds=3)
            assert len(answers[query]) == 1, f"{query}: the ways disagree"
            results.add(query, count, "records", costs, wanted={SCAN: 0.8})
        costs = measure_in_turns(ways(QUERIES[2], (PLAIN, CHECK)), rounds=3)
        results.add(CHECK, count, "records", costs, wanted={CHECK: 0.3})
    results.write()


if __name__ == "__main__":
    main()
