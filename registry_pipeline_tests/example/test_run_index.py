"""The example's run index: several thousand records that follow the rules, appended and never edited."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Config, Repository
from registry_pipeline.example.make import describe_example
from registry_pipeline.example.registries import OVERRIDES_PATH, RUN_INDEX_PATH, make_run_index_files
from registry_pipeline.registries.run_index.check import CheckResult
from registry_pipeline.registries.run_index.log_file import Log, overrides_log, run_index_log
from registry_pipeline.registries.run_index.query import Query, find_records
from registry_pipeline.registries.run_index.service import check_log
from registry_pipeline_tests.laws import examples

END = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _written(root: Path, files: dict[str, bytes]) -> Repository:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return Repository(root, Config())


def _check(repository: Repository, log: Log, at: datetime) -> CheckResult:
    return check_log(repository, log, baseline=None, machine_id=None, now=at)


def test_its_records_break_no_rule_and_a_few_are_warned_about(tmp_path: Path) -> None:
    repository = _written(tmp_path, make_run_index_files(END, END))

    index = _check(repository, run_index_log(repository), END)
    overrides = _check(repository, overrides_log(repository), END)

    assert index.records >= 3000
    assert index.records > index.subjects
    assert {each.code for each in index.findings} == {"RI032"}
    assert 0 < len(index.findings) < 10
    assert (overrides.findings, overrides.subjects, overrides.records) == ((), 24, 36)


def test_there_is_something_of_every_kind_to_ask_for(tmp_path: Path) -> None:
    log = run_index_log(_written(tmp_path, make_run_index_files(END, END)))
    current = find_records(log, Query()).records
    failed = find_records(log, Query(failed=True)).records

    assert {each["machine_id"] for each in current} == {"C1", "C2"}
    assert {each["created_by"] for each in current} == {"human", "gpt", "windsurf", "claude"}
    assert Counter(each["qa_gate2"] for each in failed)["PASS"] == 12
    assert len({(each["artist_id"], each["genre_id"]) for each in current}) == 12
    assert len({each["run_id"] for each in current}) == len(current)
    assert len({len(each["created_utc"]) for each in current}) == 2


def test_what_one_commit_states_the_next_one_begins_with() -> None:
    commits = describe_example(1, END).commits
    for path in (RUN_INDEX_PATH, OVERRIDES_PATH):
        states = [commit.files[path] for commit in commits if path in commit.files]

        assert len(states) == 2
        assert all(later.startswith(earlier) and later != earlier for earlier, later in itertools.pairwise(states))


@examples(3)
@given(st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2030, 1, 1)))  # noqa: DTZ001 - made aware below
def test_the_run_index_is_valid_for_any_end_time(end: datetime) -> None:
    import tempfile

    at = end.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        repository = _written(Path(folder), make_run_index_files(at, at))

        assert {each.code for each in _check(repository, run_index_log(repository), at).findings} == {"RI032"}
