"""Evidence that the commit at HEAD has and the working tree has not."""

from __future__ import annotations

from collections.abc import Sequence

from registry_pipeline.config import Governed
from registry_pipeline.errors import NotFoundError
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding
from registry_pipeline.sources.git import read_missing_files
from registry_pipeline.validate.history import check_tracked


def check_tracked_files(governed: Governed, pathspecs: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding for each run folder and file of which HEAD has more than the working tree.

    `pathspecs` are those of the evidence to compare. Where git cannot read the repository, the only finding says so.
    """
    try:
        missing = read_missing_files(governed.root, pathspecs)
    except NotFoundError as error:
        return (git_unreadable(error),)
    return check_tracked(missing, governed.config.run_roots)


def git_unreadable(error: NotFoundError) -> Finding:
    """Return the finding that says why git cannot read the repository."""
    return finding("CONFIG_GIT_UNREADABLE", ".git", detail=f"{error.message}; {error.advice}")
