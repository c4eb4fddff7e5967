"""What replacing and creating a file do to the disk, and what they refuse to touch."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import BusyError, DurabilityError, RefusedError, RegistryPipelineError
from registry_pipeline.files import atomic_write
from registry_pipeline.files.atomic_write import create_file, refuse_changed_file, replace_file, temporary_path
from registry_pipeline.files.durable import make_folders, share_with_group

OLD, NEW = b'{"old": 1}\n', b'{"new": 2}\n'
BEFORE, AFTER = sha256_hex(OLD), sha256_hex(NEW)


@pytest.fixture
def pointer(tmp_path: Path) -> Path:
    place = tmp_path / "POINTERS.json"
    place.write_bytes(OLD)
    return place


def listing(pointer: Path) -> list[str]:
    return sorted(path.name for path in pointer.parent.iterdir())


def test_the_file_is_replaced_completely_and_no_temporary_file_is_left(pointer: Path) -> None:
    reader = pointer.open("rb")
    replace_file(pointer, NEW, BEFORE)

    assert pointer.read_bytes() == NEW
    assert reader.read() == OLD
    assert listing(pointer) == ["POINTERS.json"]
    reader.close()


@pytest.mark.parametrize("mode", [0o644, 0o664, 0o600])
def test_the_permissions_stay_whatever_the_umask(pointer: Path, mode: int) -> None:
    pointer.chmod(mode)
    umask = os.umask(0o077)
    replace_file(pointer, NEW, BEFORE)
    os.umask(umask)

    assert pointer.stat().st_mode & 0o777 == mode


def test_a_new_file_is_readable_by_all(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    replace_file(tmp_path / "new.json", NEW, None)
    os.umask(umask)

    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("folder", "mode"), [(0o2775, 0o664), (0o2755, 0o644)])
def test_a_new_file_is_writable_by_the_group_that_may_write_to_its_folder(
    tmp_path: Path, folder: int, mode: int
) -> None:
    tmp_path.chmod(folder)
    umask = os.umask(0o077)
    create_file(tmp_path / "new.json", NEW)
    os.umask(umask)

    assert (tmp_path / "new.json").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("folder", "mode"), [(0o2775, 0o2770), (0o2755, 0o2700)])
def test_a_new_folder_is_shared_with_the_group_that_may_write_to_its_parent(
    tmp_path: Path, folder: int, mode: int
) -> None:
    tmp_path.chmod(folder)
    umask = os.umask(0o077)
    make_folders(tmp_path / "state" / "cache")
    os.umask(umask)

    made = [tmp_path / "state", tmp_path / "state/cache"]
    assert [path.stat().st_mode & 0o7777 for path in made] == [mode, mode]


def test_a_new_folder_of_another_group_than_its_parent_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in /tmp: everybody may write there, and a new folder has the group of the user who makes it."""
    tmp_path.chmod(0o2775)
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    real = os.stat

    def of_another_group(path: Path) -> os.stat_result:
        status = list(real(path))
        status[stat.ST_GID] += path == tmp_path
        return os.stat_result(status)

    monkeypatch.setattr(os, "stat", of_another_group)
    share_with_group(folder, tmp_path)
    monkeypatch.undo()

    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("expected", [AFTER, None])
def test_another_file_than_the_one_planned_for_is_not_touched(pointer: Path, expected: str | None) -> None:
    with pytest.raises(BusyError) as caught:
        replace_file(pointer, NEW, expected)

    assert caught.value.exit_code == 6
    assert pointer.read_bytes() == OLD


def test_a_file_that_was_removed_is_not_created_again(pointer: Path) -> None:
    pointer.unlink()

    with pytest.raises(BusyError, match="no file"):
        replace_file(pointer, NEW, BEFORE)
    assert listing(pointer) == []


def test_what_a_killed_writer_left_is_written_over(pointer: Path) -> None:
    temporary_path(pointer).write_bytes(b"half of some")
    replace_file(pointer, NEW, BEFORE)

    assert pointer.read_bytes() == NEW
    assert listing(pointer) == ["POINTERS.json"]


def test_a_planted_link_at_the_temporary_name_leads_nowhere(pointer: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    temporary_path(pointer).symlink_to(victim)
    replace_file(pointer, NEW, BEFORE)

    assert victim.read_bytes() == b"precious"
    assert not pointer.is_symlink()


def _as_link(place: Path) -> None:
    away = place.with_name("away")
    away.write_bytes(OLD)
    place.unlink(missing_ok=True)
    place.symlink_to(away)


def _as_pipe(place: Path) -> None:
    place.unlink(missing_ok=True)
    os.mkfifo(place)


def _as_folder(place: Path) -> None:
    place.unlink(missing_ok=True)
    place.mkdir()


@pytest.mark.parametrize("make", [_as_link, _as_pipe, _as_folder])
def test_a_pointer_file_that_is_no_regular_file_is_refused_without_waiting(
    pointer: Path, make: Callable[[Path], None]
) -> None:
    make(pointer)

    with pytest.raises(RefusedError):
        refuse_changed_file(pointer, BEFORE)
    with pytest.raises(RefusedError):
        replace_file(pointer, NEW, BEFORE)


def test_a_full_disk_leaves_the_file_as_it_was(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RegistryPipelineError, match="No space left") as caught:
        replace_file(pointer, NEW, BEFORE)

    assert caught.value.exit_code == 1
    assert pointer.read_bytes() == OLD
    assert listing(pointer) == ["POINTERS.json"]


def test_an_unconfirmed_replacement_is_reported(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(atomic_write, "sync_path", failing)
    with pytest.raises(DurabilityError):
        replace_file(pointer, NEW, BEFORE)

    assert pointer.read_bytes() == NEW
