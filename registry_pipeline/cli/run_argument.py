"""Run arguments: a word with a slash is the path of a folder; any other word is a run revision."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.pointers.find_runs import FoundRun, find_run, find_run_at


def is_path(name: str) -> bool:
    """Return whether an argument is the path of a folder: it has a slash, or is "." or ".."."""
    return "/" in name or name in (".", "..")


def find_repository_for(reporter: Reporter, names: Iterable[str]) -> Repository | None:
    """Return the repository, else None if -C names none and every argument is a path, else raise NotFoundError."""
    try:
        return find_repository(reporter.settings.repo)
    except NotFoundError:
        if reporter.settings.repo is None and all(map(is_path, names)):
            return None
        raise


def find_named_run(repository: Repository | None, name: str, registry_id: str | None = None) -> FoundRun:
    """Return the run that an argument names: the folder of a path (always without a repository), else as `find_run`."""
    if repository is None or is_path(name):
        return find_run_at(Path(name))
    return find_run(repository, name, registry_id)
