"""Run arguments: a path of a folder or an archive, or else a run revision."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.pointers.find_runs import FoundRun, find_run, find_run_at
from registry_pipeline.runs.archive_reader import is_archive


def is_path(name: str) -> bool:
    """Return whether an argument is a path: it has a slash, is "." or "..", or names an archive that exists."""
    return "/" in name or name in (".", "..") or is_archive(name)


def find_repository_for(reporter: Reporter, names: Iterable[str]) -> Repository | None:
    """Return the repository, or None if there is none, -C names none and every argument is a path or a folder here.

    Raises:
        NotFoundError: there is no repository, and it is needed.
    """
    try:
        return find_repository(reporter.settings.repo)
    except NotFoundError:
        if reporter.settings.repo is None and all(is_path(name) or Path(name).is_dir() for name in names):
            return None
        raise


def find_named_run(repository: Repository | None, name: str, registry_id: str | None = None) -> FoundRun:
    """Return the run that an argument names: a path (always without a repository), else as `find_run`.

    A word that names no run may name a folder in the working directory.
    """
    if repository is None or is_path(name):
        return find_run_at(Path(name))
    try:
        return find_run(repository, name, registry_id)
    except NotFoundError:
        if registry_id is None and Path(name).is_dir():
            return find_run_at(Path(name))
        raise
