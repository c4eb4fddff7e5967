"""Files that save work: read only if they are whole, replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline.files import cache_file
from registry_pipeline.files.atomic_write import temporary_path
from registry_pipeline.files.cache_file import read_cache_file, write_cache_file
from registry_pipeline.files.lock import open_locked

LINE = b"lines 1\n"


def read(path: Path) -> bytes | None:
    body = read_cache_file(path, LINE)
    return None if body is None else bytes(body)


def list_names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_cache_file(tmp_path / "new" / "cache", LINE, [b"a", b"", memoryview(b"bc")])

    assert read(tmp_path / "new" / "cache") == b"abc"
    assert list_names(tmp_path / "new") == ["cache"]


def test_another_first_line_is_another_file(tmp_path: Path) -> None:
    write_cache_file(tmp_path / "cache", b"lines 2\n", [b"abc"])

    assert read(tmp_path / "cache") is None
    assert read(tmp_path / "missing") is None


def test_any_changed_or_missing_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    write_cache_file(path, LINE, [b"abc"])
    data = path.read_bytes()

    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert read(path) is None
        path.write_bytes(data[:position])
        assert read(path) is None


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    write_cache_file(path, LINE, [b"old"])

    def fail() -> Iterator[bytes]:
        yield b"new"
        raise OSError

    write_cache_file(path, LINE, fail())

    assert read(path) == b"old"
    assert list_names(tmp_path) == ["cache"]


def test_what_a_killed_writer_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    temporary_path(path).write_bytes(b"x" * 1000)

    write_cache_file(path, LINE, [b"new"])

    assert read(path) == b"new"
    assert list_names(tmp_path) == ["cache"]


def test_while_another_process_writes_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    write_cache_file(path, LINE, [b"old"])
    descriptor = open_locked(temporary_path(path), os.O_WRONLY | os.O_CREAT, "cache", wait_seconds=0)

    write_cache_file(path, LINE, [b"new"])
    os.close(descriptor)

    assert read(path) == b"old"


def test_an_edited_file_of_the_package_is_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    module = tmp_path / "deep" / "module.py"
    module.write_text("a = 1\n", encoding="utf-8")
    monkeypatch.setattr(cache_file, "_PACKAGE", tmp_path)
    hash_program = cache_file.hash_program.__wrapped__
    first, status = hash_program(), module.stat()

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").write_bytes(b"x")
    assert hash_program() == first
    module.write_text("a = 2\n", encoding="utf-8")
    os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_program() != first


def test_a_program_without_files_is_never_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "_PACKAGE", tmp_path / "archive.zip")

    assert cache_file.hash_program.__wrapped__() != cache_file.hash_program.__wrapped__()
