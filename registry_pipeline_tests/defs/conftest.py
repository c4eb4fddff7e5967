"""A repository with a Dagster instance of its own; each test gets a copy of one that was rebuilt once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    JobDefinition,
    JobExecutionResult,
    MetadataValue,
    ReexecutionOptions,
    RunRequest,
    SensorResult,
    SkipReason,
    TableMetadataValue,
    build_reconstructable_job,
    build_sensor_context,
    define_asset_job,
    execute_job,
)
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import QueuePool

from registry_pipeline.cli.commands.ui import prepare_home
from registry_pipeline.config import Repository, load_repository
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.event_log import ROOT_KEY
from registry_pipeline.defs.location import Location, location_of
from registry_pipeline.defs.resources import RepositoryResource
from registry_pipeline.defs.sensors import CHECK_POINTERS_JOB, activation_sensor
from registry_pipeline.registries.base import seal_build
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline_tests.copies import copy_tree, make_removable
from registry_pipeline_tests.histories import make_historic

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
REGISTRIES = [spec.registry_id for spec in SHIPPED.build_order if spec.pointer]
CAPTURED = [spec.registry_id for spec in SHIPPED.registries.values() if spec.kind == "captured"]
CHECK_NAMES = ("seal", "schema", "rules")


@dataclass(frozen=True)
class DagsterRepo:
    """The Dagster repo of one repository."""

    repository: Repository
    instance: DagsterInstance
    definitions: Definitions

    @property
    def location(self) -> Location:
        return location_of(self.repository)

    def execute(self, job: str, **options: Any) -> ExecuteInProcessResult:
        """Execute a job in process; a failure is a result, not an exception."""
        config = QUIET | options.pop("run_config", {})
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=config, raise_on_error=False, **options
        )

    def materialize(self, *registry_ids: str) -> ExecuteInProcessResult:
        """Do what `Materialize` does in the user interface: all assets, or the selected ones."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            run_config=QUIET,
            raise_on_error=False,
            asset_selection=[self.location.key(*name.split("/")) for name in registry_ids] or None,
        )

    def rebuild(self) -> ExecuteInProcessResult:
        return self.execute("rebuild_job")

    def resource(self) -> RepositoryResource:
        return RepositoryResource(self.repository.root, self.instance, self.location)

    def evaluate_sensor(self) -> RunRequest | SkipReason:
        """Evaluate the activation sensor as the daemon does, and return its answer."""
        with build_sensor_context(instance=self.instance) as context:
            answer = activation_sensor(context, repository=self.resource())
        if isinstance(answer, SkipReason):
            return answer
        assert isinstance(answer, SensorResult)
        for asset_event in answer.asset_events:
            self.instance.report_runless_asset_event(asset_event)
        request = answer.run_requests[0] if answer.run_requests else answer.skip_reason
        assert isinstance(request, RunRequest | SkipReason)
        return request

    def check(self, registry_id: str, name: str) -> AssetCheckEvaluation:
        """Return the newest result of a check."""
        history = self.instance.event_log_storage.get_asset_check_execution_history
        (record,) = history(AssetCheckKey(self.location.key(registry_id), name), limit=1)
        assert record.evaluation is not None
        return record.evaluation

    @staticmethod
    def key(registry_id: str, check_name: str) -> AssetCheckKey:
        return AssetCheckKey(AssetKey(registry_id), check_name)

    def materialize_checks(self, name: str) -> ExecuteInProcessResult:
        """Execute the checks of one definition alone, as the user interface does."""
        checks = next(c for c in self.definitions.asset_checks or () if c.node_def.name == name)
        job = define_asset_job("checks_alone", AssetSelection.checks(*checks.check_keys))
        merged = Definitions.merge(self.definitions, Definitions(jobs=[job]))
        return replace(self, definitions=merged).execute("checks_alone")

    def skipped(self) -> str:
        """Return why the sensor activates nothing; what it requests once after a refusal is executed."""
        answer = self.evaluate_sensor()
        if isinstance(answer, RunRequest) and answer.job_name == CHECK_POINTERS_JOB:
            self.execute(CHECK_POINTERS_JOB, tags=dict(answer.tags))
            answer = self.evaluate_sensor()
        assert isinstance(answer, SkipReason), answer
        return answer.skip_message or ""

    def requested(self) -> RunRequest:
        answer = self.evaluate_sensor()
        assert isinstance(answer, RunRequest), answer
        return answer

    def execute_request(self, request: RunRequest) -> ExecuteInProcessResult:
        """Execute what the sensor asks for."""
        ops = {"ops": dict(request.run_config)["ops"]}
        return self.execute("activate_pointers_job", run_config=ops, tags=dict(request.tags))

    def asked_for(self) -> dict[str, str]:
        """Return the runs that the sensor requests to activate, by registry."""
        config = dict(self.requested().run_config)["ops"][self.location.op_name("active_registry_pointers")]["config"]
        return {name: run["run_id"] for name, run in config["runs"].items()}

    def active(self) -> dict[str, SealedRef]:
        pointers = pointer_file.read_pointers(self.repository)
        found = {name: pointers.active(name) for name in REGISTRIES}
        return {name: ref for name, ref in found.items() if ref is not None}

    def folders(self) -> set[str]:
        return {entry.name for entry in self.repository.publish_root.iterdir()}

    def run_json(self, run_id: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.repository.publish_root / run_id / "run.json").read_bytes())
        return document


