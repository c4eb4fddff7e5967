"""Finding run folders by what people call them, and judging many of them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.validation import spec_of
from registry_pipeline.runs.listing import list_run_folder_names
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.runs.scan import read_run_folders
from registry_pipeline.values import value_type

_SHORTEST_ROOT: Final = 6
_ACTIVE: Final = re.compile(r"active(?:~(?P<back>[0-9]{1,4}))?")


@value_type
class FoundRun:
    """A folder to judge: where it lies, how it is shown, and its run root (None for a folder named by path)."""

    path: Path
    shown: str
    run_root: str | None
    run_id: str


def all_runs(repository: Repository) -> list[FoundRun]:
    """Return every run folder under the run roots, by root in their order and then by name; links are left out."""

    def refuse(run_root: str, error: OSError) -> None:
        raise NotFoundError(f"{run_root} cannot be read: {error.strerror}", "check its permissions") from None

    listing = list_run_folder_names(repository.root, repository.config.run_roots, refuse)
    return [found_run(repository, run_root, name) for run_root, names in listing for name in names]


def active_runs(repository: Repository) -> list[FoundRun]:
    """Return the runs that the pointer file names, by registry; those whose folders are absent are left out."""
    pointers = read_pointers(repository)
    refs = [ref for p in pointers.pointers if (ref := pointers.active(p.registry_id)) is not None]
    found = [found_run(repository, ref.run_root, ref.run_id) for ref in refs]
    return [run for run in found if run.path.is_dir()]


def find_run(repository: Repository, word: str, registry_id: str | None = None) -> FoundRun:
    """Return the one run that a word means: `active`, `active~N`, `latest`, a run id, its prefix, a root's prefix.

    With `registry_id`, `active` and `latest` are that registry's; `active~N` is what was in force N moves ago.

    Raises:
        NotFoundError: no run, or more than one, is meant.
    """
    active = _ACTIVE.fullmatch(word)
    if active is not None:
        ref = None if registry_id is None else _active_before(repository, registry_id, int(active["back"] or 0))
        if ref is None:
            raise NotFoundError(f"`{word}` needs a registry for which a run was active", "name the run by its id")
        return found_run(repository, ref.run_root, ref.run_id)
    runs = all_runs(repository)
    if word == "latest":
        tag = None if registry_id is None else spec_of(registry_id).tag
        dated = [(rid, run) for run in runs if (rid := RunId.parse(run.run_id)) and tag in (None, rid.tag)]
        if not dated:
            raise NotFoundError("there is no run yet", "run `registry-pipeline build`")
        return max(dated, key=lambda pair: (pair[0].stamp, pair[0].number, pair[1].run_id))[1]
    return _by_name(repository, runs, word)


def _active_before(repository: Repository, registry_id: str, back: int) -> SealedRef | None:
    """Return what was in force so many moves ago, None if nothing was; 0 is what the pointer file says."""
    if back == 0:
        return read_pointers(repository).active(registry_id)
    records = (sealed.record for sealed in read_chain_state(repository).records)
    moves = [move for record in records for move in record.moves if move.registry_id == registry_id]
    return moves[-back].from_ref if back <= len(moves) else None


def _by_name(repository: Repository, runs: Sequence[FoundRun], word: str) -> FoundRun:
    exact = [run for run in runs if run.run_id == word]
    near = exact or [run for run in runs if run.run_id.startswith(word)]
    if not near and len(word) >= _SHORTEST_ROOT and set(word) <= set("0123456789abcdef"):
        scan = read_run_folders(repository.root, repository.config.run_roots)
        near = [
            found_run(repository, r.run_root, r.run_id) for r in scan.runs if (r.claimed_root or "").startswith(word)
        ]
    if len(near) == 1:
        return near[0]
    if not near:
        raise NotFoundError(f"no run is called {word!r}", "`registry-pipeline log` lists them; a path needs a slash")
    names = ", ".join(run.shown for run in near[:3])
    raise NotFoundError(f"{word!r} means {len(near)} runs: {names} …", "write more of the name")


def found_run(repository: Repository, run_root: str, run_id: str) -> FoundRun:
    return FoundRun(repository.path(run_root) / run_id, f"{run_root}/{run_id}", run_root, run_id)


def folder_at(path: Path) -> FoundRun:
    """Return the folder at a path, taken literally.

    Raises:
        NotFoundError: nothing is there.
    """
    if not path.is_symlink() and not path.exists():
        raise NotFoundError(f"there is no {path}", "a bare word is a run id; a path needs a slash")
    return FoundRun(path, str(path), None, Path(os.path.abspath(path)).name)  # noqa: PTH100 - resolve() follows links
