"""Record what a program does as a sealed run: a folder for its files, its times, its result and the git state."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import ConfigError, DurabilityError, NotFoundError, PublishError
from registry_pipeline.findings.finding import did_you_mean
from registry_pipeline.git.tree import WorkingTree
from registry_pipeline.registries.base.operations import read_operation_catalog
from registry_pipeline.registries.base.seal_build import (
    BuildRun,
    read_version,
    refuse_linked_publish_root,
    start_build_run,
)
from registry_pipeline.registries.base.shard_names import is_shard_tag
from registry_pipeline.registries.catalog import Catalog, catalog_of
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.staged_run import StagedRun
from registry_pipeline.runs.writer import PublishedFolder
from registry_pipeline.values import value_type

DEFAULT_TAG: Final = "record"
_BUILDER: Final = "registry_pipeline.recording"


@value_type
class OperationChoice:
    """An operation that a run names: its option in the catalog, and a sentence if the catalog does not have it."""

    operation_id: str | None
    option: str | None = None
    warning: str | None = None


def find_operation(repository: Repository, operation_id: str | None) -> OperationChoice:
    """Return an operation with its option; an id that no document defines is kept, with a warning.

    Raises:
        ConfigError: the id is blank.
    """
    if operation_id is None:
        return OperationChoice(None)
    if not operation_id.strip():
        raise ConfigError("the operation id is empty", "name an operation, such as OP-A01, or none")
    catalog, _ = read_operation_catalog(WorkingTree(repository.root), repository.config)
    options = {operation.operation_id: operation.option for operation in catalog.operations}
    if operation_id in options:
        return OperationChoice(operation_id, options[operation_id] or None)
    similar = did_you_mean(operation_id, options)
    question = f"; did you mean {similar}?" if similar else ""
    warning = f"no operations catalog defines {operation_id}, so `status` will not list it{question}"
    return OperationChoice(operation_id, warning=warning)


def make_run_id(catalog: Catalog, started: datetime, tag: str | None, operation_id: str | None) -> RunId:
    """Return the run id of a recorded run; the default tag is the operation id in lower case.

    Raises:
        ConfigError: the tag cannot be part of a run id, or is that of a registry.
    """
    if tag is None:
        tag = (operation_id or DEFAULT_TAG).lower()
        tag = DEFAULT_TAG if _find_tag_problem(catalog, started, tag) else tag
    problem = _find_tag_problem(catalog, started, tag)
    if problem is not None:
        raise ConfigError(f"the tag {tag!r} {problem}", "use letters, digits, `_`, `.` and `-`, as in nightly-train")
    return RunId(started, tag)


def _find_tag_problem(catalog: Catalog, started: datetime, tag: str) -> str | None:
    # With two underscores the end of a tag could be read as a number or a partition.
    if "__" in tag or RunId.parse(f"{RunId(started, tag)}__999") != RunId(started, tag, number=999):
        return "cannot be part of a run id"
    # Such a name is enough to be taken for an activation record, a delta log or the run of a shard.
    if is_shard_tag(tag) or any(
        spec.tag is not None and tag.startswith(spec.tag) for spec in catalog.registries.values()
    ):
        return "starts with the tag of a registry"
    return None


class RecordedRun:
    """A run in progress: a staging folder, published with a run.json when the run ends.

    Attributes:
        path: the folder for the files of the run, until it ends.
    """

    def __init__(self, repository: Repository, run: BuildRun, run_id: RunId, operation: OperationChoice) -> None:
        """Make the folder; raises as `StagedRun`, and RefusedError if publish_root is behind a link."""
        refuse_linked_publish_root(repository)
        self._repository = repository
        self._run = run
        self._operation = operation
        self._start = time.monotonic()
        self.staged = StagedRun(repository.publish_root, repository.staging_root, run_id)
        self.path = self.staged.path

    def publish(self, execution: Mapping[str, Any]) -> PublishedFolder:
        """Publish the folder; `execution` says how the run ended. If that fails, its files are kept in quarantine.

        Raises:
            PublishError: it cannot be published; the message says where the files are.
            DurabilityError: it is published and complete, but the disk did not confirm it.
        """
        seconds = time.monotonic() - self._start
        times = {
            "started_utc": utc_text(self._run.started),
            "ended_utc": utc_text(self._run.started + timedelta(seconds=round(seconds))),
            "seconds": round(seconds, 3),
        }

        def make_run_json(run_id: RunId, outputs: Any) -> bytes:
            return json_document(self._make_run_json(run_id, outputs, {**execution, **times}))

        try:
            return self.staged.publish(make_run_json)
        except DurabilityError:
            raise
        except PublishError as error:
            raise self.keep(error) from error

    def keep(self, error: PublishError) -> PublishError:
        """Move the files of a run that cannot be published to quarantine; return the error that says where they are."""
        path = self.staged.quarantine(self._repository.state_root / "quarantine")
        kept = f"the files of the run are kept in {path}" if path.exists() else "the folder of the run is gone"
        return PublishError(f"{error.message}; {kept}", error.advice)

    def _make_run_json(self, run_id: RunId, outputs: Any, execution: Mapping[str, Any]) -> dict[str, Any]:
        repository_id = self._repository.config.repository_id
        return {
            "run_id": str(run_id),
            "created_utc": utc_text(self._run.started),
            "run_type": run_id.tag,
            "option": self._operation.option,
            "operation_id": self._operation.operation_id,
            "git_commit": self._run.git.commit,
            "working_tree_state": self._run.git.working_tree_state,
            **({} if repository_id is None else {"repository_id": repository_id}),
            "execution": execution,
            "outputs": outputs,
            "builder": {"name": _BUILDER, "version": read_version()},
        }


class OpenRun:
    """A run that a `with` block records; see `open_run`.

    Attributes:
        path: the folder for the files of the run, inside the block only.
        warning: a sentence if no operations catalog defines the operation, else None.
    """

    path: Path
    warning: str | None = None
    _published: PublishedFolder | None = None

    def __init__(self, repository: Repository, operation: str | None, tag: str | None, now: datetime | None) -> None:
        self._repository = repository
        self._operation = operation
        self._tag = tag
        self._now = now

    def __enter__(self) -> Self:
        """Make the folder; raises as `open_run`."""
        now = datetime.now(UTC) if self._now is None else self._now.astimezone(UTC)  # noqa: TID251 - an interface, too
        started = now.replace(microsecond=0)
        operation = find_operation(self._repository, self._operation)
        run_id = make_run_id(catalog_of(self._repository), started, self._tag, self._operation)
        run = start_build_run(self._repository, started)
        self._run = RecordedRun(self._repository, run, run_id, operation)
        self._process = os.getpid()
        self.path, self.warning = self._run.path, operation.warning
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Publish the run, whether or not the block raised; an exception of the block is raised again."""
        # A forked child that leaves the block must not publish the run of its parent.
        if os.getpid() == self._process:
            self._published = self._run.publish(make_block_execution(kind, error))

    @property
    def published(self) -> PublishedFolder:
        """The sealed folder, with its `path`, `run_id` and `root_sha256`; NotFoundError before the block has ended."""
        if self._published is None:
            raise NotFoundError("the run is not published yet", "look at it after the `with` block")
        return self._published


