"""Search a repository for run roots: folders with several run folders, known by an envelope file or a date."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from registry_pipeline.canonical import parse_instant, try_parse_strict_json
from registry_pipeline.config import Adapter
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.finding import plural
from registry_pipeline.values import value_type

RUN_JSON: Final = "run.json"
META_JSON: Final = "meta.json"
# A folder is proposed from so many run folders on.
_SEVERAL: Final = 2
_MOST_FOLDERS: Final = 200_000
_MOST_SAMPLES: Final = 50
_MOST_BYTES: Final = 1 << 20
_MOST_LEVELS: Final = 3
_DATE: Final = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12][0-9]|3[01])(?![0-9])"
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SKIPPED_NAMES: Final = frozenset({".git", ".hg", "node_modules", "__pycache__"})
# Names that mark an environment, a cache, or a repository inside the repository.
_SKIPPED_MARKERS: Final = frozenset({"pyvenv.cfg", "CACHEDIR.TAG", ".git"})
# The names under which tools state a fact of a run, the most specific first.
_USUAL_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "run_id": ("run_id", "runid", "id", "run", "name"),
    "created_utc": ("created_utc", "created_at", "created", "started_at", "started", "start_time", "timestamp", "date"),
    "operation_id": ("operation_id", "operation", "op_id", "op", "job_id", "job", "task"),
    "run_type": ("run_type",),
    "option": ("option",),
    "git_commit": ("git_commit", "git_sha", "commit_sha", "commit", "revision", "sha"),
}


@value_type
class RunRoot:
    """A folder with run folders; each of them is counted once: by run.json, else by meta.json, else by its date."""

    path: str
    # All folders directly in it.
    folders: int
    run_json: int
    meta_json: int
    dated: int
    # How meta.json is read; None if no folder needs it, or none of its keys is known.
    adapter: Adapter | None = None

    def to_text(self) -> str:
        """Return the counts in words."""
        counts = ((self.run_json, f"with {RUN_JSON}"), (self.meta_json, f"with {META_JSON}"), (self.dated, "dated"))
        kinds = ", ".join(f"{number} {kind}" for number, kind in counts if number)
        return f"{plural(self.folders, 'folder')}{f': {kinds}' if kinds else ''}"

    @property
    def is_likely(self) -> bool:
        """Whether several folders are run folders; if only dates say so, these must be at least half of all."""
        enveloped = self.run_json + self.meta_json
        return enveloped >= _SEVERAL or _SEVERAL <= enveloped + self.dated >= self.folders / 2


@value_type
class SearchResult:
    """The run roots by path, files that have the name of a pointer file, and what the search has to say beside that."""

    roots: tuple[RunRoot, ...] = ()
    pointer_files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@value_type
class _Listing:
    folders: tuple[str, ...]
    files: frozenset[str]
    # Whether the folder contains something else than the repository's own files.
    is_skipped: bool = False


def find_run_roots(root: Path, known: Iterable[str], skipped: Collection[str] = ()) -> SearchResult:
    """Return the run roots of a repository: those in `known` that exist, and folders with several run folders.

    No run root contains another. Links, `skipped` paths, environments, caches and nested repositories are not searched.
    """
    known = frozenset(known)
    outer = {str(parent) for path in known for parent in PurePosixPath(path).parents}
    roots: list[RunRoot] = []
    pointer_files: list[str] = []
    notes: list[str] = []
    queue = deque([("", _list_folder(os.fspath(root)))])
    remaining = _MOST_FOLDERS
    while queue:
        path, listing = queue.popleft()
        prefix = f"{path}/" if path else ""
        pointer_files += [f"{prefix}{name}" for name in sorted(listing.files) if _is_pointer_file_name(name)]
        paths = {name: f"{prefix}{name}" for name in listing.folders if f"{prefix}{name}" not in skipped}
        remaining -= len(paths)
        if remaining < 0:
            notes.append(f"the search ended after {_MOST_FOLDERS} folders: add other run roots to `run_roots` by hand")
            break
        children = {name: _list_folder(f"{root}/{child}") for name, child in paths.items()}
        found = _count_run_folders(path, children)
        if path in known or (found.is_likely and path not in outer and path and _can_be_configured(path)):
            roots.append(_with_adapter(root, found, children))
            continue
        if found.is_likely:
            notes.append(f"{path or 'the top folder'} ({found.to_text()}) {_explain_impossible(path, outer)}")
        queue.extend((paths[name], child) for name, child in children.items() if not child.is_skipped)
    return SearchResult(tuple(sorted(roots, key=lambda r: r.path)), tuple(sorted(pointer_files)), tuple(notes))


def _list_folder(path: str) -> _Listing:
    """Return the names in a folder; nothing if it cannot be read, because the build reports that for a run root."""
    try:
        with os.scandir(path) as entries:
            kinds = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries if not entry.is_symlink()}
    except OSError:
        return _Listing((), frozenset())
    folders = sorted(name for name, is_folder in kinds.items() if is_folder and name not in _SKIPPED_NAMES)
    files = frozenset(name for name, is_folder in kinds.items() if not is_folder)
    return _Listing(tuple(folders), files, not _SKIPPED_MARKERS.isdisjoint(kinds))


def _is_pointer_file_name(name: str) -> bool:
    return name.startswith("ACTIVE_REGISTRY_POINTERS") and name.endswith(".json")


def _can_be_configured(path: str) -> bool:
    """Return whether the toml can name a path: it is printable text without a backslash."""
    return path.isprintable() and "\\" not in path


def _explain_impossible(path: str, outer: Collection[str]) -> str:
    if not path:
        return "cannot be a run root: move its run folders into a folder of their own"
    if path in outer:
        return "cannot be a run root, because it contains another one"
    return "cannot be a run root: the toml cannot state its name"


def _count_run_folders(path: str, children: Mapping[str, _Listing]) -> RunRoot:
    kinds = Counter(
        RUN_JSON
        if RUN_JSON in child.files
        else META_JSON
        if META_JSON in child.files
        else "dated"
        if _DATE.search(name)
        else ""
        for name, child in children.items()
    )
    return RunRoot(path, len(children), kinds[RUN_JSON], kinds[META_JSON], kinds["dated"])


def _with_adapter(root: Path, found: RunRoot, children: Mapping[str, _Listing]) -> RunRoot:
    """Return the run root with an adapter for its meta.json files, if one of the usual keys has usable values."""
    names = [name for name, child in children.items() if META_JSON in child.files and RUN_JSON not in child.files]
    documents = dict(_read_samples(f"{root}/{found.path}", names[:_MOST_SAMPLES]))
    fields: dict[str, Any] = {field: _find_key(field, documents) for field in _USUAL_KEYS}
    if not any(fields.values()):
        return found
    adapter = Adapter(found.path, META_JSON, **fields)
    return RunRoot(found.path, found.folders, found.run_json, found.meta_json, found.dated, adapter)


def _read_samples(run_root: str, names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the values of each meta.json that is a JSON object, by dotted key and with the folder's name."""
    for name in names:
        try:
            data = read_regular_file(f"{run_root}/{name}/{META_JSON}", _MOST_BYTES)
        except OSError:
            continue
        document = try_parse_strict_json(data)
        if isinstance(document, dict):
            yield name, dict(_flatten(document, ""))


