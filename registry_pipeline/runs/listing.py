"""Run folders by name, and by which seal files exist: what can be told of many thousand without reading one.

SPEC 2.2: `status` reads the bytes of active runs and of the chain only, and counts the rest this way.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Final, Literal

from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.runs.run_id import RunId
from registry_pipeline.values import value_type

SealState = Literal["sealed", "partial", "unsealed"]
SEAL_STATES: Final[tuple[SealState, ...]] = ("sealed", "partial", "unsealed")


@value_type
class RunFolder:
    """One run folder; `seal` says which seal files exist, not whether they hold."""

    run_root: str
    run_id: str
    seal: SealState

    @property
    def path(self) -> str:
        """The folder's place, relative to the governed repository."""
        return f"{self.run_root}/{self.run_id}"


@value_type
class RunListing:
    """Every run folder by root in their order and then by name, and the roots that could not be listed."""

    by_root: Mapping[str, tuple[RunFolder, ...]]
    findings: tuple[Finding, ...] = ()

    @property
    def total(self) -> int:
        """How many run folders there are."""
        return sum(len(folders) for folders in self.by_root.values())

    def folders(self) -> Iterable[RunFolder]:
        """Yield every folder."""
        for folders in self.by_root.values():
            yield from folders

    def count_by_seal(self) -> dict[str, int]:
        """Return how many folders there are in each state."""
        counts = Counter(folder.seal for folder in self.folders())
        return {state: counts[state] for state in SEAL_STATES}


def list_run_folders(root: Path, run_roots: Sequence[str]) -> RunListing:
    """Return the real directories directly under the run roots; a missing root is empty."""
    by_root: dict[str, tuple[RunFolder, ...]] = {}
    findings: list[Finding] = []
    for run_root in dict.fromkeys(run_roots):
        place = os.fspath(root / run_root)
        try:
            with os.scandir(place) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            continue
        except OSError as error:
            findings.append(finding("RUN_ROOT_UNREADABLE", run_root, detail=error.strerror or "unknown"))
            continue
        by_root[run_root] = tuple(RunFolder(run_root, name, _seal_state(f"{place}/{name}")) for name in names)
    return RunListing(by_root, tuple(findings))


def _seal_state(folder: str) -> SealState:
    present = sum(_is_regular(f"{folder}/{name}") for name in SEAL_FILES)
    return SEAL_STATES[len(SEAL_FILES) - present]


def _is_regular(path: str) -> bool:
    try:
        return S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def dated_runs(listing: RunListing, tags: Collection[str]) -> tuple[tuple[RunId, RunFolder], ...]:
    """Return the folders whose names have one of these tags, the oldest first."""
    dated: list[tuple[RunId, RunFolder]] = []
    for folder in listing.folders():
        words = folder.run_id.split("__", 3)  # most names are not ours, and need no closer look
        if len(words) > 2 and words[2] in tags:
            run_id = RunId.parse(folder.run_id)
            if run_id is not None and run_id.tag in tags:
                dated.append((run_id, folder))
    return tuple(sorted(dated, key=lambda pair: (pair[0].stamp, pair[0].number, pair[1].run_id)))
