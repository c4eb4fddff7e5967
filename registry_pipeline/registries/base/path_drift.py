"""Which commits touched the executables of the operations, all of them in one walk of git (SPEC 4.2, rule `paths`).

A catalog binds executables as people write them: a path, a command with arguments, a module. What counts is the first
word of each that names a file or folder which git has, or had.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from registry_pipeline.git.process import ask_git
from registry_pipeline.git.values import BoundPaths, PathDrift, TouchGraph
from registry_pipeline.registries.base.values import Operation


def read_path_drift(root: Path, operations: Iterable[Operation], tip: str | None) -> PathDrift:
    """Return the history of the operations' executables up to `tip`; it answers for every commit on the way.

    Args:
        root: The governed repository; paths of executables are relative to it.
        operations: Of the catalog.
        tip: The newest commit that will be asked about; None outside git or without a commit.

    Raises:
        NotFoundError: git cannot read the history, as in a clone that leaves trees out.
    """
    wanted = {each.operation_id: [list(named_paths(text)) for text in each.executables] for each in operations}
    candidates = {path for executables in wanted.values() for paths in executables for path in paths}
    graph, known = (None, frozenset[str]()) if tip is None else _read_graph(root, tip, sorted(candidates))
    bound: dict[str, BoundPaths] = {}
    for operation_id, executables in wanted.items():
        found = [next((path for path in paths if path in known), None) for paths in executables]
        bound[operation_id] = BoundPaths(frozenset(filter(None, found)), None not in found)
    return PathDrift(bound, graph)


def named_paths(executable: str) -> Iterator[str]:
    """Yield the paths inside the repository that the words of an executable may name, in their order."""
    words = [word.strip("`'\"()[],;") for word in executable.split()]
    for before, word in zip(["", *words], words, strict=False):
        if before == "-m":
            module = word.replace(".", "/")
            yield from (f"{module}.py", module)
        elif word and not word.startswith(("-", "/")):
            path = PurePosixPath(word.partition(":")[0]).as_posix()
            if path != "." and ".." not in path.split("/"):
                yield path


def _read_graph(root: Path, tip: str, paths: Sequence[str]) -> tuple[TouchGraph, frozenset[str]]:
    """Return the history up to a commit, and which of the paths some commit of it touched."""
    answer = ask_git(root, "rev-list", "--topo-order", "--parents", tip, "--") or b""
    lines = [line.split() for line in answer.decode("ascii").splitlines()]
    places = {words[0]: place for place, words in enumerate(lines)}
    parents = [[places[parent] for parent in words[1:]] for words in lines]
    touched: dict[int, frozenset[str]] = {}
    asked = frozenset(paths)
    for commit, names in _read_touches(root, tip, paths):
        touched[places[commit]] = frozenset(path for name in names for path in _prefixes(name) if path in asked)
    is_cut = ask_git(root, "rev-parse", "--is-shallow-repository") == b"true\n"
    return TouchGraph(places, parents, touched, is_cut), frozenset[str]().union(*touched.values())


def _read_touches(root: Path, tip: str, paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each commit with the names of the files that it touched under the paths; a merge with what it settled."""
    if not paths:
        return
    # Two empty fields stand before every commit, one behind every merge: no file has an empty name.
    form = ("--format=%x00%x00%H", "-z", "--name-only", "--no-renames", "--relative", "--full-history", "-c")
    told = ("-c", "log.showRoot=true", "-c", "log.showSignature=false", "log", *form)
    answer = ask_git(root, *told, tip, "--", *(f":(literal){path}" for path in paths)) or b""
    for entry in filter(None, answer.split(b"\0\0\0")):
        commit, *names = (word.removeprefix(b"\n") for word in entry.split(b"\0") if word)
        yield commit.decode("ascii"), [os.fsdecode(name) for name in names]


def _prefixes(name: str) -> Iterator[str]:
    """Yield a path and the folders that it lies in."""
    path = PurePosixPath(name)
    yield path.as_posix()
    yield from (folder.as_posix() for folder in path.parents)