def values_of(metadata: Mapping[str, MetadataValue[Any]]) -> dict[str, Any]:
    """Return metadata as plain values; a table is a list of rows."""
    return {
        name: [dict(row.data) for row in value.records] if isinstance(value, TableMetadataValue) else value.value
        for name, value in metadata.items()
    }


def codes_of(metadata: Mapping[str, MetadataValue[Any]]) -> list[str]:
    """Return the codes of the findings in metadata."""
    return [row["code"] for row in values_of(metadata).get("findings", [])]


def page_of(result: ExecuteInProcessResult, registry_id: str) -> dict[str, Any]:
    """Return the metadata of a registry's materialization in a run."""
    events = result.asset_materializations_for_node(registry_id)
    assert len(events) == 1
    return values_of(events[0].metadata)


def handed_on(result: ExecuteInProcessResult, registry_id: str) -> dict[str, Any]:
    """Return the metadata of the observation of a registry that a run did not build; it must not be materialized."""
    assert not result.asset_materializations_for_node(registry_id)
    (event,) = [e for e in result.all_events if e.is_asset_observation and e.asset_key == AssetKey(registry_id)]
    return values_of(event.asset_observation_data.asset_observation.metadata)


def roots_of(result: ExecuteInProcessResult) -> dict[str, str]:
    return {name: page_of(result, name)[ROOT_KEY] for name in REGISTRIES}


def verdicts_of(result: ExecuteInProcessResult, registry_id: str) -> dict[str, bool]:
    """Return the results of the blocking checks of a registry."""
    names = SHIPPED.spec_of(registry_id).check_names
    return {name: check.passed for name, check in checks_of(result, registry_id).items() if name in names}


def checks_of(result: ExecuteInProcessResult, asset: str) -> dict[str, AssetCheckEvaluation]:
    """Return the results of all checks of an asset in a run."""
    evaluations = [e for e in result.get_asset_check_evaluations() if e.asset_key == AssetKey(asset)]
    return {evaluation.check_name: evaluation for evaluation in evaluations}


def troubles(result: ExecuteInProcessResult) -> list[str]:
    """Return what failed in a run, for the message of an assertion."""
    failures = [event for event in result.all_events if event.is_failure]
    return [f"{event.message} {getattr(event.event_specific_data, 'error', '')}" for event in failures]


def failure_of(result: ExecuteInProcessResult, step: str) -> str:
    """Return what a failed step says to a reader."""
    failed = result.failure_data_for_node(step)
    assert failed is not None
    assert failed.user_failure_data is not None, failed.error
    return failed.user_failure_data.description or ""


def rebuild_job_of(root: str) -> JobDefinition:
    """Return the rebuild job of a repository, for an execution in which Dagster makes the job again."""
    return build_defs(Path(root)).resolve_job_def("rebuild_job")


def from_failure(repo: DagsterRepo, run_id: str) -> JobExecutionResult:
    """Execute a failed rebuild again as the user interface does: what succeeded in it is not done again."""
    return execute_job(
        build_reconstructable_job(__name__, rebuild_job_of.__name__, (str(repo.repository.root),)),
        instance=repo.instance,
        run_config=QUIET,
        reexecution_options=ReexecutionOptions.from_failure(run_id, repo.instance),
    )


def upstream_of(repo: DagsterRepo, run_id: str) -> dict[str, str]:
    inputs = repo.run_json(run_id)["inputs"]["registries"]
    return {i["registry_id"]: i["sealed_ref"]["run_id"] for i in inputs if i["role"] == "upstream"}


