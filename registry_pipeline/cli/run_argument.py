"""What a run argument means: a path is a folder, taken literally; a bare word is a run revision (SPEC 6)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.pointers.find_runs import FoundRun, find_run, folder_at


def is_path(word: str) -> bool:
    """Tell whether an argument names a folder by its path."""
    return "/" in word or word in (".", "..")


def repository_of(reporter: Reporter, words: Iterable[str]) -> Repository | None:
    """Return the repository around us; None where there is none and every word is a path, which needs none.

    Raises:
        NotFoundError: there is none, and it is asked for.
    """
    try:
        return find_repository(reporter.settings.repo)
    except NotFoundError:
        if reporter.settings.repo is None and all(map(is_path, words)):
            return None
        raise


def find_named(repository: Repository | None, word: str, registry_id: str | None = None) -> FoundRun:
    """Return the folder that an argument names; `repository` may be None for a path, which needs no repository.

    Raises:
        NotFoundError: nothing, or more than one run, is meant.
    """
    if repository is None or is_path(word):
        return folder_at(Path(word))
    return find_run(repository, word, registry_id)
