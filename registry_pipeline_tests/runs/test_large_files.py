"""Large files of a folder are hashed by two threads; the report is the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from registry_pipeline.runs import large_files, tree
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.known_answers.make_repo import seal
from registry_pipeline_tests.runs.case_specs import RUN_ID, sealed_files, write_tree

_LARGE = 2**20 + 1
_NAMES = ("a.bin", "b.bin", "c.bin")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # More than 1 MiB, so that the fast verification leaves the folder to the full one.
    monkeypatch.setattr(large_files, "_LARGE_BYTES", _LARGE)
    large = {name: name.encode() * (_LARGE // 5 + number + 1) for number, name in enumerate(_NAMES)}
    run_json = sealed_files()["run.json"]
    write_tree(tmp_path / RUN_ID, seal({"run.json": run_json, "small.csv": b"a\n", **large}))
    return tmp_path / RUN_ID


@pytest.fixture
def hashed_again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the files that the verification itself hashes."""
    sizes: list[int] = []
    hash_open_file = tree._hash_open_file

    def record(file: int, size: int) -> str:
        sizes.append(size)
        return hash_open_file(file, size)

    monkeypatch.setattr(tree, "_hash_open_file", record)
    return sizes


def verify_alone(folder: Path) -> SealReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_files, "_LARGE_BYTES", 2**60)
        return verify_folder(folder)


def test_the_large_files_are_hashed_once_and_the_small_ones_later(folder: Path, hashed_again: list[int]) -> None:
    assert verify_folder(folder).verdict == "pass"
    assert max(hashed_again) < _LARGE


def test_a_file_whose_bytes_are_requested_is_read_once(folder: Path, hashed_again: list[int]) -> None:
    report = verify_folder(folder, keep=["a.bin", "b.bin"])

    assert (report.verdict, set(report.kept)) == ("pass", {"a.bin", "b.bin"})
    # One large file is left, which no second thread would help with.
    assert len([size for size in hashed_again if size >= _LARGE]) == 1


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _make_hole(path: Path) -> None:
    size = path.stat().st_size
    path.unlink()
    path.touch()
    os.truncate(path, size)


def _replace_by_link(path: Path) -> None:
    path.rename(path.with_name("other.bin"))
    path.symlink_to("other.bin")


@pytest.mark.parametrize(
    "change", [_flip, Path.unlink, _make_hole, _replace_by_link, lambda path: path.write_bytes(b"x" * (_LARGE + 9))]
)
@pytest.mark.parametrize("name", _NAMES)
def test_the_findings_are_those_of_one_thread(folder: Path, change: Callable[[Path], object], name: str) -> None:
    change(folder / name)

    report = verify_folder(folder)

    assert report.verdict == "fail"
    assert report == verify_alone(folder)


def test_a_file_that_changes_after_it_was_hashed_is_hashed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hash_large_files = large_files.hash_large_files

    def hash_then_change(*arguments: object) -> object:
        hashes = hash_large_files(*arguments)  # type: ignore[arg-type]
        _flip(folder / "b.bin")
        return hashes

    monkeypatch.setattr(tree, "hash_large_files", hash_then_change)

    assert [(f.code, f.path.rpartition("/")[2]) for f in verify_folder(folder).findings] == [("HASH_MISMATCH", "b.bin")]


def test_a_file_that_changes_while_it_is_hashed_has_no_hash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readv = os.readv

    def read_and_change(file: int, buffers: list[memoryview]) -> int:
        (folder / "a.bin").touch()
        return readv(file, buffers)

    monkeypatch.setattr(os, "readv", read_and_change)
    descriptor = os.open(folder, os.O_RDONLY)
    sizes = {name: (folder / name).stat().st_size for name in _NAMES}

    hashes = large_files.hash_large_files(descriptor, sizes)

    os.close(descriptor)
    assert sorted(name for name, _ in hashes) == ["b.bin", "c.bin"]


def test_without_another_thread_the_verification_hashes_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch, hashed_again: list[int]
) -> None:
    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert verify_folder(folder).verdict == "pass"
    assert len([size for size in hashed_again if size >= _LARGE]) == len(_NAMES)


def test_an_interruption_ends_the_other_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readv, main = os.readv, threading.current_thread()
    threads: list[threading.Thread] = []
    has_interrupted = threading.Event()

    def interrupt_main(file: int, buffers: list[memoryview]) -> int:
        if threading.current_thread() is main:
            has_interrupted.set()
            raise KeyboardInterrupt
        threads.append(threading.current_thread())
        has_interrupted.wait(120)
        return readv(file, buffers)

    monkeypatch.setattr(os, "readv", interrupt_main)

    with pytest.raises(KeyboardInterrupt):
        verify_folder(folder)

    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
