"""The repository as a Dagster resource, and the IO manager: it seals what is built and loads only verified folders.

Both are bound to one repository when the definitions are made, and have no configuration: nothing that is typed into a
launchpad can build from one repository and seal in another.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Final, cast

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    InitResourceContext,
    InputContext,
    IOManager,
    IOManagerDefinition,
    OutputContext,
    ResourceDefinition,
)

from registry_pipeline.config import CONFIG_NAME, Repository, find_repository
from registry_pipeline.dagster.dagster_internals import find_producing_run
from registry_pipeline.dagster.event_records import read_run_start
from registry_pipeline.dagster.failure import as_dagster_failure
from registry_pipeline.defs import event_log, metadata, step_log
from registry_pipeline.defs.location import ROOT_TAG, Location, find_registry_id, location_of
from registry_pipeline.errors import EvidenceError, NotFoundError, RefusedError, RegistryPipelineError
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.git.values import GitState, WorkingTreeState
from registry_pipeline.pipeline import rebuild, steps
from registry_pipeline.registries.base import seal_build
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.sealed_input import read_active_run, read_sealed_report
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun, SealReport
from registry_pipeline.signing.keys import find_signer

REPOSITORY: Final = "repository"
SEALED_IO: Final = "sealed_io"
COMMIT_TAG: Final = "registry_pipeline/git_commit"
TREE_TAG: Final = "registry_pipeline/working_tree_state"
HEAD_TAG: Final = "registry_pipeline/chain_head"
TAKEN_TAG: Final = "registry_pipeline/git_taken_in_run"
UP_TO_DATE_TAG: Final = "registry_pipeline/up_to_date"
_OUTSIDE_GIT: Final = "none"
# How long a step waits for another step of its run that reads the git state of a large checkout.
_GIT_WAIT_SECONDS: Final = 300.0


class RepositoryResource:
    """The repository of a code location."""

    def __init__(
        self,
        root: Path | RegistryPipelineError,
        instance: DagsterInstance | None = None,
        location: Location | None = None,
    ) -> None:
        """Bind a repository; an error in place of its root is raised by `load`. `instance` has the run records.

        The location is the one with which the definitions were made; by default the one that the toml names.
        """
        self._root = root
        self._instance = instance
        self._location = location

    @property
    def root(self) -> Path | None:
        """The root of the repository, also of one whose toml is invalid; None if there is no repository."""
        return self._root if isinstance(self._root, Path) else None

    @property
    def location(self) -> Location:
        """The location with which the definitions were made."""
        return self._location or location_of(self.load())

    @property
    def instance(self) -> DagsterInstance:
        """The Dagster instance of the execution."""
        if self._instance is None:
            raise NotFoundError("the resource is used outside of a Dagster execution", "run it in a job or a sensor")
        return self._instance

    def load(self) -> Repository:
        """Read the configuration and return the repository.

        Raises:
            RefusedError: the toml names another code location than the one that was loaded.
            RegistryPipelineError: as `find_repository`.
        """
        if isinstance(self._root, RegistryPipelineError):
            raise self._root.with_traceback(None)
        repository = find_repository(self._root)
        # What is reported under another name would be found by nobody.
        name = location_of(repository).name
        if self._location is not None and self._location.name != name:
            raise RefusedError(
                f"{CONFIG_NAME} names the location {name or 'none'}, and this code location was loaded with "
                f"{self._location.name or 'none'}",
                "reload the code location",
            )
        return repository

    def load_in_run(self, dagster_run_id: str) -> Repository:
        """Return the repository in a step of a Dagster run, and tag the run with its root.

        Raises:
            RefusedError: the run is over, or it, or the run that it re-executes, is tagged with another root.
            RegistryPipelineError: as `load`.
        """
        return self._admit_step(dagster_run_id)[0]

    def _admit_step(self, dagster_run_id: str) -> tuple[Repository, Mapping[str, str]]:
        """Return the repository, as `load_in_run`, and the tags that the run had before."""
        repository, run = self.load(), self.instance.get_run_by_id(dagster_run_id)
        if run is not None and _is_over(run):
            # A worker may take a step from the queue after the process of its run died.
            raise RefusedError(
                f"the Dagster run {dagster_run_id} is over, so this step of it reads and writes nothing",
                "launch a new run, if the run did not succeed",
            )
        root = str(repository.root)
        tags: Mapping[str, str] = {} if run is None else run.tags
        stated = tags.get(ROOT_TAG)
        if stated is None:
            # Tags are read, changed and written again: two steps that do so at once would lose some.
            with self._lock_tags(repository):
                stated = self._read_tags(dagster_run_id).get(ROOT_TAG) or root
                self.instance.add_run_tags(dagster_run_id, {ROOT_TAG: stated})
        if stated != root:
            raise RefusedError(
                f"the Dagster run belongs to the repository {stated}, and this code location to {root}",
                "launch a new run; do not execute this one again",
            )
        return repository, tags

    def is_over(self, dagster_run_id: str) -> bool:
        """Return whether a Dagster run has ended or is being cancelled, while a worker executes a step of it."""
        run = self.instance.get_run_by_id(dagster_run_id)
        return run is not None and _is_over(run)

    @contextmanager
    def defer_cancellation(self, dagster_run_id: str) -> Iterator[Callable[[], bool]]:
        """Defer the signals of a cancellation to the end of the block; yield what returns whether to stop."""
        with rebuild.defer_signals(SIGINT, SIGTERM) as is_signalled:
            # A Celery worker gets no signal if the run is cancelled, or if its process dies.
            yield lambda: is_signalled() or self.is_over(dagster_run_id)

    def _read_tags(self, dagster_run_id: str) -> Mapping[str, str]:
        run = self.instance.get_run_by_id(dagster_run_id)
        return {} if run is None else run.tags

    def _lock_tags(self, repository: Repository) -> AbstractContextManager[None]:
        lock = repository.dagster_home / "git_state.lock"
        return hold_lock(lock, repository.root, "look at git", wait_seconds=_GIT_WAIT_SECONDS, make_folder=True)

    def started(self, dagster_run_id: str) -> datetime:
        """Return when a Dagster run started (not when it was queued); raise NotFoundError if it has not."""
        return read_run_start(self.instance, dagster_run_id)

    def build_run(self, dagster_run_id: str) -> seal_build.BuildRun:
        """Return the build run of a Dagster run: its start, and what its first step found of git and the chain."""
        return self.open_run(dagster_run_id)[1]

    def open_run(self, dagster_run_id: str) -> tuple[Repository, seal_build.BuildRun]:
        """Return the repository, as `load_in_run`, and the build run of a Dagster run."""
        started = self.started(dagster_run_id)
        repository, tags = self._admit_step(dagster_run_id)
        # The git state is kept in the tags of the run, because other processes may execute its other steps.
        run = _parse_tags(repository, tags, dagster_run_id, started)
        if run is None:
            with self._lock_tags(repository):
                run = _parse_tags(repository, self._read_tags(dagster_run_id), dagster_run_id, started)
                if run is None:
                    run = seal_build.start_build_run(repository, started, dagster_run_id)
                    run = steps.add_chain_head(repository, run)
                    self.instance.add_run_tags(dagster_run_id, _to_tags(run, dagster_run_id))
        return repository, run

    def keep_unchanged(self, dagster_run_id: str, built: Built) -> Built:
        """Return the build with the run that it keeps, as `steps.keep_unchanged`; only what a rebuild would keep."""
        repository, run = self.open_run(dagster_run_id)
        spec = catalog_of(repository).spec_of(built.registry_id)
        if not spec.is_kept_alone and not self._is_up_to_date(dagster_run_id, repository, run, built):
            return built
        return steps.keep_unchanged(repository, run, built)

    def _is_up_to_date(
        self, dagster_run_id: str, repository: Repository, run: seal_build.BuildRun, built: Built
    ) -> bool:
        """Return whether a build of all registries would seal nothing; all steps of a Dagster run get one answer."""
        # A re-execution inherits the tag of its parent: the answer counts in the run that it names.
        answers = {f"{answer} in {dagster_run_id}": answer == "yes" for answer in ("yes", "no")}
        known = answers.get(self._read_tags(dagster_run_id).get(UP_TO_DATE_TAG, ""))
        if known is None:
            # Not under the lock, because it takes as long as a build. Steps at the same time see the same active runs.
            found = rebuild.is_up_to_date(repository, run, built)
            with self._lock_tags(repository):
                known = answers.get(self._read_tags(dagster_run_id).get(UP_TO_DATE_TAG, ""), found)
                text = next(text for text, answer in answers.items() if answer == known)
                self.instance.add_run_tags(dagster_run_id, {UP_TO_DATE_TAG: text})
        return known


def _is_over(run: DagsterRun) -> bool:
    return bool(run.is_finished or run.status is DagsterRunStatus.CANCELING)


def _parse_tags(
    repository: Repository, tags: Mapping[str, str], dagster_run_id: str, started: datetime
) -> seal_build.BuildRun | None:
    """Return the build run that the tags of a Dagster run describe, or None if they describe none."""
    # A re-execution inherits the tags of its parent; they count only in the run that wrote them.
    if tags.get(TAKEN_TAG) != dagster_run_id:
        return None
    commit, tree = (None if tags[tag] == _OUTSIDE_GIT else tags[tag] for tag in (COMMIT_TAG, TREE_TAG))
    head = SealedRef.from_json(json.loads(tags.get(HEAD_TAG, "null")))
    git = GitState(commit, cast("WorkingTreeState | None", tree))
    return seal_build.BuildRun(started, git, dagster_run_id, head, signer=find_signer(repository))


def _to_tags(run: seal_build.BuildRun, dagster_run_id: str) -> dict[str, str]:
    commit, tree = run.git.commit or _OUTSIDE_GIT, run.git.working_tree_state or _OUTSIDE_GIT
    head = "null" if run.head is None else json.dumps(run.head.to_json())
    return {COMMIT_TAG: commit, TREE_TAG: tree, HEAD_TAG: head, TAKEN_TAG: dagster_run_id}


class SealedIOManager(IOManager):
    """Seals what an asset builds, and loads upstreams as verified sealed runs."""

    def __init__(self, repository: RepositoryResource) -> None:
        """Use the repository of the assets, so that nothing is sealed where it was not read."""
        self._repository = repository

    def handle_output(self, context: OutputContext, obj: Built | NotBuilt) -> None:
        """Seal a build as the run folder of this Dagster run, and add its metadata to the asset's page.

        A build that keeps an unchanged run makes no folder: its page names that run. Of a registry that was not built
        nothing is stored: the step has logged what it hands on.
        """
        if isinstance(obj, NotBuilt):
            return
        with as_dagster_failure():
            repository, run = self._repository.open_run(context.run_id)
            spec = catalog_of(repository).spec_of(obj.registry_id)
            active = _read_active_report(repository, spec)
            sealed = obj.kept or steps.seal(repository, run, spec, obj)
            state = "unchanged" if obj.kept else "reused" if sealed.reused else "sealed"
            content = {"state": state} | metadata.make_content_metadata(spec, obj, active)
            context.add_output_metadata(metadata.make_sealed_metadata(repository, sealed, run.started, content))
            context.log.info("%s: %s", state, step_log.format_run(sealed))

    def load_input(self, context: InputContext) -> SealedRun | None:
        """Return an upstream as a sealed run, verified now, or None if it has none.

        Of an upstream in this execution it is the folder of its materialization or the active run that its step handed
        on, else the active run, never the newest. A folder that does not verify fails the step.
        """
        upstream = context.upstream_output
        with as_dagster_failure():
            repository = self._repository.load()
            registry_id = find_registry_id(context.asset_key)
            dagster_run_id = None if upstream is None else find_producing_run(upstream)
            if dagster_run_id is None:
                active = read_active_run(repository, catalog_of(repository).spec_of(registry_id))
                context.log.info("%s: reads the active run: %s", registry_id, step_log.format_run(active))
                return active
            output = event_log.read_last_output(self._repository.instance, context.asset_key, dagster_run_id)
            if output is None:
                raise EvidenceError(
                    f"{registry_id}: the Dagster run {dagster_run_id} reports no sealed folder", "launch the run again"
                )
            event_log.refuse_other_repository(output, repository)
            sealed = output.sealed
            if sealed is not None:
                # Raises if it does not verify.
                read_sealed_report(repository, catalog_of(repository).spec_of(sealed.registry_id), sealed.ref)
            context.log.info("%s: reads the run of its step: %s", registry_id, step_log.format_run(sealed))
            return sealed


def make_resources(root: Path | RegistryPipelineError, location: Location) -> dict[str, ResourceDefinition]:
    """Return the two resources of a code location; each refuses any configuration."""

    def make_repository(context: InitResourceContext) -> RepositoryResource:
        return RepositoryResource(root, context.instance, location)

    def make_io_manager(context: InitResourceContext) -> SealedIOManager:
        return SealedIOManager(getattr(context.resources, REPOSITORY))

    return {
        REPOSITORY: ResourceDefinition(
            make_repository, config_schema={}, description=f"The repository of this code location: {root}"
        ),
        SEALED_IO: IOManagerDefinition(
            make_io_manager,
            config_schema={},
            required_resource_keys={REPOSITORY},
            description="Seals what an asset builds as a run folder, and loads only verified run folders.",
        ),
    }


def _read_active_report(repository: Repository, spec: RegistrySpec) -> SealReport | None:
    ref = pointer_file.read_pointers(repository).active(spec.registry_id)
    try:
        return None if ref is None else read_sealed_report(repository, spec, ref)
    except EvidenceError:
        return None
