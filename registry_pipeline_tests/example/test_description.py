import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import parse_utc
from registry_pipeline.example.adapter_runs import RIG_OPERATIONS, RIG_ROOT
from registry_pipeline.example.make import EXAMPLE_NOW, ExampleRepository, describe_example, describe_runs
from registry_pipeline.example.schedule import SEALED_DEFECTS, UNSEALED_DEFECTS
from registry_pipeline.example.sources import CODEX, OPERATIONS, REPORTS
from registry_pipeline.runs.reference import RunId
from registry_pipeline_tests.laws import examples

SEEDS = st.integers(min_value=0, max_value=10_000)
INSTANTS = st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone
COMMITS = [f"{number:040x}" for number in range(30)]


def test_the_same_seed_and_hour_give_the_same_example() -> None:
    first = describe_example(5, datetime(2026, 7, 1, 9, 0, tzinfo=UTC))
    later_that_hour = datetime(2026, 7, 1, 11, 59, 59, tzinfo=timezone(timedelta(hours=2)))

    second = describe_example(5, later_that_hour)

    assert first == second
    assert list(describe_runs(first, COMMITS)) == list(describe_runs(second, COMMITS))


def test_another_seed_gives_other_runs() -> None:
    assert describe_example(1).planned != describe_example(2).planned
    assert describe_example(1).planted != describe_example(2).planted


def test_an_end_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        describe_example(1, datetime(2026, 3, 1))  # noqa: DTZ001 -- the point of the test


@examples(8)
@given(SEEDS, INSTANTS)
def test_every_seed_gives_every_kind_of_run(seed: int, now: datetime) -> None:
    """Law: at least 300 folders in two roots, each kind of damage in its number, names that do not collide."""
    example = describe_example(seed, now)
    runs = example.planned
    defects = Counter(run.defect.name if run.defect else None for run in runs)
    seals = Counter(run.seal for run in runs)

    assert len(runs) >= 300
    assert len({run.path for run in runs}) == len(runs)
    assert {run.run_root for run in runs} == {CODEX, REPORTS}
    assert min(seals[order] for order in ("ours", "relpath", "manifest_last", "whole_line", "none")) >= 15
    assert all(run.run_root == CODEX and run.defect is None for run in runs if run.seal == "ours")
    assert {defect.name for defect in (*SEALED_DEFECTS, *UNSEALED_DEFECTS)} < set(defects)
    assert all(defects[defect.name] == 1 for defect in SEALED_DEFECTS)
    assert defects["legacy"] == 6
    assert defects["before_seals"] >= 3
    ours = [folder for folder in example.planted if not folder.path.startswith(RIG_ROOT)]
    assert sum(folder.verdict != "unsealed" for folder in ours) == len(SEALED_DEFECTS) == 10
    assert len(ours) == len(runs) - defects[None]


@examples(8)
@given(SEEDS, INSTANTS)
def test_every_seed_gives_valid_invalid_and_missing_hash_lists(seed: int, now: datetime) -> None:
    example = describe_example(seed, now)
    states = Counter(run.state for run in example.rig)
    verdicts = Counter(folder.verdict for folder in example.planted if folder.path.startswith(RIG_ROOT))

    assert example.paths == tuple(sorted(set(example.paths)))
    assert (states["rig_damaged"], verdicts["fail"]) == (1, 1)
    assert states["rig_hashes"] == verdicts["partial"] >= 5
    assert states["rig_without_hashes"] == verdicts["unsealed"] >= 3
    assert {run.operation.operation_id for run in example.rig} == {each.operation_id for each in RIG_OPERATIONS}


def test_the_rigs_envelope_names_the_commit_that_stood_at_head_and_its_list_what_it_left(
    example: ExampleRepository,
) -> None:
    dates = dict(zip(COMMITS, (commit.at for commit in example.commits), strict=True))
    scripts = {path: commit.at for commit in example.commits for path in commit.files if path.startswith("rig/")}

    for run in describe_runs(example, COMMITS):
        if run.run_root != RIG_ROOT:
            continue
        document = json.loads(run.files["meta.json"])
        started = parse_utc(document["times"]["started"])
        assert started is not None
        assert min(scripts.values()) <= started < example.end
        assert dates[document["source"]["commit"]] == max(at for at in dates.values() if at <= started)
        assert document["id"] == run.run_id
        listed = {line[66:].removeprefix("./") for line in run.files.get("MANIFEST.sha256", b"").decode().splitlines()}
        assert listed == (set() if run.defect == "rig_without_hashes" else set(run.files) - {"MANIFEST.sha256"})


@examples(4)
@given(SEEDS, INSTANTS)
def test_nothing_of_the_example_lies_after_its_end(seed: int, now: datetime) -> None:
    example = describe_example(seed, now)
    span = timedelta(days=120)

    assert all(example.end - span <= commit.at <= example.end <= now for commit in example.commits)
    assert all(example.end - span <= run.at < example.end for run in example.planned)
    assert [commit.at for commit in example.commits] == sorted(commit.at for commit in example.commits)


def test_run_ids_are_in_our_form_but_for_the_oldest(example: ExampleRepository) -> None:
    odd = {run.run_id for run in example.planned if RunId.parse(run.run_id) is None}

    assert odd == {f"nightly-old-{n}" for n in (15, 16, 17, 18)} | {"restore drill 1", "restore.2"}
    assert sum(run.run_id.endswith("__02") for run in example.planned) == 1


def test_run_json_names_the_commit_that_stood_at_head(example: ExampleRepository) -> None:
    dates = dict(zip(COMMITS, (commit.at for commit in example.commits), strict=True))

    for run in describe_runs(example, COMMITS):
        if run.defect not in (None, "before_seals") or RunId.parse(run.run_id) is None:
            continue
        document = json.loads(run.files["run.json"])
        created = parse_utc(document["created_utc"])
        assert created is not None
        assert dates[document["git_commit"]] == max(at for at in dates.values() if at <= created)
        assert document["run_id"] == run.run_id
        assert set(run.files) | {"manifest.json", "MANIFEST.sha256"} >= set(document["outputs"]) >= set(run.files)


def test_a_job_never_ran_before_the_commit_that_added_it(example: ExampleRepository) -> None:
    added = {path: commit.at for commit in reversed(example.commits) for path in commit.files}

    for run in example.planned:
        assert run.operation is None or added[run.operation.executable] <= run.at


def test_operations_are_fresh_stale_dirty_behind_and_never_observed(example: ExampleRepository) -> None:
    head = example.commits[-1].at
    latest = {run.operation.operation_id: run for run in example.planned if run.operation and run.latest}
    fresh = {name for name, run in latest.items() if run.at > head and not run.dirty}
    dirty = {name for name, run in latest.items() if run.at > head and run.dirty}
    stale = {name for name, run in latest.items() if example.end - run.at >= timedelta(days=2)}
    behind = set(latest) - fresh - dirty - stale

    assert (len(fresh), len(dirty), len(stale), len(behind)) == (13, 2, 8, 5)
    assert {o.operation_id for o in OPERATIONS} - set(latest) == {"OP-C05", "OP-QA06"}
    assert all(run.seal != "none" and run.defect is None for run in latest.values())


def test_coverage_levels_are_mixed() -> None:
    assert len(OPERATIONS) == 30
    assert {o.level for o in OPERATIONS} == {None, "C0", "C1", "C2", "C3", "C4", "C5"}


def test_addresses_belong_to_nobody(example: ExampleRepository) -> None:
    assert {commit.email.rpartition("@")[2] for commit in example.commits} == {"example.invalid"}
    assert example.end == EXAMPLE_NOW
