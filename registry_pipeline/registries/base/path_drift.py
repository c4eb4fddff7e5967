"""Find the commits that changed the executables of the operations, with two git commands for all of them.

A catalog names executables as people write them: a path, a command with arguments, or a module. The first word that
names a file or folder in the history counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from registry_pipeline.git.process import ask_git
from registry_pipeline.git.values import BoundPaths, PathDrift, TouchGraph
from registry_pipeline.registries.base.builder_inputs import Operation


def read_path_drift(root: Path, operations: Iterable[Operation], tip: str | None) -> PathDrift:
    """Return the history of the operations' executables up to a commit.

    Args:
        root: the repository; paths of executables are relative to it.
        operations: those of the catalog.
        tip: the newest commit of interest; None outside git or without a commit.

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
    """Yield the paths in the repository that the words of an executable may name, in their order."""
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
    """Return the history up to a commit, and those of the paths that some commit changed."""
    # (1) all commits with their parents
    output = ask_git(root, "rev-list", "--topo-order", "--parents", tip, "--") or b""
    lines = [line.split() for line in output.decode("ascii").splitlines()]
    positions = {commits[0]: position for position, commits in enumerate(lines)}
    parents = [[positions[parent] for parent in commits[1:]] for commits in lines]
    # (2) the commits that changed one of the paths
    requested = frozenset(paths)
    changes: dict[int, frozenset[str]] = {}
    for commit, names in _read_changes(root, tip, paths):
        changes[positions[commit]] = frozenset(
            path for name in names for path in _with_parents(name) if path in requested
        )
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


def _with_parents(name: str) -> Iterator[str]:
    """Yield a path and the folders that contain it."""
    path = PurePosixPath(name)
    yield path.as_posix()
    yield from (folder.as_posix() for folder in path.parents)
