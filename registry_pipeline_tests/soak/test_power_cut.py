"""Power cuts: a command is killed on a file system of its own, whose disk is then mounted and checked.

The repository is on an ext4 image that is mounted through a loop device. A copy of the image file contains what was
written to the disk and nothing of the kernel's cache, as after a power cut; mounting the copy replays the journal. The
mount option `noauto_da_alloc` takes away ext4's own repair of a replace without fsync. Needs root and loop devices;
where they are not allowed, the tests fail and say so.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import Repository, environment
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.faults.conftest import built_repository, home
from registry_pipeline_tests.faults.injection import run_with_fault
from registry_pipeline_tests.faults.test_commands import (
    Prepared,
    check_owned_files,
    check_recovery,
    check_runs,
    digests,
    prepared,
    source_repository,
)

__all__ = ["built_repository", "home", "prepared", "source_repository"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

CUTS = 40
"""How many points of a command are cut."""


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image; the file system ends with the block."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,noauto_da_alloc,commit=1000", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def image(prepared: Prepared, tmp_path: Path) -> Path:
    """A file system that contains the prepared repository, whole on its disk."""
    path = tmp_path / "prepared.img"
    with path.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True)
    with mounted(path, tmp_path / "disk") as disk:
        subprocess.run(["cp", "-a", prepared.source, disk / "repository"], check=True)
    return path


def cut(prepared: Prepared, image: Path, tmp_path: Path, point: int | None) -> tuple[Path, int]:
    """Run the command until a point, or to its end; return what the disk has at that moment, and the exit code."""
    work, after = tmp_path / "work.img", tmp_path / "after.img"
    shutil.copyfile(image, work)
    with mounted(work, tmp_path / "disk") as disk:
        outcome = run_with_fault(
            prepared.command.words, disk / "repository", environment(prepared.home), point=point, fault="torn"
        )
        shutil.copyfile(work, after)
    return after, outcome.code


def test_what_a_command_acknowledged_is_on_the_disk(prepared: Prepared, image: Path, tmp_path: Path) -> None:
    after, code = cut(prepared, image, tmp_path, None)

    assert code == 0
    with mounted(after, tmp_path / "disk") as disk:
        repository = Repository(disk / "repository", prepared.home)
        assert prepared.command.count(repository) == 1
        check_runs(prepared, repository, digests(repository.root), prepared.name)


def test_a_power_cut_at_any_point_leaves_nothing_half_done(prepared: Prepared, image: Path, tmp_path: Path) -> None:
    step = max(1, prepared.points // CUTS)
    for point in range(1, prepared.points + 1, step):
        after, _ = cut(prepared, image, tmp_path, point)
        context = f"{prepared.name}: power cut at point {point} of {prepared.points}"
        with mounted(after, tmp_path / "disk") as disk:
            repository = Repository(disk / "repository", prepared.home)
            here = dataclasses.replace(prepared, source=prepared.source)
            found = digests(repository.root)
            check_runs(here, repository, found, context)
            check_owned_files(here, found, context)
            check_recovery(here, repository, context)
            make_removable(repository.root)
