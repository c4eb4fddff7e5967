"""Find evidence that the commit at HEAD contains and the working tree lacks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.findings.wording import plural
from registry_pipeline.git.repository import read_missing_files

_MAX_NAMES: Final = 3


def check_tracked_files(repository: Repository, pathspecs: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding for each run folder and file that HEAD contains and the working tree lacks, even in part.

    Args:
        repository: the repository.
        pathspecs: git pathspecs of the evidence. If git cannot read the repository, the only finding says so.
    """
    try:
        missing = read_missing_files(repository.root, pathspecs)
    except NotFoundError as error:
        return (make_git_unreadable_finding(error),)
    return check_tracked(missing, repository.config.run_roots)


def make_git_unreadable_finding(error: NotFoundError) -> Finding:
    """Return the finding that says why git cannot read the repository."""
    return finding("CONFIG_GIT_UNREADABLE", ".git", detail=f"{error.message}; {error.advice}")


def file_pathspecs(*paths: str) -> tuple[str, ...]:
    """Return the pathspecs of these files, and of everything in these folders."""
    return tuple(f":(literal){path}" for path in paths)


def quote_pathspec(path: str) -> str:
    """Return a path with the characters escaped that a git pathspec treats as a pattern."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def check_tracked(missing: Iterable[str], run_roots: Collection[str]) -> tuple[Finding, ...]:
    """Return a finding for each run folder with missing files, and for each other missing file.

    Args:
        missing: files that HEAD contains and the working tree lacks; files directly in a run root are ignored.
        run_roots: the configured run roots.
    """
    lost: dict[str, list[str]] = {}
    for path in missing:
        run_root = next((root for root in run_roots if path.startswith(f"{root}/")), None)
        if run_root is None:
            lost.setdefault(path, [])
            continue
        # One finding for a whole run folder: its files are useless one by one.
        run_id, _, relpath = path.removeprefix(f"{run_root}/").partition("/")
        if relpath:
            lost.setdefault(f"{run_root}/{run_id}", []).append(relpath)
    return sorted_findings(
        finding("TRACKED_MISSING", path, detail=_describe_files(files)) for path, files in lost.items()
    )


def _describe_files(files: list[str]) -> str:
    names = ", ".join(sorted(files)[:_MAX_NAMES]) + (", ..." if len(files) > _MAX_NAMES else "")
    return f"{plural(len(files), 'file')} ({names})" if files else "this file"
