"""Find commits that changed the executables of operations, and evidence that HEAD has and the working tree lacks."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, plural, sorted_findings
from registry_pipeline.git.process import ask_git
from registry_pipeline.git.repository import read_missing_files
from registry_pipeline.git.values import BoundPaths, PathDrift, TouchGraph
from registry_pipeline.registries.base.values import Operation


def read_executable_history(root: Path, operations: Iterable[Operation], tip: str | None) -> PathDrift:
    """Return the paths of each operation's executables, and the commits up to `tip` that changed them.

    Of the paths that an executable may name, the first that a commit changed counts. If `tip` is None (no commit, or no
    git) there is no history, and no path is bound.

    Raises:
        NotFoundError: git cannot read the history, as in a clone without trees.
    """
    candidates = {
        operation.operation_id: [list(find_named_paths(text)) for text in operation.executables]
        for operation in operations
    }
    paths = {path for executables in candidates.values() for names in executables for path in names}
    graph, known = (None, frozenset[str]()) if tip is None else _read_graph(root, tip, sorted(paths))
    bound: dict[str, BoundPaths] = {}
    for operation_id, executables in candidates.items():
        tracked = [next((path for path in names if path in known), None) for names in executables]
        bound[operation_id] = BoundPaths(frozenset(filter(None, tracked)), None not in tracked)
    return PathDrift(bound, graph)


def find_named_paths(executable: str) -> Iterator[str]:
    """Yield the paths in the repository that the words of an executable may name, in their order.

    They need not exist. Options, absolute paths and paths with `..` are left out; `-m a.b` names a/b.py and a/b.
    """
    words = [word.strip("`'\"()[],;") for word in executable.split()]
    for previous, word in zip(["", *words], words, strict=False):
        if previous == "-m":
            module = word.replace(".", "/")
            yield from (f"{module}.py", module)
        elif word and not word.startswith(("-", "/")):
            path = PurePosixPath(word.partition(":")[0]).as_posix()
            if path != "." and ".." not in path.split("/"):
                yield path


def _read_graph(root: Path, tip: str, paths: Sequence[str]) -> tuple[TouchGraph, frozenset[str]]:
    """Return all commits up to `tip` with the paths that each changed, and the paths that any commit changed."""
    # (1) All commits with their parents.
    output = ask_git(root, "rev-list", "--topo-order", "--parents", tip, "--") or b""
    lines = [line.split() for line in output.decode("ascii").splitlines()]
    positions = {commits[0]: position for position, commits in enumerate(lines)}
    parents = [[positions[parent] for parent in commits[1:]] for commits in lines]
    # (2) The commits that changed one of the paths.
    requested = frozenset(paths)
    changes: dict[int, frozenset[str]] = {}
    for commit, names in _read_changes(root, tip, paths):
        # A bound folder is changed by every file in it.
        folders = (str(folder) for name in names for folder in PurePosixPath(name).parents)
        changes[positions[commit]] = requested.intersection((*names, *folders))
    is_shallow = ask_git(root, "rev-parse", "--is-shallow-repository") == b"true\n"
    return TouchGraph(positions, parents, changes, is_shallow), frozenset[str]().union(*changes.values())


def _read_changes(root: Path, tip: str, paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each commit with the files under the paths that it changed; of a merge, those that no parent has."""
    if not paths:
        return
    # Two empty fields come before every commit and one after every merge: no file has an empty name.
    options = ("--format=%x00%x00%H", "-z", "--name-only", "--no-renames", "--relative", "--full-history", "-c")
    command = ("-c", "log.showRoot=true", "-c", "log.showSignature=false", "log", *options)
    output = ask_git(root, *command, tip, "--", *(f":(literal){path}" for path in paths)) or b""
    for entry in filter(None, output.split(b"\0\0\0")):
        commit, *names = (part.removeprefix(b"\n") for part in entry.split(b"\0") if part)
        yield commit.decode("ascii"), [os.fsdecode(name) for name in names]


_MAX_NAMES: Final = 3


def check_tracked_files(repository: Repository, pathspecs: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding for each run folder and file that HEAD contains and the working tree lacks.

    `pathspecs` limit the files. If git cannot read the repository, the only finding says so.
    """
    try:
        missing = read_missing_files(repository.root, pathspecs)
    except NotFoundError as error:
        return (make_git_unreadable_finding(error),)
    return make_missing_findings(missing, repository.config.run_roots)


def make_git_unreadable_finding(error: NotFoundError) -> Finding:
    """Return the finding that says why git cannot read the repository."""
    return finding("CONFIG_GIT_UNREADABLE", ".git", detail=f"{error.message}; {error.advice}")


def make_pathspecs(*paths: str) -> tuple[str, ...]:
    """Return one literal git pathspec a path; that of a folder covers everything in it."""
    return tuple(f":(literal){path}" for path in paths)


def escape_pathspec(path: str) -> str:
    """Return a path with the characters escaped that a git pathspec treats as a pattern."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def make_missing_findings(missing: Iterable[str], run_roots: Collection[str]) -> tuple[Finding, ...]:
    """Return a finding for each run folder with missing files, and for each other missing file.

    `missing` are the paths that HEAD has and the working tree lacks. Files directly in a run root are ignored.
    """
    lost: dict[str, list[str]] = {}
    for path in missing:
        run_root = next((root for root in run_roots if path.startswith(f"{root}/")), None)
        if run_root is None:
            lost[path] = []
            continue
        # One finding for a whole run folder: its files are useless one by one.
        run_id, _, relpath = path.removeprefix(f"{run_root}/").partition("/")
        if relpath:
            lost.setdefault(f"{run_root}/{run_id}", []).append(relpath)
    findings = []
    for path, files in lost.items():
        names = ", ".join(sorted(files)[:_MAX_NAMES]) + (", ..." if len(files) > _MAX_NAMES else "")
        detail = f"{plural(len(files), 'file')} ({names})" if files else "this file"
        findings.append(finding("TRACKED_MISSING", path, detail=detail))
    return sorted_findings(findings)
