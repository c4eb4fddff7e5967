"""Errors of the runbook, told in Dagster's words.

Holds the one translation from `errors` to a step failure. Keeps out deciding what is an error.
May import `errors` and Dagster.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from dagster import ConfigurableResource, DagsterInstance, Failure, InitResourceContext
from pydantic import PrivateAttr

from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import BusyError, NotFoundError, RegistryPipelineError
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.findings.display import printable
from registry_pipeline.git.values import GitState, WorkingTreeState
from registry_pipeline.pipeline import steps
from registry_pipeline.registries.base import seal_build
from registry_pipeline.runs.reference import SealedRef


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Turn an error of the runbook into a step failure that shows its sentence and its advice, not a traceback.

    Only a lost race is worth another try: whatever else went wrong would go wrong again.

    Raises:
        Failure: for every `RegistryPipelineError`.
    """
    try:
        yield
    except RegistryPipelineError as error:
        advice = {"advice": printable(error.advice)} if error.advice else {}
        metadata = {"error": type(error).__name__} | advice
        raise Failure(printable(error.message), metadata=metadata, allow_retries=isinstance(error, BusyError)) from None


COMMIT_TAG: Final = "registry_pipeline/git_commit"
TREE_TAG: Final = "registry_pipeline/working_tree_state"
HEAD_TAG: Final = "registry_pipeline/chain_head"
TAKEN_TAG: Final = "registry_pipeline/git_taken_in_run"
_OUTSIDE_GIT: Final = "none"
_GIT_WAIT_SECONDS: Final = 300.0
"""How long a step waits for another one of its run to read the state of a large checkout."""


class GovernedRepository(ConfigurableResource[None]):
    """The repository whose runs are registered: `root`, else REGISTRY_PIPELINE_REPO, else the one at or above here."""

    root: str = ""
    _instance: DagsterInstance | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Keep the instance: the stamp of a build run is in its run record."""
        self._instance = context.instance

    @property
    def instance(self) -> DagsterInstance:
        """The Dagster instance of the execution that this resource serves.

        Raises:
            NotFoundError: used outside an execution.
        """
        if self._instance is None:
            raise NotFoundError("the resource is used outside of a Dagster execution", "run it in a job or a sensor")
        return self._instance

    def governed(self) -> Repository:
        """Return the repository with its configuration as it is now.

        Raises:
            NotFoundError: there is none. ConfigError: its toml cannot be understood.
        """
        return find_repository(Path(self.root) if self.root else None)

    def started(self, dagster_run_id: str) -> datetime:
        """Return when a Dagster run started: not when it was queued, and not now.

        Raises:
            NotFoundError: the instance has no such run, or the run has not started.
        """
        record = self.instance.get_run_record_by_id(dagster_run_id)
        if record is None or record.start_time is None:
            raise NotFoundError(f"the Dagster run {dagster_run_id} has not started", "launch it through Dagster")
        return datetime.fromtimestamp(record.start_time, UTC)

    def build_run(self, dagster_run_id: str) -> seal_build.BuildRun:
        """Return the build run that a Dagster run is: its start, and git as its first step found it.

        The git state is kept in the run's tags, since other processes may execute its other steps. A re-execution
        inherits the tags of its parent, hence the tag that names the run in which git was asked.
        """
        started, governed = self.started(dagster_run_id), self.governed()
        lock = governed.dagster_home / "git_state.lock"
        with hold_lock(lock, governed.root, "look at git", wait_seconds=_GIT_WAIT_SECONDS, make_folder=True):
            kept = self._kept_build_run(dagster_run_id, started)
            if kept is not None:
                return kept
            run = steps.with_chain_head(governed, seal_build.start_build_run(governed, started, dagster_run_id))
            self.instance.add_run_tags(dagster_run_id, _tags(run, dagster_run_id))
        return run

    def _kept_build_run(self, dagster_run_id: str, started: datetime) -> seal_build.BuildRun | None:
        run = self.instance.get_run_by_id(dagster_run_id)
        tags: Mapping[str, str] = {} if run is None else run.tags
        if tags.get(TAKEN_TAG) != dagster_run_id:
            return None
        commit, tree = (None if tags[tag] == _OUTSIDE_GIT else tags[tag] for tag in (COMMIT_TAG, TREE_TAG))
        head = SealedRef.from_json(json.loads(tags.get(HEAD_TAG, "null")))
        git = GitState(commit, cast("WorkingTreeState | None", tree))
        return seal_build.BuildRun(started, git, dagster_run_id, head)


def _tags(run: seal_build.BuildRun, dagster_run_id: str) -> dict[str, str]:
    commit, tree = run.git.commit or _OUTSIDE_GIT, run.git.working_tree_state or _OUTSIDE_GIT
    head = "null" if run.head is None else json.dumps(run.head.to_json())
    return {COMMIT_TAG: commit, TREE_TAG: tree, HEAD_TAG: head, TAKEN_TAG: dagster_run_id}
