"""How much the builds of this tool add to a repository: folders, bytes and scan time, measured from what is sealed."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from registry_pipeline.config import Repository
from registry_pipeline.registries.catalog import Catalog, catalog_of
from registry_pipeline.runs.reference import TAG_START, RunId
from registry_pipeline.runs.scan import list_run_folder_names
from registry_pipeline.values import value_type

# Every rebuild seals one run of it.
_COUNTED: Final = "run_registry"
_MONTH: Final = len("YYYY-MM")


@value_type
class RebuildFolders:
    """The newest month with a rebuild: the number of rebuilds, and of the folders that were sealed.

    Past days and members of collections, of which a rebuild seals as many as are new, are not counted.
    """

    month: str
    rebuilds: int
    folders: int

    def to_text(self) -> str:
        """Return the average as a line of text."""
        return (
            f"{self.folders / self.rebuilds:.3g} folders for each rebuild ({self.folders} for {self.rebuilds} in "
            f"{self.month}); doctor shows bytes"
        )


def count_rebuild_folders(catalog: Catalog, names: Sequence[str], newest: str | None) -> RebuildFolders | None:
    """Return what rebuilds added in the month of the run `newest` of run_registry; None if there is no such run.

    `names` are the sorted names of the folders in publish_root.
    """
    if newest is None:
        return None
    month, rebuilt = newest[:_MONTH], _list_rebuilt(catalog)
    tags = {tag: name for tag, name in catalog.own_tags.items() if name in rebuilt}
    beginnings = tuple(tags)
    # Parsing a name takes much longer than looking at its tag.
    of_month = names[bisect_left(names, month) : bisect_left(names, f"{month}.")]
    parsed = (RunId.parse(name) for name in of_month if name.startswith(beginnings, TAG_START))
    counts = Counter(tags[run_id.tag] for run_id in parsed if run_id is not None and run_id.tag in tags)
    return RebuildFolders(month, counts[_COUNTED], counts.total()) if counts[_COUNTED] else None


@value_type
class Size:
    """A number of folders, the bytes of their files, and the time to scan them.

    `scan_seconds` is measured now: listing the folders and reading the status of each file, as every later build does.
    """

    folders: int
    bytes: int
    scan_seconds: float

    def __add__(self, other: Size) -> Size:
        """Return the sum."""
        return Size(
            self.folders + other.folders, self.bytes + other.bytes, round(self.scan_seconds + other.scan_seconds, 6)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members of a JSON object."""
        return {"folders": self.folders, "bytes": self.bytes, "scan_seconds": self.scan_seconds}


NOTHING: Final = Size(0, 0, 0.0)


@value_type
class Growth:
    """The size of the runs that this tool sealed, by month and registry, oldest first."""

    sizes: Mapping[tuple[str, str], Size]
    # The registries that a rebuild makes.
    rebuilt: frozenset[str]

    @property
    def months(self) -> dict[str, Size]:
        """The size of all runs of each month."""
        sums: defaultdict[str, Size] = defaultdict(lambda: NOTHING)
        for (month, _), size in self.sizes.items():
            sums[month] += size
        return dict(sums)

    def sizes_of(self, month: str) -> dict[str, Size]:
        """Return the size of the runs of each registry in a month."""
        return {registry_id: size for (key, registry_id), size in self.sizes.items() if key == month}

    def count_rebuilds(self, month: str) -> int:
        """Return how many rebuilds sealed a run registry in a month."""
        return self.sizes.get((month, _COUNTED), NOTHING).folders

    def average(self, month: str) -> Size | None:
        """Return what each rebuild of a month sealed, without registries of past days; None without a rebuild."""
        rebuilds = self.count_rebuilds(month)
        if not rebuilds:
            return None
        sizes = (size for name, size in self.sizes_of(month).items() if name in self.rebuilt)
        total = sum(sizes, NOTHING)
        return Size(
            round(total.folders / rebuilds), round(total.bytes / rebuilds), round(total.scan_seconds / rebuilds, 6)
        )

    def to_json(self) -> dict[str, Any]:
        """Return `growth` in the document of `doctor`."""
        return {
            "months": [
                {"month": month, "rebuilds": self.count_rebuilds(month), **size.to_json()}
                for month, size in self.months.items()
            ],
            "registries": [
                {"month": month, "registry_id": registry_id, **size.to_json()}
                for (month, registry_id), size in self.sizes.items()
            ],
        }


def measure_growth(repository: Repository) -> Growth:
    """Return the size of every run in publish_root that this tool sealed; what cannot be read has no size."""
    catalog = catalog_of(repository)
    sizes: defaultdict[tuple[str, str], Size] = defaultdict(lambda: NOTHING)
    root = repository.config.publish_root
    for _, names in list_run_folder_names(repository, [root], lambda _root, _error: None):
        for name in names:
            run_id = RunId.parse(name)
            registry_id = None if run_id is None else catalog.find_registry_by_tag(run_id.tag)
            if registry_id is None:
                continue
            started = time.perf_counter()
            size = _sum_file_sizes(str(repository.path(root) / name))
            seconds = round(time.perf_counter() - started, 6)
            sizes[name[:_MONTH], registry_id] += Size(1, size, seconds)
    ordered = sorted(sizes.items(), key=lambda item: (item[0][0], catalog.positions[item[0][1]]))
    return Growth(dict(ordered), _list_rebuilt(catalog))


def _list_rebuilt(catalog: Catalog) -> frozenset[str]:
    """Return the registries of which each rebuild seals a run: not those of past days, and no collection."""
    return frozenset(n for n, spec in catalog.registries.items() if not spec.partitioned and spec.kind != "collection")


def _sum_file_sizes(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{parent}/{name}").st_size
            except OSError:  # it was removed meanwhile
                continue
    return total
