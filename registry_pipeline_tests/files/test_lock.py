"""Who gets the lock, and what is refused as a lock file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import BusyError, NotFoundError, RefusedError, RegistryPipelineError
from registry_pipeline.files.atomic_write import replace_file
from registry_pipeline.pointers.state import lock_path, pointer_lock
from registry_pipeline_tests.lock_waits import give_up_locks_at_once

OLD, NEW = b'{"old": 1}\n', b'{"new": 2}\n'
BEFORE = sha256_hex(OLD)


@pytest.fixture
def pointer(tmp_path: Path) -> Path:
    path = tmp_path / "POINTERS.json"
    path.write_bytes(OLD)
    return path


def test_the_lock_is_held_once(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_up_locks_at_once(monkeypatch)
    with (
        pointer_lock(pointer, pointer.parent),
        pytest.raises(BusyError) as caught,
        pointer_lock(pointer, pointer.parent),
    ):
        pass

    assert caught.value.exit_code == 6
    with pointer_lock(pointer, pointer.parent):
        pass


def test_the_lock_ends_with_an_error_in_its_block(pointer: Path) -> None:
    with pytest.raises(ZeroDivisionError), pointer_lock(pointer, pointer.parent):
        _ = 1 // 0

    with pointer_lock(pointer, pointer.parent):
        pass


@pytest.mark.parametrize(("folder", "mode"), [(0o2775, 0o660), (0o2755, 0o600)])
def test_a_new_lock_can_be_taken_by_the_group_that_may_write_to_its_folder(
    pointer: Path, folder: int, mode: int
) -> None:
    pointer.parent.chmod(folder)
    umask = os.umask(0o077)
    with pointer_lock(pointer, pointer.parent):
        pass
    os.umask(umask)

    assert lock_path(pointer).stat().st_mode & 0o777 == mode


def test_a_linked_lock_is_refused_and_its_target_not_made(pointer: Path) -> None:
    lock_path(pointer).symlink_to(pointer.parent / "elsewhere")

    with pytest.raises(RefusedError, match="is a link"), pointer_lock(pointer, pointer.parent):
        pass
    assert not (pointer.parent / "elsewhere").exists()


def test_a_lock_that_is_a_pipe_is_refused_without_waiting(pointer: Path) -> None:
    os.mkfifo(lock_path(pointer))

    with pytest.raises(RefusedError, match="regular"), pointer_lock(pointer, pointer.parent):
        pass


def test_a_lock_removed_while_it_is_held_does_not_admit_a_second_writer_unseen(pointer: Path) -> None:
    """The second writer locks another inode; the comparison of the bytes is what then keeps the two apart."""
    with pointer_lock(pointer, pointer.parent):
        lock_path(pointer).unlink()
        with pointer_lock(pointer, pointer.parent):
            replace_file(pointer, NEW, BEFORE)
        with pytest.raises(BusyError):
            replace_file(pointer, b"third", BEFORE)


def test_a_missing_folder_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught, pointer_lock(tmp_path / "nowhere" / "POINTERS.json", tmp_path):
        pass

    assert "init" in caught.value.advice


def test_a_read_only_tree_is_reported(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_arguments: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(RegistryPipelineError, match="Read-only") as caught, pointer_lock(pointer, pointer.parent):
        pass

    assert caught.value.advice
