"""Finding run folders by what people call them, and judging many of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import NotFoundError
from registry_pipeline.model.ids import RunId
from registry_pipeline.model.verdict import Verdict
from registry_pipeline.runbook.reading import read_pointers, spec_of
from registry_pipeline.seal.verify import verify_folders
from registry_pipeline.sources.run_folders import read_run_folders
from registry_pipeline.validate.run import check_run, needed_files

_SHORTEST_ROOT: Final = 6


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A folder to judge: where it lies, how it is shown, and its run root (None for a folder named by path)."""

    path: Path
    shown: str
    run_root: str | None
    run_id: str


def all_runs(governed: Governed) -> list[FoundRun]:
    """Return every run folder under the run roots, by root in their order and then by name; links are left out."""
    found: list[FoundRun] = []
    for run_root in governed.config.run_roots:
        try:
            with os.scandir(governed.path(run_root)) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NotFoundError(f"{run_root} cannot be read: {error.strerror}", "check its permissions") from None
        found += [_found(governed, run_root, name) for name in names]
    return found


def active_runs(governed: Governed) -> list[FoundRun]:
    """Return the runs that the pointer file names, by registry; those whose folders are absent are left out."""
    pointers = read_pointers(governed)
    refs = [ref for p in pointers.pointers if (ref := pointers.active(p.registry_id)) is not None]
    found = [_found(governed, ref.run_root, ref.run_id) for ref in refs]
    return [run for run in found if run.path.is_dir()]


def find_run(governed: Governed, word: str, registry_id: str | None = None) -> FoundRun:
    """Return the one run that a revision word means: `active`, `latest`, a run id, its prefix, a root's prefix.

    With `registry_id`, `active` and `latest` are that registry's.

    Raises:
        NotFoundError: no run, or more than one, is meant.
    """
    if word == "active":
        ref = None if registry_id is None else read_pointers(governed).active(registry_id)
        if ref is None:
            raise NotFoundError("`active` needs a registry that has an active run", "name the run by its id")
        return _found(governed, ref.run_root, ref.run_id)
    runs = all_runs(governed)
    if word == "latest":
        tag = None if registry_id is None else spec_of(registry_id).tag
        dated = [(rid, run) for run in runs if (rid := RunId.parse(run.run_id)) and tag in (None, rid.tag)]
        if not dated:
            raise NotFoundError("there is no run yet", "run `registry-pipeline build`")
        return max(dated, key=lambda pair: (pair[0].stamp, pair[0].number, pair[1].run_id))[1]
    return _by_name(governed, runs, word)


def _by_name(governed: Governed, runs: Sequence[FoundRun], word: str) -> FoundRun:
    exact = [run for run in runs if run.run_id == word]
    near = exact or [run for run in runs if run.run_id.startswith(word)]
    if not near and len(word) >= _SHORTEST_ROOT and set(word) <= set("0123456789abcdef"):
        scan = read_run_folders(governed.root, governed.config.run_roots)
        near = [_found(governed, r.run_root, r.run_id) for r in scan.runs if (r.claimed_root or "").startswith(word)]
    if len(near) == 1:
        return near[0]
    if not near:
        raise NotFoundError(f"no run is called {word!r}", "`registry-pipeline log` lists them; a path needs a slash")
    names = ", ".join(run.shown for run in near[:3])
    raise NotFoundError(f"{word!r} means {len(near)} runs: {names} …", "write more of the name")


def _found(governed: Governed, run_root: str, run_id: str) -> FoundRun:
    return FoundRun(governed.path(run_root) / run_id, f"{run_root}/{run_id}", run_root, run_id)


def folder_at(path: Path) -> FoundRun:
    """Return the folder at a path, taken literally.

    Raises:
        NotFoundError: nothing is there.
    """
    if not path.is_symlink() and not path.exists():
        raise NotFoundError(f"there is no {path}", "a bare word is a run id; a path needs a slash")
    return FoundRun(path, str(path), None, Path(os.path.abspath(path)).name)  # noqa: PTH100 - resolve() follows links


def verify_runs(
    runs: Sequence[FoundRun],
    *,
    jobs: int = 1,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Judge folders in their order: seal, envelope and schema, or the seal alone. `on_done` gets the count so far."""
    keep = frozenset[str]() if only_seal else needed_files(REGISTRIES)
    places = [(run.path, run.shown) for run in runs]
    for report in verify_folders(places, jobs=jobs, keep=keep, on_done=on_done):
        yield check_run(report, REGISTRIES, only_seal=only_seal)
