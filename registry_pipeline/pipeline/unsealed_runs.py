"""Seal run folders that other programs wrote, at the command of their owner (`seal`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.collector import encodable
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.seal_build import refuse_linked_publish_root
from registry_pipeline.runs.folder_seal import FolderSeal, compute_seal, write_seal
from registry_pipeline.runs.scan import list_run_folder_names
from registry_pipeline.values import value_type

SealOutcome = Literal["sealable", "sealed", "refused"]
_LOCK: Final = "seal.lock"


@value_type
class SealResult:
    """What was done, or would be done, with one folder.

    Attributes:
        path: relative to the repository if the folder is inside it.
        state: `sealable` in a dry run, else `sealed`; `refused` if a finding is an error.
        files: the number of files that the seal lists, and their size.
        finished: whether a killed `seal` had written the first seal file.
    """

    path: str
    run_id: str
    state: SealOutcome
    files: int
    bytes: int
    root_sha256: str | None
    finished: bool
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return one entry of `results` in the JSON of `seal`."""
        keys = ("path", "run_id", "state", "files", "bytes", "root_sha256", "finished")
        return {key: getattr(self, key) for key in keys} | {"findings": [f.to_json() for f in self.findings]}


@value_type
class SealRequest:
    """The folders to seal, and how many folders of named run roots have both seal files already."""

    folders: tuple[Path, ...]
    already_sealed: int


def find_folders(repository: Repository, paths: Sequence[Path]) -> SealRequest:
    """Return the named folders, and of a named run root all of its folders without a complete seal.

    Raises:
        NotFoundError: a path does not exist, or a run root contains no run folder.
    """
    roots = {repository.path(root): root for root in repository.config.run_roots}
    folders: list[Path] = []
    already_sealed = 0
    for path in paths:
        if not os.path.lexists(path):
            raise NotFoundError(f"{path} does not exist", "name a run folder, or a run root for all of its folders")
        # The last part is kept as it is: a link is refused, and not followed to the folder that it points to.
        folder = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
        if folder not in roots:
            folders.append(folder)
            continue
        inside = _list_folders(repository, roots[folder])
        unsealed = [item for item in inside if not all(os.path.lexists(item / name) for name in SEAL_FILES)]
        folders += unsealed
        already_sealed += len(inside) - len(unsealed)
    return SealRequest(tuple(dict.fromkeys(folders)), already_sealed)


def _list_folders(repository: Repository, run_root: str) -> list[Path]:
    def refuse(_root: str, error: OSError) -> None:
        raise NotFoundError(f"{run_root} cannot be read: {error.strerror}", "check its permissions") from None

    listing = list_run_folder_names(repository, [run_root], refuse)
    folders = [repository.path(run_root) / name for _, names in listing for name in names]
    if not folders:
        raise NotFoundError(f"the run root {run_root} contains no run folder", "name the folders to seal")
    return folders


def seal_runs(
    repository: Repository,
    folders: Sequence[Path],
    *,
    write: bool,
    on_done: Callable[[int], None] | None = None,
) -> list[SealResult]:
    """Seal folders, each complete or not at all; without `write` return what would be done, and write nothing.

    `on_done` is called with the number of folders done so far.

    Raises:
        BusyError: another `seal` is in progress; nothing changed.
        RefusedError: publish_root is a link or behind one; nothing was written.
    """
    if not write:
        return list(_seal_each(repository, folders, write=False, on_done=on_done))
    refuse_linked_publish_root(repository)
    lock = repository.staging_root / _LOCK
    with hold_lock(lock, repository.root, "seal", make_folder=True):
        return list(_seal_each(repository, folders, write=True, on_done=on_done))


def _seal_each(
    repository: Repository, folders: Sequence[Path], *, write: bool, on_done: Callable[[int], None] | None
) -> Iterator[SealResult]:
    for number, folder in enumerate(folders, 1):
        yield _seal_one(repository, folder, write=write)
        if on_done is not None:
            on_done(number)


def _seal_one(repository: Repository, folder: Path, *, write: bool) -> SealResult:
    shown = os.fspath(folder.relative_to(repository.root) if folder.is_relative_to(repository.root) else folder)
    shown = encodable(shown)
    # A root that is a link has another resolved path: what is behind it is not verified, so it is not sealed.
    if folder.parent not in map(repository.path, repository.config.run_roots):
        return _refuse(shown, folder, (finding("SEAL_OUTSIDE_ROOTS", shown),))
    seal = compute_seal(folder, folder.name, shown)
    registry_id = (seal.run_json or {}).get("registry_id")
    if seal.manifest is None:
        return _refuse(shown, folder, seal.findings)
    # `build` seals such a run with a verdict on its content. A seal by hand would make it ready for activation.
    if isinstance(registry_id, str) and registry_id:
        return _refuse(shown, folder, (finding("SEAL_REGISTRY_RUN", f"{shown}/run.json", detail=registry_id),))
    if not write:
        return _make_result("sealable", shown, folder, seal)
    failures = write_seal(folder, shown, seal, repository.staging_root)
    return _refuse(shown, folder, failures) if failures else _make_result("sealed", shown, folder, seal)


def _refuse(shown: str, folder: Path, findings: tuple[Finding, ...]) -> SealResult:
    return SealResult(shown, encodable(folder.name), "refused", 0, 0, None, False, findings)


def _make_result(state: SealOutcome, shown: str, folder: Path, seal: FolderSeal) -> SealResult:
    if seal.manifest is None:
        raise ValueError("a folder with an error has no seal")
    entries = seal.manifest.entries
    size, root = sum(entry.bytes for entry in entries), seal.manifest.root_sha256
    return SealResult(shown, folder.name, state, len(entries), size, root, seal.has_manifest, seal.findings)
