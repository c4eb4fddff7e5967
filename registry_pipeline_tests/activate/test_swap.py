"""What the lock, the intent and the replacement do to the disk, and what they refuse to touch."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.activate import swap
from registry_pipeline.activate.lock import lock_path, pointer_lock
from registry_pipeline.activate.swap import (
    compare_pointer_file,
    intent_path,
    read_intent,
    remove_intent,
    swap_pointer_file,
    temporary_path,
    write_intent,
)
from registry_pipeline.canon import sha256_hex
from registry_pipeline.errors import (
    BusyError,
    DurabilityError,
    NotFoundError,
    RefusedError,
    RegistryPipelineError,
)
from registry_pipeline.model.activation import Intent

OLD, NEW = b'{"old": 1}\n', b'{"new": 2}\n'
BEFORE, AFTER = sha256_hex(OLD), sha256_hex(NEW)


@pytest.fixture
def pointer(tmp_path: Path) -> Path:
    place = tmp_path / "POINTERS.json"
    place.write_bytes(OLD)
    return place


def listing(pointer: Path) -> list[str]:
    return sorted(path.name for path in pointer.parent.iterdir())


def test_the_file_is_replaced_whole_and_nothing_is_left_beside_it(pointer: Path) -> None:
    reader = pointer.open("rb")
    swap_pointer_file(pointer, NEW, BEFORE)

    assert pointer.read_bytes() == NEW
    assert reader.read() == OLD
    assert listing(pointer) == ["POINTERS.json"]
    reader.close()


@pytest.mark.parametrize("mode", [0o644, 0o664, 0o600])
def test_the_permissions_stay_whatever_the_umask(pointer: Path, mode: int) -> None:
    pointer.chmod(mode)
    umask = os.umask(0o077)
    swap_pointer_file(pointer, NEW, BEFORE)
    os.umask(umask)

    assert pointer.stat().st_mode & 0o777 == mode


def test_a_new_file_is_readable_by_all(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    swap_pointer_file(tmp_path / "new.json", NEW, None)
    os.umask(umask)

    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("expected", [AFTER, None])
def test_another_file_than_the_one_planned_for_is_not_touched(pointer: Path, expected: str | None) -> None:
    with pytest.raises(BusyError) as caught:
        swap_pointer_file(pointer, NEW, expected)

    assert caught.value.exit_code == 6
    assert pointer.read_bytes() == OLD


def test_a_file_that_vanished_is_not_made_anew(pointer: Path) -> None:
    pointer.unlink()

    with pytest.raises(BusyError, match="no file"):
        swap_pointer_file(pointer, NEW, BEFORE)
    assert listing(pointer) == []


def test_what_a_killed_writer_left_is_written_over(pointer: Path) -> None:
    temporary_path(pointer).write_bytes(b"half of some")
    swap_pointer_file(pointer, NEW, BEFORE)

    assert pointer.read_bytes() == NEW
    assert listing(pointer) == ["POINTERS.json"]


def test_a_planted_link_at_the_temporary_name_leads_nowhere(pointer: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    temporary_path(pointer).symlink_to(victim)
    swap_pointer_file(pointer, NEW, BEFORE)

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
        compare_pointer_file(pointer, BEFORE)
    with pytest.raises(RefusedError):
        swap_pointer_file(pointer, NEW, BEFORE)


def test_a_full_disk_leaves_the_file_as_it_was(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RegistryPipelineError, match="No space left") as caught:
        swap_pointer_file(pointer, NEW, BEFORE)

    assert caught.value.exit_code == 1
    assert pointer.read_bytes() == OLD
    assert listing(pointer) == ["POINTERS.json"]


def test_a_replacement_that_the_disk_did_not_confirm_is_told_as_such(
    pointer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(swap, "_sync_folder", failing)
    with pytest.raises(DurabilityError):
        swap_pointer_file(pointer, NEW, BEFORE)

    assert pointer.read_bytes() == NEW


def test_an_intent_is_read_back_and_removed(pointer: Path) -> None:
    write_intent(pointer, "some-run", BEFORE, AFTER)

    assert read_intent(pointer) == Intent("some-run", BEFORE, AFTER)
    remove_intent(pointer)
    remove_intent(pointer)
    assert read_intent(pointer) is None
    assert listing(pointer) == ["POINTERS.json"]


def test_an_intent_is_never_written_over(pointer: Path) -> None:
    write_intent(pointer, "some-run", BEFORE, AFTER)

    with pytest.raises(BusyError):
        write_intent(pointer, "other-run", BEFORE, AFTER)
    assert read_intent(pointer) == Intent("some-run", BEFORE, AFTER)


@pytest.mark.parametrize(
    "text", [b"", b'{"run_id": "x', b"[]", b"\xff", b'{"run_id": 1}', b'{"run_id": "x", "before": "0", "after": "1"}']
)
def test_a_torn_intent_names_nothing(pointer: Path, text: bytes) -> None:
    intent_path(pointer).write_bytes(text)

    assert read_intent(pointer) is None


def test_an_intent_that_the_disk_refuses_leaves_none(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(swap, "_sync_folder", failing)
    with pytest.raises(RegistryPipelineError, match="no pointer moved"):
        write_intent(pointer, "some-run", BEFORE, AFTER)

    assert listing(pointer) == ["POINTERS.json"]


def test_the_lock_is_held_once(pointer: Path) -> None:
    with pointer_lock(pointer), pytest.raises(BusyError) as caught, pointer_lock(pointer):
        pass

    assert caught.value.exit_code == 6
    with pointer_lock(pointer):
        pass


def test_the_lock_ends_with_an_error_in_its_block(pointer: Path) -> None:
    with pytest.raises(ZeroDivisionError), pointer_lock(pointer):
        _ = 1 // 0

    with pointer_lock(pointer):
        pass


def test_a_linked_lock_is_refused_and_its_target_not_made(pointer: Path) -> None:
    lock_path(pointer).symlink_to(pointer.parent / "elsewhere")

    with pytest.raises(RefusedError, match="is a link"), pointer_lock(pointer):
        pass
    assert not (pointer.parent / "elsewhere").exists()


def test_a_lock_that_is_a_pipe_is_refused_without_waiting(pointer: Path) -> None:
    os.mkfifo(lock_path(pointer))

    with pytest.raises(RefusedError, match="regular"), pointer_lock(pointer):
        pass


def test_a_lock_removed_while_it_is_held_does_not_admit_a_second_writer_unseen(pointer: Path) -> None:
    """The second writer locks another inode; the comparison of the bytes is what then keeps the two apart."""
    with pointer_lock(pointer):
        lock_path(pointer).unlink()
        with pointer_lock(pointer):
            swap_pointer_file(pointer, NEW, BEFORE)
        with pytest.raises(BusyError):
            swap_pointer_file(pointer, b"third", BEFORE)


def test_a_missing_folder_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught, pointer_lock(tmp_path / "nowhere" / "POINTERS.json"):
        pass

    assert "init" in caught.value.advice


def test_a_tree_that_cannot_be_written_is_told(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_arguments: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(RegistryPipelineError, match="Read-only") as caught, pointer_lock(pointer):
        pass

    assert caught.value.advice