def make_block_execution(kind: type[BaseException] | None, error: BaseException | None) -> dict[str, Any]:
    """Return how a block ended, for run.json; of an exception its type only, because its text may have secrets."""
    # As for the interpreter, sys.exit() without a code is success.
    succeeded = kind is None or (isinstance(error, SystemExit) and error.code in (None, 0))
    name = None if kind is None else f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    return {"outcome": "success" if succeeded else "failure", "exception": name}


def open_run(
    *,
    operation: str | None = None,
    tag: str | None = None,
    repository: Path | str | None = None,
    now: datetime | None = None,
) -> OpenRun:
    """Return a context manager that records its block as one sealed run, complete or not at all.

    Files that the block writes below `path` become part of the run. It is published when the block ends, also when it
    raises; the type of the exception is recorded, and the exception is raised again. Output is not recorded.

    Args:
        operation: the operation that the run belongs to, such as `OP-A01`.
        tag: the end of the run id; default: the operation id in lower case, else `record`.
        repository: a folder of the repository; default: found as by the command line.
        now: the start of the run, with a time zone; default: the clock when the block starts.

    Raises:
        NotFoundError: there is no repository, or git cannot read it.
        ConfigError: the toml file, the operation or the tag is invalid, or `now` has no time zone.
        RefusedError: publish_root is a link or behind one.
        PublishError: the folder cannot be made, or at the end of the block not be published; then its files are kept.
        DurabilityError: the run is published, but the disk did not confirm it.
    """
    if now is not None and now.tzinfo is None:
        raise ConfigError("`now` has no time zone", "pass datetime.now(UTC), for example")
    return OpenRun(find_repository(None if repository is None else Path(repository)), operation, tag, now)
