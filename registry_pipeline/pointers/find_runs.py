"""Find run folders by run id, root hash, path, or a word such as `active` or `latest`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.pointers.plan import can_be_active
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.run_registry.archives import list_archives, read_archived_runs
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.runs.scan import find_seal_state, list_run_folder_names, read_run_folders
from registry_pipeline.values import value_type

_SHORTEST_ROOT: Final = 6
_ACTIVE: Final = re.compile(r"active(?:~(?P<back>[0-9]{1,4}))?")


@value_type
class FoundRun:
    """A run folder: its path, the path to display, and its run root (None for a folder named by path)."""

    path: str
    shown: str
    run_root: str | None
    run_id: str


def list_all_runs(repository: Repository) -> list[FoundRun]:
    """Return every run folder by run root and name, without links; NotFoundError if a run root cannot be listed.

    Folders that `exclude` of the toml matches are left out unless they have a seal file.
    """

    def refuse(run_root: str, error: OSError) -> None:
        raise NotFoundError(f"{run_root} cannot be read: {error.strerror}", "check its permissions") from None

    listing = list_run_folder_names(repository, repository.config.run_roots, refuse)
    paths = {run_root: os.fspath(repository.path(run_root)) for run_root in repository.config.run_roots}
    return [
        FoundRun(f"{paths[run_root]}/{name}", f"{run_root}/{name}", run_root, name)
        for run_root, names in listing
        for name in names
        # A seal is evidence, which no configuration may hide from a verification.
        if not repository.config.find_exclusion(run_root, name) or find_seal_state(paths[run_root], name) != "unsealed"
    ]


def list_archived_runs(repository: Repository) -> list[FoundRun]:
    """Return each archive that the toml names; verifying it verifies all of its runs."""
    paths, _ = list_archives(repository)
    return [find_run_at(repository.path(path), path) for path in paths]


def list_active_runs(repository: Repository) -> list[FoundRun]:
    """Return the active runs whose folders exist, by registry."""
    refs = read_pointers(repository).active_refs()
    runs = [make_found_run(repository, ref.run_root, ref.run_id) for ref in refs.values()]
    return [run for run in runs if os.path.isdir(run.path)]  # noqa: PTH112 - thousands are listed, so paths are text


def find_run(repository: Repository, word: str, registry_id: str | None = None) -> FoundRun:
    """Return the run that a word names: `active`, `active~N`, `latest`, or the start of a run id or root hash.

    `active` is the active run of `registry_id`, `active~N` the one before its last N moves, of which
    rollbacks are some. `latest` is the newest run of `registry_id`, or else of all registries, in build order. A
    word that names no run, or several, is a NotFoundError.
    """
    active = _ACTIVE.fullmatch(word)
    if active is not None:
        ref = None if registry_id is None else _find_active_before(repository, registry_id, int(active["back"] or 0))
        if ref is None:
            if registry_id is not None:
                catalog_of(repository).spec_of(registry_id)  # an unknown registry is the better explanation
            raise NotFoundError(f"`{word}` needs a registry that had an active run then", "use a run id")
        return make_found_run(repository, ref.run_root, ref.run_id)
    runs = list_all_runs(repository)
    if word == "latest":
        dated = [(run_id, run) for run in runs if (run_id := RunId.parse(run.run_id)) is not None]
        if registry_id is not None:
            # The tag of an external registry is None: it has no runs here.
            tag = catalog_of(repository).spec_of(registry_id).tag
            dated = [(run_id, run) for run_id, run in dated if run_id.tag == tag]
        if not dated:
            whose = "" if registry_id is None else f" of {registry_id}"
            raise NotFoundError(f"there is no run{whose}", "run `registry-pipeline build`")
        return max(dated, key=lambda pair: catalog_of(repository).make_build_order_key(pair[0]))[1]
    return _find_by_name(repository, runs, word)


def find_newest_of_each(repository: Repository) -> dict[str, FoundRun]:
    """Return the newest run of each registry that is enabled and has a pointer; NotFoundError if there is none."""
    catalog = catalog_of(repository)
    disabled = catalog.find_disabled(repository.config)
    by_tag = {
        spec.tag: name for name, spec in catalog.registries.items() if can_be_active(spec) and name not in disabled
    }
    runs = [(run_id, run) for run in list_all_runs(repository) if (run_id := RunId.parse(run.run_id)) is not None]
    # The newest comes last, and replaces the others.
    runs.sort(key=lambda pair: catalog.make_build_order_key(pair[0]))
    newest = {by_tag[run_id.tag]: run for run_id, run in runs if run_id.tag in by_tag}
    if not newest:
        raise NotFoundError("there is no run of a registry that has a pointer", "run `registry-pipeline build`")
    return newest


def _find_active_before(repository: Repository, registry_id: str, back: int) -> SealedRef | None:
    """Return the run that was active before the last `back` moves of a registry, None if there was none."""
    # The pointer file also names runs that are older than the chain.
    if back == 0:
        return read_pointers(repository).active(registry_id)
    records = (sealed.record for sealed in read_chain_state(repository).records)
    moves = [move for record in records for move in record.moves if move.registry_id == registry_id]
    return moves[-back].from_ref if back <= len(moves) else None


def _find_by_name(repository: Repository, runs: Sequence[FoundRun], word: str) -> FoundRun:
    """Return the one run whose id or, if no id matches, claimed root starts with `word`; an exact id comes first."""
    exact = [run for run in runs if run.run_id == word]
    matches = exact or [run for run in runs if run.run_id.startswith(word)]
    # Root hashes are read only if no run id matches, because that opens every run folder.
    if not matches and len(word) >= _SHORTEST_ROOT and set(word) <= set("0123456789abcdef"):
        scan = read_run_folders(repository, repository.config.run_roots)
        named = (run for run in scan.runs if (run.claimed_root or "").startswith(word))
        matches = [make_found_run(repository, run.run_root, run.run_id) for run in named]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        _refuse_archived(repository, word)
        raise NotFoundError(
            f"no run is named {word!r}", "run `registry-pipeline log` to list runs; a path needs a slash"
        )
    names = ", ".join(run.shown for run in matches[:3])
    raise NotFoundError(f"{word!r} matches {len(matches)} runs: {names} …", "use more characters of the name")


def _refuse_archived(repository: Repository, word: str) -> None:
    """Raise NotFoundError with the archive if the word names a run that an archive contains."""
    runs = read_archived_runs(repository).runs.items()
    archives = [run.archive for (_, run_id), run in runs if run_id.startswith(word) or run.root_sha256.startswith(word)]
    if archives and len(word) >= _SHORTEST_ROOT:
        advice = f"`registry-pipeline verify {archives[0]}` reads it there, `registry-pipeline import` brings it back"
        raise NotFoundError(f"the folder of {word!r} was removed; {archives[0]} contains the run", advice)


def make_found_run(repository: Repository, run_root: str, run_id: str) -> FoundRun:
    """Return the FoundRun of a run id in a run root; whether the folder exists is not checked."""
    return FoundRun(str(repository.path(run_root) / run_id), f"{run_root}/{run_id}", run_root, run_id)


def find_run_at(path: Path, shown: str | None = None) -> FoundRun:
    """Return the FoundRun of a path, in no run root; NotFoundError if nothing exists there.

    `shown` is the path in findings, by default the path itself.
    """
    if not path.is_symlink() and not path.exists():
        raise NotFoundError(f"{path} does not exist", "a path needs a slash; a word without one is a run id")
    return FoundRun(str(path), shown or str(path), None, Path(os.path.abspath(path)).name)  # noqa: PTH100 - resolve() follows links


def find_in_run_root(repository: Repository, run: FoundRun) -> FoundRun:
    """Return a run of which a path may have been named, in its run root.

    Raises:
        RefusedError: the path is not that of a folder directly under a run root.
    """
    if run.run_root is not None:
        return run
    path = Path(run.path)
    folder = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
    roots = {repository.path(root): root for root in repository.config.run_roots}
    if folder.parent not in roots:
        raise RefusedError(f"{run.shown} is not directly under a run root", "name a run of this repository")
    return make_found_run(repository, roots[folder.parent], folder.name)
