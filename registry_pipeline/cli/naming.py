"""What a run argument means: a path is a folder, taken literally; a bare word is a run revision (SPEC 6)."""

from __future__ import annotations

from pathlib import Path

from registry_pipeline.config import Governed
from registry_pipeline.runbook import FoundRun, find_run, folder_at


def is_path(word: str) -> bool:
    """Tell whether an argument names a folder by its path."""
    return "/" in word or word in (".", "..")


def find_named(governed: Governed | None, word: str, registry_id: str | None = None) -> FoundRun:
    """Return the folder that an argument names; `governed` may be None for a path, which needs no repository.

    Raises:
        NotFoundError: nothing, or more than one run, is meant.
    """
    if governed is None or is_path(word):
        return folder_at(Path(word))
    return find_run(governed, word, registry_id)
