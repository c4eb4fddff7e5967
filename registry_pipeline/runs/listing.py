"""List run folders by name, and by which seal files exist, without reading any of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final, Literal

from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.runs.reference import RunId
from registry_pipeline.values import value_type

SealState = Literal["sealed", "partial", "unsealed"]
SEAL_STATES: Final[tuple[SealState, ...]] = ("sealed", "partial", "unsealed")


@value_type
class RunFolder:
    """One run folder; `seal` says which seal files exist, not whether they verify."""

    run_root: str
    run_id: str
    seal: SealState

    @property
    def path(self) -> str:
        """The folder's path relative to the repository."""
        return f"{self.run_root}/{self.run_id}"


@value_type
class RunListing:
    """Every run folder by run root and name, and a finding for each run root that cannot be listed."""

    by_root: Mapping[str, tuple[RunFolder, ...]]
    findings: tuple[Finding, ...] = ()

    @property
    def total(self) -> int:
        """The number of run folders."""
        return sum(len(folders) for folders in self.by_root.values())

    def folders(self) -> Iterable[RunFolder]:
        """Yield every folder."""
        for folders in self.by_root.values():
            yield from folders

    def count_by_seal(self) -> dict[str, int]:
        """Return the number of folders in each seal state."""
        counts = Counter(folder.seal for folder in self.folders())
        return {state: counts[state] for state in SEAL_STATES}


def _is_real_directory(_run_root: str, entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def list_run_folder_names(
    root: Path,
    run_roots: Iterable[str],
    on_error: Callable[[str, OSError], Any],
    is_run_folder: Callable[[str, os.DirEntry[str]], bool] = _is_real_directory,
) -> Iterator[tuple[str, list[str]]]:
    """Yield each run root with the sorted names of its run folders; a missing run root is skipped.

    `on_error` is called for a run root that exists and cannot be listed. `is_run_folder` selects the entries of a run
    root (default: directories that are not links).
    """
    # This is the only listing of run roots: one system call for each, and no folder is opened.
    for run_root in dict.fromkeys(run_roots):
        try:
            with os.scandir(os.fspath(root / run_root)) as entries:
                names = sorted(entry.name for entry in entries if is_run_folder(run_root, entry))
        except FileNotFoundError:
            continue
        except OSError as error:
            on_error(run_root, error)
        else:
            yield run_root, names


def list_run_folders(root: Path, run_roots: Sequence[str]) -> RunListing:
    """Return the run folders of every run root with their seal states; an unreadable run root is a finding."""
    findings: list[Finding] = []

    def report(run_root: str, error: OSError) -> None:
        findings.append(finding("RUN_ROOT_UNREADABLE", run_root, detail=error.strerror or "unknown"))

    by_root = {
        run_root: tuple(RunFolder(run_root, name, _find_seal_state(f"{root}/{run_root}/{name}")) for name in names)
        for run_root, names in list_run_folder_names(root, run_roots, report)
    }
    return RunListing(by_root, tuple(findings))


def _find_seal_state(folder: str) -> SealState:
    """Return `sealed` if both seal files exist as regular files, `partial` if one does, else `unsealed`."""
    # Two system calls a folder: `status` lists many thousand folders this way.
    present = sum(_is_regular(f"{folder}/{name}") for name in SEAL_FILES)
    return SEAL_STATES[len(SEAL_FILES) - present]


def _is_regular(path: str) -> bool:
    try:
        return S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def find_dated_runs(listing: RunListing, tags: Collection[str]) -> tuple[tuple[RunId, RunFolder], ...]:
    """Return the folders whose names have one of these tags, with their run ids, oldest first."""
    dated: list[tuple[RunId, RunFolder]] = []
    for folder in listing.folders():
        # Splitting is cheap and rules out the folders of other tools before the name is parsed.
        parts = folder.run_id.split("__", 3)
        if len(parts) > 2 and parts[2] in tags:
            run_id = RunId.parse(folder.run_id)
            if run_id is not None and run_id.tag in tags:
                dated.append((run_id, folder))
    return tuple(sorted(dated, key=lambda pair: (pair[0].stamp, pair[0].number, pair[1].run_id)))
