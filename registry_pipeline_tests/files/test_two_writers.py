"""Two writers of one file never mix their bytes, a new file is kept, and a killed writer blocks nobody."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import BusyError, NotFoundError
from registry_pipeline.files import atomic_write
from registry_pipeline.files.atomic_write import (
    create_file,
    overwrite_file,
    remove_temporary,
    replace_file,
    temporary_path,
)
from registry_pipeline_tests.files.recorded import recorded_syncs

OLD, NEW, OTHER = b"old\n", b"new\n" * 9, b"other\n" * 9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def test_a_temporary_file_is_locked_until_it_has_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(OLD)
    real, seen = atomic_write._fill_file, []

    def look(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        seen.append((remove_temporary(temporary_path(path)), temporary_path(path).read_bytes()))

    monkeypatch.setattr(atomic_write, "_fill_file", look)
    replace_file(path, NEW, sha256_hex(OLD))

    assert seen == [(False, NEW)]
    assert path.read_bytes() == NEW


def test_a_second_writer_waits_for_the_temporary_file_of_the_first_and_then_gives_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = atomic_write._fill_file, []

    def second(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(atomic_write, "_fill_file", real)
        monkeypatch.setattr(atomic_write, "_WAIT_SECONDS", 0.05)
        with pytest.raises(BusyError) as caught:
            create_file(path, OTHER)
        refused.append(caught.value.exit_code)

    monkeypatch.setattr(atomic_write, "_fill_file", second)
    create_file(path, NEW)

    assert refused == [6]
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("write", [create_file, lambda path, data: replace_file(path, data, None), overwrite_file])
def test_a_file_that_appears_while_the_new_one_is_written_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    real = atomic_write._fill_file

    def appear(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        path.write_bytes(OTHER)

    monkeypatch.setattr(atomic_write, "_fill_file", appear)
    with pytest.raises(BusyError) as caught:
        write(path, NEW)

    assert caught.value.exit_code == 6
    assert path.read_bytes() == OTHER
    assert not temporary_path(path).exists()


def test_without_renameat2_a_file_that_appears_is_kept_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry_pipeline.files.durable._libc", lambda _name: None)
    create_file(path, NEW)
    with pytest.raises(BusyError):
        create_file(path, OTHER)

    assert path.read_bytes() == NEW
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_leftover_that_shares_its_bytes_with_the_file_is_not_written_into(path: Path) -> None:
    """A writer that is killed between link(2) and unlink(2) leaves two names of one file."""
    path.write_bytes(OLD)
    os.link(path, temporary_path(path))
    reader = path.open("rb")

    replace_file(path, NEW, sha256_hex(OLD))

    assert (path.read_bytes(), reader.read()) == (NEW, OLD)
    reader.close()


def test_a_writer_killed_at_any_call_leaves_the_old_bytes_or_the_new_and_the_next_one_goes_on(path: Path) -> None:
    ends = set()
    for step in range(30):
        path.write_bytes(OLD)
        child = os.fork()
        if child == 0:
            calls = iter(range(step))

            def call(real: Callable[..., object], *arguments: object, **more: object) -> object:
                if next(calls, None) is None:  # noqa: B023 - the child runs one round only
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            patch = pytest.MonkeyPatch()
            for name in ("open", "write", "fsync", "close", "fstat", "rename", "fchmod", "fchown"):
                patch.setattr(os, name, partial(call, getattr(os, name)))
            replace_file(path, NEW, sha256_hex(OLD))
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        ends.add((killed, path.read_bytes()))
        assert {each.name for each in path.parent.iterdir()} <= {path.name, temporary_path(path).name}
        replace_file(path, OTHER, sha256_hex(path.read_bytes()))
        assert path.read_bytes() == OTHER
        assert not temporary_path(path).exists()

    assert ends == {(True, OLD), (True, NEW), (False, NEW)}


def test_a_file_in_new_folders_is_durable_with_every_folder(tmp_path: Path) -> None:
    with recorded_syncs(tmp_path) as synced:
        create_file(tmp_path / "a/b/file", NEW)

    assert synced == [".", "a", "a/b/.file.registry-pipeline.tmp", "a/b"]


def test_what_a_user_names_is_overwritten_through_a_link_and_into_a_pipe(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path.name)
    path.write_bytes(OLD)
    overwrite_file(tmp_path / "link", NEW)
    reader, writer = os.pipe()
    overwrite_file(Path(f"/dev/fd/{writer}"), OTHER)

    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes() == NEW
    assert os.read(reader, 999) == OTHER


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no folder"):
        overwrite_file(tmp_path / "mising/file.csv", NEW)

    assert list(tmp_path.iterdir()) == []
