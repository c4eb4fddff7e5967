"""Several repositories in one Dagster instance: what each sees and does is what it would see and do alone."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    RepositoryDefinition,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.test_utils import create_run_for_test

from registry_pipeline import locations
from registry_pipeline.canonical import short
from registry_pipeline.cli.commands.ui import prepare_home
from registry_pipeline.cli.main import main
from registry_pipeline.config import load_repository
from registry_pipeline.defs import assets
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.cli_builds_sensor import CHECK_JOB
from registry_pipeline.defs.daily import DAILY_JOB
from registry_pipeline.defs.failure_sensors import list_problems
from registry_pipeline.defs.location import ROOT_TAG, list_unfinished_runs
from registry_pipeline.defs.shard_sensors import PARTITION_TAG
from registry_pipeline.errors import ConfigError, NotFoundError
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.run_registry import index_shards
from registry_pipeline_tests.collection_sources import COLLECTIONS, FIRST, RANGES, SECOND, write_range
from registry_pipeline_tests.copies import flip_byte, make_removable
from registry_pipeline_tests.defs.conftest import DagsterRepo, failure_of
from registry_pipeline_tests.defs.days import span
from registry_pipeline_tests.defs.graph_picture import picture
from registry_pipeline_tests.histories import make_historic

A, B = "payments", "billing-eu"
SHARDS = ("run_registry_shards", "run_verification")


def set_location(root: Path, location: str, *, shards: bool = False) -> None:
    """Write the location into the toml, in place of another one; an empty location is none."""
    toml = root / "registry-pipeline.toml"
    before = toml.read_text(encoding="utf-8").partition("\n[dagster]\n")[0]
    name = f'location = "{location}"\n' if location else ""
    table = f"{name}shards = {'true' if shards else 'false'}\n"
    toml.write_text(f"{before}\n[dagster]\n{table}", encoding="utf-8")


@contextmanager
def open_together(folder: Path, *locations: str, shards: bool = False) -> Iterator[list[DagsterRepo]]:
    """Open repositories of the same content in one instance; an empty location is none."""
    home = folder / "dagster"
    home.mkdir(parents=True)
    prepare_home(home)
    roots = []
    for number, location in enumerate(locations):
        roots.append(make_historic(folder / f"repository-{number}").root)
        set_location(roots[-1], location, shards=shards)
    with DagsterInstance.from_config(str(home)) as instance:
        yield [DagsterRepo(load_repository(root), instance, build_defs(root)) for root in roots]
    for root in roots:
        make_removable(root)


def evaluate(repo: DagsterRepo, sensor: str, cursor: str | None = None) -> SensorResult:
    """Evaluate a sensor, and apply its result as the daemon does, apart from the runs."""
    definition = repo.definitions.resolve_sensor_def(sensor)
    resources = {"repository": repo.resource()}
    with build_sensor_context(instance=repo.instance, cursor=cursor, resources=resources) as context:
        answer = definition(context)
    if isinstance(answer, SkipReason):
        return SensorResult(skip_reason=answer)
    assert isinstance(answer, SensorResult)
    for request in answer.dynamic_partitions_requests or ():
        repo.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    for event in answer.asset_events:
        repo.instance.report_runless_asset_event(event)
    return answer


def execute(repo: DagsterRepo, job: str, request: RunRequest) -> bool:
    """Execute what a sensor asks for."""
    ops = {"ops": dict(request.run_config)["ops"]} if request.run_config else {}
    selected = set(request.asset_check_keys or ())
    if not selected:
        return repo.execute(job, run_config=ops, tags=dict(request.tags)).success
    subset = repo.definitions.resolve_job_def(job).get_subset(asset_check_selection=selected)
    tags = dict(request.tags)
    return subset.execute_in_process(instance=repo.instance, raise_on_error=False, tags=tags).success


def ask(repo: DagsterRepo, sensor: str, cursor: str | None = None) -> RunRequest:
    (request,) = evaluate(repo, sensor, cursor).run_requests or ()
    assert isinstance(request, RunRequest)
    return request


def reason(repo: DagsterRepo, sensor: str) -> str:
    answer = evaluate(repo, sensor).skip_reason
    assert isinstance(answer, SkipReason), answer
    return answer.skip_message or ""


def build_by_command(repo: DagsterRepo) -> int:
    """Build with the command line at a moment that is the same in all repositories: their runs have the same names."""
    moment = ("--now", "2100-03-01T12:00:00Z", "--allow-future")
    return main(["-C", str(repo.repository.root), *moment, "build", "--no-activate"])


def live_in_trouble(repo: DagsterRepo) -> Iterator[object]:
    """A repository whose activation is refused, then fails three times, and whose own runs are in its way."""
    write_range(repo.repository.root, FIRST).write_text("no range\n", encoding="utf-8")
    for job in (CHECK_JOB, f"{RANGES}_job"):
        create_run_for_test(repo.instance, job_name=job, tags=repo.location.run_tags, status=DagsterRunStatus.STARTED)
    yield repo.rebuild().success
    altered = next(repo.repository.publish_root.glob("*__drift_signals_build/DRIFT_SIGNALS_v0_1.json"))
    request = ask(repo, "activation_sensor")
    flip_byte(altered)
    yield execute(repo, "activate_pointers_job", request)
    # The first activation has started the chain, so the state in which it was refused is another one.
    yield execute(repo, "activate_pointers_job", ask(repo, "activation_sensor")), repo.skipped()
    yield repo.rebuild().success
    request = ask(repo, "activation_sensor")
    for _ in range(3):
        failed = dict(request.tags)
        create_run_for_test(
            repo.instance, job_name="activate_pointers_job", tags=failed, status=DagsterRunStatus.FAILURE
        )
    yield repo.skipped()
    yield build_by_command(repo), reason(repo, "command_line_sensor")
    yield reason(repo, f"{RANGES}_sensor")
    yield repo.execute(DAILY_JOB, **span("2026-01-06", "2026-01-06")).success
    yield repo.execute("check_pointers_job").success


def live_well(repo: DagsterRepo) -> Iterator[object]:
    """A repository that builds, activates, backfills, and has its command-line build reported and checked."""
    write_range(repo.repository.root, FIRST)
    yield repo.rebuild().success
    yield execute(repo, "activate_pointers_job", ask(repo, "activation_sensor"))
    yield repo.skipped()
    write_range(repo.repository.root, SECOND)
    evaluate(repo, f"{RANGES}_sensor")
    yield execute(repo, f"{RANGES}_job", ask(repo, f"{RANGES}_sensor"))
    yield build_by_command(repo), execute(repo, CHECK_JOB, ask(repo, "command_line_sensor"))
    yield repo.execute(DAILY_JOB, **span("2026-01-05", "2026-01-07")).success
    yield repo.execute("check_pointers_job").success
    yield repo.materialize("system_health_report").success
    # Everything is known by now: nothing is reported twice.
    yield reason(repo, f"{RANGES}_sensor"), evaluate(repo, "command_line_sensor", "2100-03-01T12:00:00Z").skip_reason


def normalize(repo: DagsterRepo, text: str | None) -> str:
    """Return a text without what differs from run to run (ids, moments, the folder of the repository), and the name."""
    text = (text or "").replace(str(repo.repository.root), "ROOT")
    # Where a name may be: the address of an asset, and the tags of an input.
    for before in ("/assets/", "input_data_version/", "input_event_pointer/") if repo.location.name else ():
        text = text.replace(f"{before}{repo.location.name}/", before)
    for run in repo.instance.get_runs():
        text = text.replace(run.run_id, "RUN").replace(short(run.run_id), "RUN")
    text = re.sub(r"20\d\d-\d\d-\d\d(__\d{6}__|T[\d:]+Z)", "MOMENT", text)
    return re.sub(r"\b[0-9a-f]{12,64}\b", "HASH", text)


def describe(repo: DagsterRepo) -> dict[str, Any]:
    """Return everything that Dagster and the repository know of its runs, events, checks and pointers."""
    instance, location = repo.instance, repo.location
    keys = [key for key in instance.all_asset_keys() if not location.name or key.path[0] == location.name]
    own = [run for run in instance.get_runs() if run.tags.get(ROOT_TAG) == str(location.root)]
    history = instance.event_log_storage.get_asset_check_execution_history
    checks = repo.definitions.get_repository_def().asset_graph.asset_check_keys
    names: Callable[[AssetKey], str] = lambda key: "/".join(location.find_path(key))  # noqa: E731
    return {
        "materialized": {names(key): _events(repo, instance.fetch_materializations, key) for key in sorted(keys)},
        "observed": {names(key): _events(repo, instance.fetch_observations, key) for key in sorted(keys)},
        "checks": {
            f"{names(key.asset_key)}:{key.name}": [
                (
                    record.status.value,
                    normalize(repo, getattr(record.evaluation, "description", None)),
                )
                for record in history(key, limit=100)
            ]
            for key in sorted(checks)
        },
        "runs": [(run.job_name, run.status.value, sorted(run.tags)) for run in own],
        "members": sorted(instance.get_dynamic_partitions(location.name_in_instance(RANGES))),
        "active": {name: ref.run_id[20:] for name, ref in repo.active().items()},
        "chain": [record.record.action for record in read_chain_state(repo.repository).records],
        "problems": [_problems(repo, run) for run in own],
    }


def _events(repo: DagsterRepo, fetch: Callable[..., Any], key: AssetKey) -> list[Any]:
    found = []
    for record in fetch(key, limit=1000, ascending=True).records:
        event = record.asset_materialization or record.asset_observation
        facts = {name: normalize(repo, str(value.value)) for name, value in event.metadata.items()}
        for varying in ("preview", "sealed", "age", "findings", "pointer_file_sha256", "sealed_files", "run_folders"):
            facts.pop(varying, None)
        tags = sorted(normalize(repo, name) for name in event.tags or {})
        found.append((event.partition, facts, tags))
    return found


def _problems(repo: DagsterRepo, run: Any) -> list[tuple[object, ...]]:
    problems = list_problems(repo.instance, run, ["run_registry", RANGES], repo.location)
    return sorted((p.asset, p.check, p.registries, p.codes, normalize(repo, p.next_step)) for p in problems)


LIVES: Mapping[str, Callable[[DagsterRepo], Iterator[object]]] = {"in trouble": live_in_trouble, "well": live_well}


def describe_location(repo: DagsterRepo, observed: list[object]) -> str:
    return json.dumps([normalize(repo, repr(observed)), describe(repo)], indent=1, default=str)


@pytest.mark.soak
def test_each_of_two_repositories_in_one_instance_is_as_if_it_were_alone(tmp_path: Path) -> None:
    alone = {}
    for name, live in LIVES.items():
        with open_together(tmp_path / name, "") as (repo,):
            alone[name] = describe_location(repo, list(live(repo)))

    with open_together(tmp_path / "together", A, B) as repos:
        by_name = dict(zip(LIVES, repos, strict=True))
        lives = {name: live(by_name[name]) for name, live in LIVES.items()}
        observed: dict[str, list[object]] = {name: [] for name in LIVES}
        while lives:
            # In turn: what one does may disturb the next step of the other.
            for name in list(lives):
                step = list(islice(lives[name], 1))
                observed[name] += step
                if not step:
                    del lives[name]
        for name, repo in by_name.items():
            assert describe_location(repo, observed[name]).splitlines() == alone[name].splitlines()
        assert {key.path[0] for key in repos[0].instance.all_asset_keys()} == {A, B}
        built = repos[0].instance.get_latest_materialization_event(AssetKey([A, "op_status_table"]))
        assert built is not None
        assert built.asset_materialization is not None
        assert f"(/assets/{A}/run_registry)" in str(built.asset_materialization.metadata["built_from"].value)


def strip(location: str, value: Any) -> Any:
    """Return a JSON value without the location at the start of asset keys, and the keys sorted again."""
    if isinstance(value, dict):
        return {strip(location, key): strip(location, item) for key, item in value.items()}
    if isinstance(value, list):
        return [strip(location, item) for item in value]
    return value.removeprefix(f"{location}/") if isinstance(value, str) else value


def test_only_one_module_makes_asset_keys() -> None:
    """Another one would leave the location out."""
    made = {
        path.name
        for path in Path(assets.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AssetKey"
    }

    assert made == {"location.py"}


@pytest.mark.parametrize("location", [A, B])
def test_the_graph_is_the_same_with_the_location_before_each_key(tmp_path: Path, location: str) -> None:
    root = make_historic(tmp_path / "repository").root
    set_location(root, "", shards=True)
    plain = picture(build_defs(root))
    set_location(root, location, shards=True)

    named = picture(build_defs(root))

    assert {key.partition("/")[0] for key in (*named["assets"], *named["checks"])} == {location}
    assert json.dumps(strip(location, named), indent=1) == json.dumps(plain, indent=1)


def test_pools_and_the_names_of_members_begin_with_the_location(tmp_path: Path) -> None:
    root = make_historic(tmp_path / "repository").root
    names = []
    for location in ("", A):
        set_location(root, location, shards=True)
        repository = build_defs(root).get_repository_def()
        defined = list(repository.assets_defs_by_key.values())
        partitions = {getattr(definition.partitions_def, "name", None) for definition in defined} - {None}
        pools = {pool for definition in defined if definition.is_executable for pool in definition.op.pools}
        names.append({*partitions, *pools})

    assert names[0] == {"pointers", *COLLECTIONS, *SHARDS}
    assert names[1] == {f"{A}/{name}" for name in names[0]}


def test_each_job_and_each_run_of_it_has_the_root_of_its_repository(tmp_path: Path) -> None:
    root = make_historic(tmp_path / "repository").root
    definitions = build_defs(root)

    jobs = [name for name in definitions.get_repository_def().job_names if not name.startswith("__")]

    assert {definitions.resolve_job_def(name).run_tags[ROOT_TAG] for name in jobs} == {str(root)}


def test_a_run_of_unknown_origin_counts_for_each_repository(tmp_path: Path) -> None:
    with open_together(tmp_path, A, B) as repos:
        create_run_for_test(repos[0].instance, job_name=CHECK_JOB, status=DagsterRunStatus.STARTED)

        assert [len(list_unfinished_runs(repo.instance, repo.location, CHECK_JOB)) for repo in repos] == [1, 1]


@pytest.mark.parametrize("name", SHARDS)
def test_shards_of_one_repository_do_not_delay_those_of_another(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The folders of the test are young, for which no shard is requested.
    monkeypatch.setattr(index_shards, "find_safe_change", lambda _started: 1 << 62)
    with open_together(tmp_path, A, B, shards=True) as (first, second):
        requested = [request.partition_key for request in evaluate(first, f"{name}_sensor").run_requests or ()]
        tags = {**first.location.run_tags, PARTITION_TAG: str(requested[0])}
        create_run_for_test(first.instance, job_name=f"{name}_job", tags=tags, status=DagsterRunStatus.STARTED)

        for repo, expected in ((first, requested[1:]), (second, requested)):
            found = [request.partition_key for request in evaluate(repo, f"{name}_sensor").run_requests or ()]
            assert found == expected
            assert set(repo.instance.get_dynamic_partitions(f"{repo.location.name}/{name}")) == set(requested)


def test_another_location_in_the_toml_is_used_when_the_code_location_is_loaded_again(tmp_path: Path) -> None:
    with open_together(tmp_path, A) as (repo,):
        toml = repo.repository.root / "registry-pipeline.toml"
        toml.write_text(toml.read_text().replace(A, B))

        result = repo.rebuild()

        assert not result.success
        message = "names the location billing-eu, and this code location was loaded with payments"
        assert message in failure_of(result, "observe_sources")
        assert "reload the code location" in reason(repo, "activation_sensor")
        instance = repo.instance
        assert not [key for key in instance.all_asset_keys() if instance.get_latest_materialization_event(key)]
        loaded = load_repository(repo.repository.root)
        again = replace(repo, repository=loaded, definitions=build_defs(loaded.root))
        assert again.rebuild().success


def test_a_toml_that_is_invalid_elsewhere_keeps_its_location(tmp_path: Path) -> None:
    root = make_historic(tmp_path / "repository").root
    set_location(root, A)
    (root / "registry-pipeline.toml").write_text(f'unknown = 1\n[dagster]\nlocation = "{A}"\n', encoding="utf-8")

    keys = build_defs(root).get_repository_def().asset_graph.get_all_asset_keys()

    assert {key.path[0] for key in keys} == {A}


def load(root: Path) -> RepositoryDefinition:
    """Load a repository as the process of a run and a Celery worker do, from what the run names."""
    # The process that launches a run sends this to Celery's worker.
    named = ReconstructableRepository.for_module("registry_pipeline.locations", str(root))
    job = ReconstructableJob.from_dict(named.get_reconstructable_job("rebuild_job").to_dict())
    return job.repository.get_definition()


def test_one_process_loads_each_repository_by_its_path(tmp_path: Path) -> None:
    roots = {name: make_historic(tmp_path / name).root for name in (A, B)}
    for name, root in roots.items():
        set_location(root, name)

    for name, root in [*roots.items(), *roots.items()]:
        assert {key.path[0] for key in load(root).asset_graph.get_all_asset_keys()} == {name}


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("", "states no valid `location`"),
        ("[dagster]\nlocation = 7\n", "location"),
        ("[dagster]\nlocation = 'Payments'\n", "location"),
        ("dagster = 1\n", "dagster"),
        ("[\n", "is not TOML"),
    ],
)
def test_a_repository_without_a_valid_location_is_not_loaded_among_others(
    tmp_path: Path, toml: str, reason: str
) -> None:
    (tmp_path / "registry-pipeline.toml").write_text(toml, encoding="utf-8")

    with pytest.raises(ConfigError, match=reason):
        load(tmp_path)
    with pytest.raises(NotFoundError, match="is not a folder"):
        load(tmp_path / "missing")
    with pytest.raises(AttributeError, match="has no attribute tides"):
        locations.tides  # noqa: B018


def test_a_failed_run_is_described_without_the_location(tmp_path: Path) -> None:
    with open_together(tmp_path, B) as (repo,):
        (repo.repository.root / "registry-pipeline.toml").write_text(f"[\n[dagster]\nlocation = '{B}'\n")
        result = repo.execute("rebuild_job")
        run = repo.instance.get_run_by_id(result.run_id)
        assert run is not None

        (problem,) = list_problems(repo.instance, run, ["run_registry"], repo.location)

        assert problem.asset == "observe_sources"