@pytest.fixture(scope="session", autouse=True)
def _no_disk_syncs() -> Iterator[None]:
    """Dagster commits its log some two hundred times a run; in tests it need not survive a power cut."""

    def relax(connection: Any, _record: Any) -> None:
        # Other tests of the same process may have another database.
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


@pytest.fixture(scope="session", autouse=True)
def _one_engine_per_database() -> Iterator[None]:
    """Keep SQLAlchemy's engines and their connections: Dagster makes new ones for each event."""

    @lru_cache(maxsize=16)
    def engine(url: str, options: tuple[tuple[str, Any], ...], arguments: tuple[tuple[str, Any], ...]) -> Engine:
        kept = create_engine(url, **(dict(options) | {"poolclass": QueuePool}), connect_args=dict(arguments))
        # Dagster disposes of an engine after each statement, which would close the connections.
        vars(kept)["dispose"] = lambda **_options: None
        return kept

    def kept_engine(url: str, *, connect_args: Mapping[str, Any] | None = None, **options: Any) -> Engine:
        return engine(url, tuple(options.items()), tuple((connect_args or {}).items()))

    with pytest.MonkeyPatch.context() as patch:
        for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
            patch.setattr(module, "create_engine", kept_engine)
        yield


@pytest.fixture(scope="session", autouse=True)
def _migrations_read_once() -> Iterator[None]:
    """Keep what Alembic reads: Dagster reads its migrations again for each new database, of which each run has one."""
    read, kept = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def read_once(config: Config) -> ScriptDirectory:
        if config.config_file_name not in kept:
            kept[config.config_file_name] = read(config)
        return kept[config.config_file_name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield


@contextmanager
def open_dagster_repo(root: Path) -> Iterator[DagsterRepo]:
    """Open the Dagster repo of a repository, with the instance file that ships."""
    repository = load_repository(root)
    prepare_home(repository.dagster_home)
    with DagsterInstance.from_config(str(repository.dagster_home)) as instance:
        yield DagsterRepo(repository, instance, build_defs(root))


@pytest.fixture(scope="session")
def historic_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with some weeks of history, of which no day was built."""
    return make_historic(tmp_path_factory.mktemp("historic") / "repository").root


@pytest.fixture
def past(historic_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    with copy_of(historic_repository, tmp_path / "repository") as repo:
        yield repo


@contextmanager
def copy_of(source: Path, root: Path) -> Iterator[DagsterRepo]:
    copy_tree(source, root)
    with open_dagster_repo(root) as repo:
        yield repo
    make_removable(root)


@dataclass(frozen=True)
class FirstRebuild:
    """A rebuild of a repository in which nothing is active, to look at and not to change."""

    repo: DagsterRepo
    result: ExecuteInProcessResult
    folders_before: set[str]
    pointers_before: bytes
    git_asked_in: list[str | None]


@pytest.fixture(scope="session")
def first_rebuild(known_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstRebuild]:
    git_reads: list[str | None] = []
    ask = seal_build.start_build_run

    def counted(*args: Any, **options: Any) -> seal_build.BuildRun:
        run = ask(*args, **options)
        git_reads.append(run.dagster_run_id)
        return run

    with copy_of(known_repository, tmp_path_factory.mktemp("rebuilt") / "repository") as repo:
        folders, pointers = repo.folders(), repo.repository.pointer_path.read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seal_build, "start_build_run", counted)
            result = repo.rebuild()
        assert result.success, troubles(result)
        yield FirstRebuild(repo, result, folders, pointers, git_reads)


@pytest.fixture(scope="session")
def rebuilt_repository(first_rebuild: FirstRebuild) -> Path:
    """A repository that was rebuilt once through Dagster; nothing is active."""
    return first_rebuild.repo.repository.root


@pytest.fixture(scope="session")
def activated_repository(rebuilt_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, after the sensor's request was granted."""
    root = tmp_path_factory.mktemp("activated") / "repository"
    copy_tree(rebuilt_repository, root)
    with open_dagster_repo(root) as repo:
        assert repo.execute_request(repo.requested()).success
    return root


@pytest.fixture
def fresh(known_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    with copy_of(known_repository, tmp_path / "repository") as repo:
        yield repo


@pytest.fixture
def rebuilt(rebuilt_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    with copy_of(rebuilt_repository, tmp_path / "repository") as repo:
        yield repo


@pytest.fixture
def activated(activated_repository: Path, tmp_path: Path) -> Iterator[DagsterRepo]:
    with copy_of(activated_repository, tmp_path / "repository") as repo:
        yield repo
