"""A build with sealed shards of any age gives the bytes and the findings of one that reads every folder."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_pipeline.config import Adapter, Config, DagsterTable, Repository
from registry_pipeline.errors import ConfigError, NotFoundError, RefusedError
from registry_pipeline.findings.finding import Finding
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.index_shards import BuiltIndexShard, build_index_shard
from registry_pipeline.pipeline.needed_runs import NeededRuns
from registry_pipeline.pipeline.recorded_run import make_run_id
from registry_pipeline.pipeline.run_verification import ARCHIVES, verify_shard
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.base.shard_names import Shard, find_month, is_shard_run
from registry_pipeline.registries.base.shard_runs import seal_shard_run
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.run_registry.build import ARTIFACT, build_run_registry
from registry_pipeline.registries.run_registry.index_shards import IndexShard, list_index_shards
from registry_pipeline.registries.run_registry.line_cache import IDENTITIES, LINES
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import replace
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.registries.builder_values import CONTEXT
from registry_pipeline_tests.registries.test_line_cache import (
    CHANGES,
    DATA,
    _find_newest_change,
    cache_file,
    folders_read,
    put,
    wait_for_the_next_tick,
)
from registry_pipeline_tests.sealed_folders import seal_plainly

__all__ = ["folders_read"]
ROOT: Final = ".codex/RUNS"
OTHER: Final = "reports/runs"
JANUARY, FEBRUARY, UNDATED = Shard(ROOT, "2026-01"), Shard(ROOT, "2026-02"), Shard(ROOT, "undated")
SHARDS: Final = (JANUARY, FEBRUARY, UNDATED, Shard(OTHER, "2026-01"))
NAMES: Final = ("2026-01-01__000000__op", "2026-01-31__000000__op", "2026-02-01__000000__op", "bare", "empty")
_SECONDS = count(60)


def make_repository(root: Path) -> Repository:
    for run_root in (ROOT, OTHER):
        for name in NAMES[:3]:
            stated = f'{{"operation_id": "OP-A01", "created_utc": "{name[:10]}T00:00:00Z"}}'
            put(root / run_root / name, "run.json", stated.encode())
            put(root / run_root / name, "data.csv", b"a,b\n")
    put(root / ROOT / "bare", "notes.txt", b"no run.json\n")
    (root / ROOT / "empty").mkdir()
    return Repository(root, Config(run_roots=(OTHER, ROOT), dagster=DagsterTable(shards=True)))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path)


def moment(repository: Repository) -> datetime:
    """Return a time at which every folder is old enough to be kept; each call returns a later one."""
    return datetime.fromtimestamp(_find_newest_change(repository.root), UTC) + timedelta(seconds=next(_SECONDS))


def seal(repository: Repository, shard: Shard, *, force: bool = False) -> BuiltIndexShard:
    run = BuildRun(moment(repository), GitState(None, None))
    return build_index_shard(repository, run, shard, force=force)


def build(repository: Repository, *, cache: bool = False) -> tuple[bytes, tuple[Finding, ...]]:
    """Return the run registry and its findings; without the cache file of builds before it."""
    if not cache:
        cache_file(repository).unlink(missing_ok=True)
    context = SourceContext(started=moment(repository), specs=SHIPPED.registries, write_caches=cache)
    gathered = read_run_registry_inputs(repository, context)
    return build_run_registry(gathered.inputs, CONTEXT).files[ARTIFACT], gathered.findings


def build_on_one_machine(repository: Repository) -> tuple[bytes, tuple[Finding, ...]]:
    return build(replace(repository, config=replace(repository.config, dagster=DagsterTable())))


def states(repository: Repository) -> dict[str, str]:
    return {
        str(state.shard): state.reason
        for state in list_index_shards(repository, SHIPPED.registries, moment(repository))
    }


def folder_of(repository: Repository, built: BuiltIndexShard) -> Path:
    folder = repository.path(built.ref.path)
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("name", "month"),
    [
        ("2026-01-31__000000__op", "2026-01"),
        ("2026-12-01", "2026-12"),
        ("2026-13-01__000000__op", "undated"),
        ("2026-02-30__000000__op", "undated"),
        ("2026-W01-1__op", "undated"),
        ("20260131T000000", "undated"),
        ("2026-01", "undated"),
        ("٢٠٢٦-01-01", "undated"),
        ("2026-01-01\udcff", "2026-01"),
        ("", "undated"),
    ],
)
def test_the_month_is_that_of_a_date_at_the_start_of_the_name(name: str, month: str) -> None:
    assert find_month(name) == month


def test_every_folder_is_in_the_shard_of_its_root_and_month(repository: Repository) -> None:
    listed = {
        str(state.shard): list(state.folders)
        for state in list_index_shards(repository, SHIPPED.registries, moment(repository))
    }

    assert listed == {
        ".codex/RUNS/2026-01": [NAMES[0], NAMES[1]],
        ".codex/RUNS/2026-02": [NAMES[2]],
        ".codex/RUNS/undated": ["bare", "empty"],
        "reports/runs/2026-01": [NAMES[0], NAMES[1]],
        "reports/runs/2026-02": [NAMES[2]],
    }


def test_a_build_reads_no_folder_that_is_in_a_shard(repository: Repository, folders_read: list[str]) -> None:
    expected = build_on_one_machine(repository)
    sealed = {seal(repository, shard).ref.run_id for shard in (JANUARY, UNDATED)}
    folders_read.clear()

    data, findings = build(repository)

    assert sorted(folders_read) == sorted([NAMES[2], NAMES[2], NAMES[0], NAMES[1], *sealed]), "those without a shard"
    lines = [line for line in data.splitlines() if not is_shard_run(json.loads(line)["run_id"])]
    assert lines == expected[0].splitlines()
    assert findings == expected[1]


def test_a_shard_has_the_lines_of_the_registry_in_its_order_and_is_a_sealed_run(repository: Repository) -> None:
    data, _ = build_on_one_machine(repository)
    folder = folder_of(repository, seal(repository, UNDATED))

    assert verify_folder(folder).verdict == "pass"
    in_shard = [line for line in data.splitlines(keepends=True) if json.loads(line)["run_id"] in ("bare", "empty")]
    assert (folder / LINES).read_bytes().splitlines(keepends=True) == [
        line for line in in_shard if json.loads(line)["run_root"] == ROOT
    ]
    run_json = json.loads((folder / "run.json").read_bytes())
    assert (run_json["partition"], "registry_id" in run_json) == (".codex/RUNS/undated", False)


def test_the_run_of_a_shard_is_no_legacy_run_of_operations_that_were_not_observed(repository: Repository) -> None:
    built = seal(repository, JANUARY)
    line = next(line for line in build(repository)[0].splitlines() if built.ref.run_id.encode() in line)

    assert json.loads(line)["operation_id"] == "OP-QA18"


def test_a_shard_whose_folders_did_not_change_keeps_its_run_and_reads_nothing(
    repository: Repository, folders_read: list[str]
) -> None:
    first = seal(repository, JANUARY)
    folders_read.clear()

    again = seal(repository, JANUARY)

    assert (first.kept, again.kept, again.ref, folders_read) == (False, True, first.ref, [])
    assert seal(repository, JANUARY, force=True).ref != first.ref
    assert sorted(folders_read) == [NAMES[0], NAMES[1]]


def test_only_the_shard_of_a_changed_month_is_built_again_and_reads_only_what_changed(
    repository: Repository, folders_read: list[str]
) -> None:
    for shard in SHARDS:
        seal(repository, shard)
    wait_for_the_next_tick(repository.root)
    put(repository.root / ROOT / NAMES[1], "late.csv", b"x")
    folders_read.clear()

    assert {key: reason for key, reason in states(repository).items() if reason} == {
        ".codex/RUNS/2026-01": "1 folder changed since it was built",
        "reports/runs/2026-02": "it was never built",
    }
    assert not seal(repository, JANUARY).kept
    assert folders_read == [NAMES[1]]
    assert states(repository)[str(JANUARY)] == ""


def test_the_run_of_a_shard_makes_no_shard_change(repository: Repository) -> None:
    month = moment(repository).strftime("%Y-%m")
    put(repository.root / ROOT / f"{month}-01__000000__op", "a.txt", b"")
    seal(repository, Shard(ROOT, month))

    assert states(repository)[f"{ROOT}/{month}"] == ""
    assert build(repository)[0] == build_on_one_machine(repository)[0]


def test_the_run_of_a_shard_is_an_own_run_and_nobody_else_can_record_one(repository: Repository) -> None:
    built = seal(repository, JANUARY)

    assert SHIPPED.is_own_run(ROOT, ROOT, built.ref.run_id)
    with pytest.raises(ConfigError, match="starts with the tag of a registry"):
        make_run_id(SHIPPED, datetime(2026, 1, 1, tzinfo=UTC), "run_registry_shard.2026-01.e5f10916", None)


def test_a_shard_is_not_sealed_if_that_is_refused_at_the_last_moment(repository: Repository) -> None:
    def refuse() -> None:
        raise RefusedError("the run is over", "")

    run = BuildRun(moment(repository), GitState(None, None))
    with pytest.raises(RefusedError, match="is over"):
        build_index_shard(repository, run, JANUARY, before_sealing=refuse)
    assert not any(is_shard_run(path.name) for path in repository.publish_root.iterdir())


def test_the_newest_run_of_a_shard_stays_a_folder(repository: Repository) -> None:
    first = seal(repository, JANUARY).ref
    second = seal(repository, JANUARY, force=True).ref
    without = replace(repository, config=replace(repository.config, dagster=DagsterTable()))

    def explain(of: Repository) -> list[str | None]:
        needed = NeededRuns(of)
        return [needed.explain(ref.run_root, ref.run_id, {}) for ref in (first, second)]

    assert explain(repository) == [None, "it is the newest run of its shard"]
    assert explain(without) == [None, None]


def test_a_shard_without_folders_is_refused(repository: Repository) -> None:
    with pytest.raises(RefusedError, match=r"reports/runs/undated has no run folder"):
        seal(repository, Shard(OTHER, "undated"))


def test_a_root_with_an_adapter_has_no_shards(repository: Repository) -> None:
    adapted = replace(repository, config=replace(repository.config, adapters=(Adapter(OTHER, "meta.json"),)))

    assert {state.shard.run_root for state in list_index_shards(adapted, SHIPPED.registries, moment(adapted))} == {ROOT}


def test_excluded_folders_are_in_no_shard(repository: Repository) -> None:
    excluding = replace(repository, config=replace(repository.config, exclude=("bare",)))

    assert seal(excluding, UNDATED).lines == 1
    assert build(excluding) == build_on_one_machine(excluding)


def test_a_line_of_the_cache_that_is_newer_than_the_shard_is_used(
    repository: Repository, folders_read: list[str]
) -> None:
    seal(repository, JANUARY)
    wait_for_the_next_tick(repository.root)
    put(repository.root / ROOT / NAMES[1], "late.csv", b"x")
    build(repository, cache=True)
    put(repository.root / ROOT / "2026-01-31__000001__new", "run.json", b"{}")
    folders_read.clear()

    assert build(repository, cache=True)[0] == build_on_one_machine(repository)[0]
    assert NAMES[1] not in folders_read[: folders_read.index("2026-01-31__000001__new")]


def test_lines_of_the_cache_and_of_a_shard_of_another_root_are_used_together(
    repository: Repository, folders_read: list[str]
) -> None:
    build(repository, cache=True)
    seal(repository, JANUARY)
    put(repository.root / ROOT / "2026-01-15__000000__new", "run.json", b"{}")
    seal(repository, JANUARY)
    folders_read.clear()

    data, _ = build(repository, cache=True)

    assert all(map(is_shard_run, folders_read))
    assert data == build_on_one_machine(repository)[0]


def test_a_shard_that_names_another_one_is_not_used(repository: Repository) -> None:
    built = seal(repository, JANUARY)
    files = {name: (repository.path(built.ref.path) / name).read_bytes() for name in (LINES, IDENTITIES)}
    run_id = f"2026-03-01__000000__{FEBRUARY.make_tag('run_registry_shard')}"
    seal_plainly(repository.root, run_id, files, {"run_type": "run_registry_shard", "partition": str(JANUARY)})

    assert [f.message for f in build(repository)[1]] == [
        "the newest run of the shard .codex/RUNS/2026-02 is not used: its run.json does not name .codex/RUNS/2026-02"
    ]


def _change_a_line(folder: Path) -> None:
    path = folder / LINES
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"OP-A01", b"OP-A02"))


def _remove_the_identities(folder: Path) -> None:
    (folder / IDENTITIES).unlink()


@pytest.mark.parametrize("damage", [_change_a_line, _remove_the_identities])
def test_an_altered_shard_is_not_used_and_reported(repository: Repository, damage: Callable[[Path], None]) -> None:
    seal(repository, FEBRUARY)
    built = seal(repository, JANUARY)
    damage(folder_of(repository, built))
    expected, findings = build_on_one_machine(repository)

    data, found = build(repository)

    assert data == expected
    new = [f for f in found if f not in findings]
    assert [(f.code, f.severity.value, f.path) for f in new] == [("SHARD_INVALID", "warning", built.ref.path)]
    assert states(repository)[str(JANUARY)].startswith("its newest run is invalid: ")
    assert not seal(repository, JANUARY).kept
    assert build(repository)[1] == findings


def test_a_shard_of_another_repository_or_under_another_name_is_not_used(repository: Repository) -> None:
    named = replace(repository, config=replace(repository.config, repository_id="one-repository"))
    built = seal(named, JANUARY)
    other = replace(repository, config=replace(repository.config, repository_id="another-one"))

    assert [f.message for f in build(other)[1]] == [
        "the newest run of the shard .codex/RUNS/2026-01 is not used: it belongs to another repository"
    ]
    source = repository.path(built.ref.path)
    renamed = built.ref.run_id.replace(JANUARY.make_tag("run_registry_shard"), FEBRUARY.make_tag("run_registry_shard"))
    source.rename(source.with_name(renamed))
    assert [f.code for f in build(named)[1]] == ["SHARD_INVALID"]
    assert build(named)[0] == build_on_one_machine(named)[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"made_by": "another"},
        {"ids": []},
        {"numbers": [1]},
        {"sizes": [1, 1]},
        {"root_of": [7, 7]},
        {"facts": ["x"]},
        {"facts": [-1, -1]},
        {"name_sets": None},
        {"times": [1, "2026"]},
        {"ids": [1, 2]},
    ],
)
def test_a_sealed_shard_of_another_program_is_ignored(repository: Repository, changed: dict[str, object]) -> None:
    built = seal(repository, JANUARY)
    files = {name: (repository.path(built.ref.path) / name).read_bytes() for name in (LINES, IDENTITIES)}
    document = json.loads(files[IDENTITIES]) | changed
    run = BuildRun(moment(repository), GitState(None, None))
    artifacts = files | {IDENTITIES: json.dumps(document).encode()}
    seal_shard_run(repository, run, "run_registry_shard", JANUARY, artifacts)

    assert build(repository) == build_on_one_machine(repository)
    assert states(repository)[str(JANUARY)] == "this program and user can use none of its lines"


@settings(examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.sampled_from(CHANGES), st.sampled_from((ROOT, OTHER)), st.integers(0, 4), st.sampled_from(DATA)
            ),
            st.sampled_from(SHARDS),
            st.booleans(),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_whatever_changes_between_shards_and_builds_the_bytes_are_those_of_one_machine(
    tmp_path_factory: pytest.TempPathFactory, actions: list[object]
) -> None:
    root = tmp_path_factory.mktemp("law")
    repository = make_repository(root)
    for shard in SHARDS:
        seal(repository, shard)
    for action in actions:
        if isinstance(action, Shard):
            try:
                seal(repository, action)
            except RefusedError:
                assert not any(find_month(path.name) == action.month for path in (root / action.run_root).iterdir())
        elif isinstance(action, tuple):
            wait_for_the_next_tick(root)
            change, run_root, number, data = action
            change(root / run_root / NAMES[number], data)
        else:
            # A build in between, with the cache file or without; the next one starts with what it leaves.
            build(repository, cache=bool(action))
    with_cache = build(repository, cache=True)
    with_shards = build(repository)
    one_machine = build_on_one_machine(repository)
    make_removable(root)

    assert with_cache == one_machine
    assert with_shards == one_machine


def test_a_run_that_a_wrong_clock_named_is_ignored(repository: Repository) -> None:
    later = moment(repository) + timedelta(days=400)
    early = build_index_shard(repository, BuildRun(later, GitState(None, None)), JANUARY)
    put(repository.root / ROOT / "2026-01-31__000002__new", "run.json", b"{}")

    built = seal(repository, JANUARY)

    assert built.ref.run_id < early.ref.run_id
    assert states(repository)[str(JANUARY)] == "", "the run of today is the newest"


def test_a_folder_that_has_just_changed_is_no_reason_until_it_is_older(repository: Repository) -> None:
    seal(repository, JANUARY)
    put(repository.root / ROOT / "2026-01-31__000002__new", "run.json", b"{}")
    young = datetime.fromtimestamp(_find_newest_change(repository.root), UTC) - timedelta(seconds=5)

    def state(now: datetime) -> IndexShard:
        return next(s for s in list_index_shards(repository, SHIPPED.registries, now) if s.shard == JANUARY)

    assert state(young).reason == ""
    assert state(moment(repository)).reason == "1 folder changed since it was built"


def test_the_state_of_a_shard_changes_with_the_content_of_a_folder_that_has_no_line(repository: Repository) -> None:
    def state() -> str:
        listed = list_index_shards(repository, SHIPPED.registries, moment(repository))
        return next(s.state for s in listed if s.shard == JANUARY)

    seal(repository, JANUARY)
    put(repository.root / ROOT / "2026-01-31__000002__new", "run.json", b"{}")
    before, again = state(), state()
    wait_for_the_next_tick(repository.root)
    (repository.root / ROOT / "2026-01-31__000002__new" / "run.json").write_bytes(b"{ }")

    assert before == again
    assert state() != before


def test_a_run_root_that_cannot_be_listed_is_an_error(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith(OTHER):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("registry_pipeline.runs.scan.os.scandir", refuse)

    with pytest.raises(NotFoundError, match=r"reports/runs cannot be read: Permission denied"):
        states(repository)


def test_the_newest_verdicts_of_archives_and_excluded_folders_stay_folders(repository: Repository) -> None:
    month = Shard(ROOT, "2026-05")
    seal_plainly(repository.root, "2026-05-01__000000__left", {}, {})
    with tarfile.open(repository.path("old.tar"), "w") as archive:
        archive.add(repository.path(f"{ROOT}/2026-05-01__000000__left"), f"{ROOT}/2026-05-01__000000__left")
    config = replace(repository.config, archives=("old.tar",), exclude=("*__left",))
    excluding = replace(repository, config=config)
    run = BuildRun(datetime(2026, 3, 1, tzinfo=UTC), GitState(None, None))
    refs = [verify_shard(excluding, run, shard)[0] for shard in (ARCHIVES, month)]

    needed = NeededRuns(excluding)

    assert {needed.explain(ref.run_root, ref.run_id, {}) for ref in refs} == {"it is the newest run of its shard"}
