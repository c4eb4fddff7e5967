"""Which number of run folders reaches which limit, on one machine of an ordinary size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scale_jobs import GIT, NEW, NOTHING, ON_DISK, STATUS, VERIFY
from scale_model import Formula, Formulas, Shape, count_cached_bytes

from registry_pipeline.files.cache_file import _MAX_BYTES as MAX_CACHE_BYTES

MEMORY: Final = 16e9
DISK: Final = 1e12
# mke2fs makes an inode for so many bytes of an ext4 file system by default.
BYTES_OF_AN_INODE: Final = 16_384
# Linked into one directory of a new file system (mke2fs 1.47, Linux 6.18) until it was full, by hand on 2026-11-23. The
# names were like 2026-03-01__120000__run_registry_build.
NAMES_OF_A_DIRECTORY: Final = 8_427_452


def find_limits(formulas: Formulas) -> Iterator[dict[str, Any]]:
    """Yield each limit with the run folders of two files that reach it, least first."""
    two = Shape(1)
    limits: Mapping[str, tuple[Formula, float]] = {
        "`status` takes a minute of CPU": (formulas[STATUS]["CPU seconds"], 60),
        "`build` with one new run takes ten minutes of CPU": (formulas[NEW]["CPU seconds"], 600),
        "`verify --all` takes eight hours on four processors": (formulas[VERIFY]["CPU seconds"], 8 * 3600 * 4),
        "a `build` that finds nothing new needs 16 GB of memory": (formulas[NOTHING]["peak memory"], MEMORY),
        "`git status` takes a minute of CPU, if run folders are tracked": (formulas[GIT]["CPU seconds"], 60),
        "the kernel's 16 GB have no room for all names: each `status` and build reads the disk": (
            Formula(0, count_cached_bytes(two, names_only=True)),
            MEMORY,
        ),
        "the kernel's 16 GB have no room for all files: each `verify --all` reads the disk": (
            Formula(0, count_cached_bytes(two)),
            MEMORY,
        ),
        "a disk of 1 TB has no inode left (ext4 as mke2fs makes it)": (
            formulas[ON_DISK]["inodes of run folders"],
            DISK / BYTES_OF_AN_INODE,
        ),
        "a disk of 1 TB is full of run folders": (formulas[ON_DISK]["bytes of run folders"], DISK),
        "the line cache is larger than 4 GiB and is not used any more": (
            formulas[ON_DISK]["bytes of the line cache"],
            MAX_CACHE_BYTES,
        ),
        "a directory of ext4 is full": (Formula(0, 1), NAMES_OF_A_DIRECTORY),
    }
    reached = {limit: formula.find_runs(most, two) for limit, (formula, most) in limits.items()}
    for limit, runs in sorted(reached.items(), key=lambda item: item[1]):
        yield {"limit": limit, "runs": float(f"{runs:.3g}")}
