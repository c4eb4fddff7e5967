"""Evidence that the commit at HEAD has and the working tree has not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.repository import read_missing_files


def check_tracked_files(repository: Repository, pathspecs: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding for each run folder and file of which HEAD has more than the working tree.

    `pathspecs` are those of the evidence to compare. Where git cannot read the repository, the only finding says so.
    """
    try:
        missing = read_missing_files(repository.root, pathspecs)
    except NotFoundError as error:
        return (git_unreadable(error),)
    return check_tracked(missing, repository.config.run_roots)


def git_unreadable(error: NotFoundError) -> Finding:
    """Return the finding that says why git cannot read the repository."""
    return finding("CONFIG_GIT_UNREADABLE", ".git", detail=f"{error.message}; {error.advice}")


def file_pathspecs(*paths: str) -> tuple[str, ...]:
    """Return the pathspecs of files, and of all that is in folders."""
    return tuple(f":(literal){path}" for path in paths)


def quote_pathspec(path: str) -> str:
    return re.sub(r"([*?\[\\])", r"\\\1", path)


_SHOWN: Final = 3


def check_tracked(missing: Iterable[str], run_roots: Collection[str]) -> tuple[Finding, ...]:
    """Return a finding for each run folder and each other file of which the commit at HEAD has more than the tree.

    Args:
        missing: Files that HEAD has and the working tree has not; other files directly in a run root are no evidence.
        run_roots: The configured run roots.
    """
    lost: dict[str, list[str]] = {}
    for path in missing:
        run_root = next((root for root in run_roots if path.startswith(f"{root}/")), None)
        if run_root is None:
            lost.setdefault(path, [])
            continue
        run_id, _, relpath = path.removeprefix(f"{run_root}/").partition("/")
        if relpath:
            lost.setdefault(f"{run_root}/{run_id}", []).append(relpath)
    return sorted_findings(finding("TRACKED_MISSING", path, detail=_counted(files)) for path, files in lost.items())


def _counted(files: list[str]) -> str:
    shown = ", ".join(sorted(files)[:_SHOWN]) + (", ..." if len(files) > _SHOWN else "")
    return f"{len(files)} file{'' if len(files) == 1 else 's'} ({shown})" if files else "this file"
