"""A repository on the files of deploy/: PostgreSQL, Celery workers, and runs in processes of their own."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, RunsFilter
from dagster._core.definitions.reconstruct import ReconstructableRepository

from registry_pipeline.cli.commands.ui import INSTANCE_FILE, make_environment, prepare_home
from registry_pipeline.config import CONFIG_NAME, Repository, load_repository
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.proposal import POINTERS_ASSET
from registry_pipeline_tests.command_line import call, environment
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.conftest import REGISTRIES
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, until
from registry_pipeline_tests.scale import pauses
from registry_pipeline_tests.scale.servers import Postgres, Redis, end_with_parent

DEPLOY = Path(__file__).parents[2] / "deploy"
WHOLE_RUNS = DEPLOY / "whole-runs.yaml"
PROGRAMS = Path(sys.executable).parent
# Celery's queue of the steps.
QUEUE = "dagster"
_MONITORING = "run_monitoring:\n"


class Deployment:
    """A repository whose runs use PostgreSQL and Celery, with every process that was started for it."""

    def __init__(self, repository: Repository, instance: DagsterInstance) -> None:
        self.repository, self.instance, self.started = repository, instance, list[subprocess.Popen[bytes]]()
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process that ends with the tests; its log is in the Dagster home."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.repository.root,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no other thread forks
            )
        self.started.append(process)
        return process

    def log(self, name: str) -> Path:
        return self.repository.dagster_home / f"{name}.log"

    def start_workers(self, *names: str) -> list[subprocess.Popen[bytes]]:
        """Start workers with one process for steps each, and wait until they take steps from the queue."""
        # The last `--include` counts.
        options = ("--concurrency", "1", "--include", f"registry_pipeline.definitions,{pauses.__name__}")
        workers = [self.start(name, str(DEPLOY / "worker.sh"), name, *options) for name in names]
        self.workers.update(zip(names, workers, strict=True))

        def are_ready() -> bool | None:
            texts = [self.log(name).read_text(encoding="utf-8") for name in names]
            assert all(worker.poll() is None for worker in workers), texts
            return all(" ready." in text for text in texts) or None

        until(f"the workers {', '.join(names)}", are_ready, START_SECONDS, pause=0.1)
        return workers

    def hold(self, point: str) -> AbstractContextManager[Callable[[], set[int]]]:
        """Let the workers wait at a point until the block ends, as `pauses.hold`."""
        return pauses.hold(self.repository.dagster_home, point)

    @contextmanager
    def shared_by_two_workers(self) -> Iterator[None]:
        """Wait at the end of the block until two workers have begun something, before either goes on."""
        with self.hold(pauses.BEGIN) as waiting:
            yield
            until("two workers", lambda: len(waiting()) == 2 or None, WORK_SECONDS, pause=0.1)

    def start_run(
        self, job: str, *, run_config: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], str]:
        """Start a run of a job in a process, and return the process and the id of the run once it has begun."""
        name = secrets.token_hex(8)
        tags = {"started_as": name, **(tags or {})}
        command = ["dagster", "job", "execute", "-m", "registry_pipeline.definitions", "-j", job]
        if run_config is not None:
            path = self.repository.dagster_home / f"{name}.json"
            path.write_text(json.dumps(run_config), encoding="utf-8")
            command += ["--config", str(path)]
        process = self.start(job, *command, "--tags", json.dumps(tags))

        def begun() -> str | None:
            runs = self.instance.get_runs(RunsFilter(tags={"started_as": name}))
            assert runs or process.poll() is None, self.log(job).read_text(encoding="utf-8")
            return next((run.run_id for run in runs), None)

        return process, until(f"the start of {job}", begun, START_SECONDS)

    def queue_run(self, job: str, run_config: Mapping[str, Any], **tags: str) -> str:
        """Put a whole run into the queue of the workers, as the daemon does, and return its id."""
        # The module may be loaded here already, for the repository of another test; the workers load it themselves.
        location = ReconstructableRepository.for_module("registry_pipeline.definitions", "defs")
        run = self.instance.create_run_for_job(
            build_defs(self.repository.root).resolve_job_def(job),
            run_config=run_config,
            tags=tags,
            job_code_origin=location.get_reconstructable_job(job).get_python_origin(),
        )
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]  # the launcher needs no workspace
        return run.run_id

    def await_runs(self, run_ids: Iterable[str]) -> list[DagsterRun]:
        """Return runs when all of them have ended."""
        ids = list(run_ids)

        def ended() -> list[DagsterRun] | None:
            runs = [self.run(run_id) for run_id in ids]
            return runs if all(run.is_finished for run in runs) else None

        return until("the runs", ended, WORK_SECONDS)

    def run(self, run_id: str) -> DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def execute(self, job: str) -> DagsterRun:
        """Execute a job in a process until its end."""
        process, run_id = self.start_run(job)
        process.wait(WORK_SECONDS)
        return self.run(run_id)

    def events(self, run_id: str, *types: DagsterEventType) -> list[DagsterEvent]:
        """Return the events of these types in a run, the oldest first."""
        logs = self.instance.all_logs(run_id, of_type=set(types))
        return [log.dagster_event for log in logs if log.dagster_event is not None]

    def workers_of_steps(self, run_id: str) -> dict[str, str]:
        """Return the worker that executed each step of a run."""
        found = {}
        for event in self.events(run_id, DagsterEventType.ENGINE_EVENT):
            worker = event.engine_event_data.metadata.get("Celery worker")
            if worker is not None and event.step_key is not None:
                found[event.step_key] = str(worker.value).partition("@")[0]
        return found

    def workers_of_runs(self, run_id: str) -> set[str]:
        """Return the workers that executed a run: its steps, or the whole run as a task, which its log names."""
        steps = set(self.workers_of_steps(run_id).values())
        named = {log.stem for log in self.repository.dagster_home.glob("*.log") if log.stem in self.workers}
        return steps or {name for name in named if run_id in self.log(name).read_text(encoding="utf-8")}

    def find_waiting_step(self, run_id: str, since: float) -> str | None:
        """Return a registry whose step began after a moment and has not ended."""
        logs = self.instance.all_logs(run_id, of_type={DagsterEventType.STEP_START})
        began = {log.step_key for log in logs if log.timestamp > since}
        return next((name for name in REGISTRIES if name in began), None)

    def check_folders(self, names: set[str]) -> None:
        """Check that each of these folders is sealed and verifies."""
        root = self.repository.root
        paths = [f"{self.repository.config.publish_root}/{name}" for name in sorted(names)]
        verified = call("-C", str(root), "verify", *paths, cwd=root, env=environment(root.parent))
        assert verified.code == 0, verified.out

    def count_moves(self, run_id: str) -> int:
        """Return how many pointers a run moved, by the page of the pointers."""
        events = self.events(run_id, DagsterEventType.ASSET_MATERIALIZATION)
        pages = [event.materialization.metadata for event in events if event.asset_key == AssetKey(POINTERS_ASSET)]
        return sum(int(str(page["moved"].value)) for page in pages)

    def queued(self) -> int:
        """Return how many steps wait for a worker, with any priority."""
        broker = redis.Redis.from_url(os.environ["CELERY_BROKER_URL"])
        return sum(int(broker.llen(key)) for key in broker.scan_iter(f"{QUEUE}*") if broker.type(key) == b"list")

    def folders(self) -> set[str]:
        return {entry.name for entry in self.repository.publish_root.iterdir()}

    @contextmanager
    def git_withheld(self) -> Iterator[float]:
        """Keep every asset that begins from going on: it reads the git state of its run first. Yield the moment."""
        with (self.repository.dagster_home / "git_state.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield time.time()  # noqa: TID251 - compared with the times of Dagster's events

    def stop(self) -> None:
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def list_children(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the process ids of the children of a process."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]


@contextmanager
def deploy(
    source: Path, root: Path, postgres: Postgres, queue: Redis, *, whole_runs: bool = False
) -> Iterator[Deployment]:
    """Copy a repository and deploy it as docs/how-to/scale-out.md describes; workers execute steps, or whole runs."""
    shutil.copytree(source, root, symlinks=True)
    if not whole_runs:
        with (root / CONFIG_NAME).open("a", encoding="utf-8") as toml:
            toml.write('\n[dagster]\nexecutor = "celery"\n')
    home = load_repository(root).dagster_home
    home.mkdir(parents=True)
    settings = (DEPLOY / INSTANCE_FILE).read_text(encoding="utf-8")
    assert _MONITORING in settings
    # The daemon looks for lost runs every two minutes, for which a test would wait.
    settings = settings.replace(_MONITORING, f"{_MONITORING}  poll_interval_seconds: 5\n")
    whole = WHOLE_RUNS.read_text(encoding="utf-8") if whole_runs else ""
    (home / INSTANCE_FILE).write_text(settings + whole, encoding="utf-8")
    prepare_home(home)
    variables = {**make_environment(root, home), **postgres.make_database(), **queue.take_databases()}
    variables["PATH"] = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with DagsterInstance.from_config(str(home)) as instance:
            deployment = Deployment(load_repository(root), instance)
            try:
                yield deployment
            finally:
                deployment.stop()
                make_removable(root)
