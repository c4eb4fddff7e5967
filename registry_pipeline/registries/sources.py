"""What the registries are built from: where each source is, and a version that changes with its content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.capture_table import CAPTURES, WAIVERS_PATH
from registry_pipeline.config import Config, Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.read import hash_regular_file, read_regular_file
from registry_pipeline.git.repository import read_commit_id
from registry_pipeline.registries.base.capture import LATEST, find_matches
from registry_pipeline.registries.catalog import Catalog, catalog_of
from registry_pipeline.registries.entries.schemas import SCHEMA_FOLDER
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.scan import list_run_folder_names
from registry_pipeline.values import value_type

RUN_ROOTS: Final = "run_roots"
GIT: Final = "git"
_CAPTURED: Final = "captured."
_OWN: Final = "registries."
UNOBSERVED: Final = frozenset({"pointers"})
"""The names of what registries read that the pipeline itself writes."""
_ONLY_LATEST: Final = "captured.derived_validation_reports"


@value_type
class SourceState:
    """What a source is now; `version` changes with its content, and when it appears or disappears."""

    state: Literal["present", "missing", "unreadable"]
    version: str
    # Repository-relative paths of files, folders or run roots; none of the git commit.
    paths: tuple[str, ...]
    # How many files or run folders it has.
    count: int
    # Why it cannot be read.
    problem: str = ""


def list_sources(catalog: Catalog) -> tuple[str, ...]:
    """Return the names of the sources of all builds: a key of the configuration each, `run_roots` and `git`."""
    # The members of collections are found by their names: the hash of all their files would take too long.
    rows = catalog.registries.values()
    built = (spec for spec in rows if spec.builder is not None and spec.kind != "collection")
    return tuple(sorted({name for spec in built for name in spec.sources} - UNOBSERVED))


def find_source_paths(config: Config, name: str) -> tuple[str, ...]:
    """Return the repository-relative paths of a source; () for `git`."""
    if name == GIT:
        return ()
    if name.startswith(_CAPTURED):
        registry_id = name.removeprefix(_CAPTURED)
        captured = config.captured.get(registry_id)
        source = (None if captured is None else captured.source) or CAPTURES[registry_id].source
        return () if source is None else (source,)
    value: object = config
    for key in name.split("."):
        value = getattr(value, key)
    return value if isinstance(value, tuple) else (str(value),)


def _find_rule_paths(config: Config, name: str) -> tuple[str, ...]:
    """Return the paths of what decides whether a source is accepted: schemas and waivers of the repository."""
    if name.startswith(_CAPTURED):
        captured = config.captured.get(name.removeprefix(_CAPTURED))
        return () if captured is None or captured.schema is None else (captured.schema,)
    if name.startswith("entries."):
        return (SCHEMA_FOLDER,)
    return (WAIVERS_PATH,) if name == "roles.pack" else ()


def read_source(repository: Repository, name: str) -> SourceState:
    """Return what a source is now.

    The version of the run roots is that of the names of their run folders, without those of the pipeline itself: a
    build does not change it, and it costs one listing for each root. That of `git` is the commit. Any other is the hash
    of all files, and of the schemas and waivers of the repository by which they are judged.
    """
    if name.startswith(_OWN):
        spec = catalog_of(repository).registries.get(name.removeprefix(_OWN))
        paths = () if spec is None else spec.source_paths
        # A schema of a package is not in the repository.
        rule_paths = () if spec is None else tuple(path for path, _ in spec.own_schemas)
    else:
        paths, rule_paths = find_source_paths(repository.config, name), _find_rule_paths(repository.config, name)
    try:
        if name == GIT:
            commit = read_commit_id(repository.root, "HEAD")
            return SourceState("missing" if commit is None else "present", commit or "missing", (), 0)
        if name == RUN_ROOTS:
            return _make_state(paths, sorted(_list_run_folders(repository)), [])
        if name.startswith(_OWN):
            paths = tuple(path for pattern in paths for path in find_matches(repository, pattern).paths)
        files = sorted(_list_files(repository, paths, only_latest=name == _ONLY_LATEST))
        rules = sorted(_list_files(repository, rule_paths))
    except NotFoundError as error:
        return SourceState("missing", "missing", (), 0, error.message)
    except OSError as error:
        return SourceState(
            "unreadable", "unreadable", paths, 0, ": ".join(filter(None, (error.strerror, error.filename)))
        )
    return _make_state(paths, files, rules) if files else SourceState("missing", "missing", paths, 0)


def _make_state(paths: tuple[str, ...], lines: Sequence[str], rules: Sequence[str]) -> SourceState:
    version = sha256_hex("".join([*lines, *rules]).encode("utf-8", "surrogateescape"))
    return SourceState("present", version, paths, len(lines))


def _list_run_folders(repository: Repository) -> Iterator[str]:
    def fail(_run_root: str, error: OSError) -> None:
        raise error

    catalog = catalog_of(repository)
    for run_root, names in list_run_folder_names(repository, repository.config.run_roots, fail):
        for name in names:
            run_id = RunId.parse(name)
            if repository.config.find_exclusion(run_root, name):
                continue
            if run_id is None or not catalog.is_own_tag(run_id.tag):
                yield f"{run_root}/{name}\n"


def _list_files(repository: Repository, paths: tuple[str, ...], *, only_latest: bool = False) -> Iterator[str]:
    """Yield a line with path and hash for each file of a source."""
    for path in paths:
        for file in _walk(os.fspath(repository.path(path)), only_latest=only_latest):
            relative = os.path.relpath(file, repository.root)
            yield f"{relative} {hash_regular_file(file)}\n"


def _walk(path: str, *, only_latest: bool = False) -> Iterator[str]:
    """Yield the files of a source: a file itself, or those below a folder; none if it is missing.

    With `only_latest`, of a folder with a LATEST.txt only that file and those below the folder that it names.
    """
    try:
        with os.scandir(path) as listing:
            entries = list(listing)
    except NotADirectoryError:
        yield path
        return
    except FileNotFoundError:
        return
    if only_latest and any(entry.name == LATEST for entry in entries):
        # Older folders are not captured, and would make this slower with each of them.
        latest = read_regular_file(f"{path}/{LATEST}").decode("utf-8", "replace").strip()
        entries = [entry for entry in entries if entry.name in {LATEST, latest}]
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif entry.is_file():
            yield entry.path