def _flatten(document: Mapping[str, Any], prefix: str, level: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield each value with its key, nested keys joined by dots; a key that has a dot itself cannot be named."""
    for key, value in document.items():
        if "." in key or not key or not key.isprintable():
            continue
        if isinstance(value, dict) and level < _MOST_LEVELS:
            yield from _flatten(value, f"{prefix}{key}.", level + 1)
        else:
            yield f"{prefix}{key}", value


def _find_key(field: str, documents: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the key under which most documents have usable values of a field, and none another value; else None."""
    counts = Counter(key for values in documents.values() for key in values)
    for usual in _USUAL_KEYS[field]:
        keys = sorted((k for k in counts if k.rpartition(".")[2].lower() == usual), key=lambda k: (k.count("."), k))
        for key in keys:
            stated = [(name, values[key]) for name, values in documents.items() if values.get(key) is not None]
            if 2 * len(stated) > len(documents) and all(_is_usable(field, value, name) for name, value in stated):
                return key
    return None


def _is_usable(field: str, value: Any, folder_name: str) -> bool:
    """Return whether a field can have a value: a text, the folder's name, a time or a commit."""
    if not isinstance(value, str) or not value:
        return False
    if field == "run_id":
        return value == folder_name
    if field == "created_utc":
        return parse_instant(value) is not None
    return field != "git_commit" or _COMMIT.fullmatch(value) is not None
