from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.errors import DurabilityError, PublishError
from registry_pipeline.files import durable
from registry_pipeline.runs import writer
from registry_pipeline.runs.reference import RunId
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import seal_folder, seal_folders
from registry_pipeline_tests.runs.conftest import SealRoots
from registry_pipeline_tests.runs.small_run import WANTED, files_for

MANY = {f"part_{number:02d}.txt": b"x\n" for number in range(20)}
CALLS = ("open", "read", "write", "fsync", "mkdir", "scandir", "chmod", "fstat", "close")


def test_what_the_writer_publishes_the_verifier_passes(roots: SealRoots) -> None:
    published = roots.seal()

    report = verify_folder(published.path)
    assert (report.verdict, report.findings, report.root_sha256) == ("pass", (), published.root_sha256)
    assert published.path == roots.publish / str(WANTED)
    assert roots.staged() == []


def test_coreutils_agree_with_the_hash_file(roots: SealRoots) -> None:
    published = roots.seal()

    done = subprocess.run(
        ["sha256sum", "-c", "MANIFEST.sha256"], cwd=published.path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout.count(": OK")) == (0, 4)
    assert "1 line is improperly formatted" in done.stderr


@pytest.fixture(params=[0o002, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of the test, which is that of the process."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_files_and_directories_are_read_only_whatever_the_umask(roots: SealRoots) -> None:
    published = roots.seal()

    paths = [published.path, *published.path.rglob("*")]
    assert {(p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in paths} == {(True, 0o555), (False, 0o444)}


@pytest.mark.usefixtures("umask")
def test_everybody_can_read_a_folder_from_the_moment_of_its_rename(
    roots: SealRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object) -> None:
        raise SystemExit(9)

    monkeypatch.setattr(writer, "_finish_published", killed)
    with pytest.raises(SystemExit):
        roots.seal()

    renamed = roots.publish / str(WANTED)
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in (renamed, renamed / "notes"))
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in renamed.rglob("*") if path.is_file())


@pytest.mark.usefixtures("umask")
def test_what_is_staged_can_be_moved_by_the_group_that_shares_the_repository(
    roots: SealRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots.publish.parent.chmod(0o2775)
    modes: list[int] = []

    def noted(staging: str, _files: object) -> str:
        modes.extend(path.stat().st_mode & 0o070 for path in (Path(staging), roots.staging))
        raise SystemExit(9)

    monkeypatch.setattr(writer, "_write_sealed_files", noted)
    with pytest.raises(SystemExit):
        roots.seal()

    assert modes == [0o070, 0o070]


def test_more_files_than_are_synced_one_by_one_are_published_too(roots: SealRoots) -> None:
    published = roots.seal(files=files_for(MANY))

    assert verify_folder(published.path).verdict == "pass"


def test_a_taken_name_means_the_next_suffix_and_files_made_for_it(roots: SealRoots) -> None:
    first, second, third = roots.seal(), roots.seal(), roots.seal()

    assert [str(p.run_id) for p in (first, second, third)] == [str(WANTED), f"{WANTED}__02", f"{WANTED}__03"]
    assert [verify_folder(p.path).verdict for p in (first, second, third)] == ["pass"] * 3


MINE: dict[str, Callable[[Path], object]] = {
    "empty folder": lambda path: path.mkdir(),
    "file": lambda path: path.write_text("mine", encoding="utf-8"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("taken", MINE)
def test_an_existing_path_of_that_name_is_not_changed(roots: SealRoots, taken: str) -> None:
    target = roots.publish / str(WANTED)
    MINE[taken](target)
    before = os.lstat(target)

    published = roots.seal()

    assert published.run_id == WANTED.next()
    assert os.lstat(target) == before


@pytest.mark.parametrize("syscall", [True, False], ids=["renameat2", "fallback"])
def test_a_name_taken_in_the_last_moment_is_not_replaced(
    roots: SealRoots, monkeypatch: pytest.MonkeyPatch, syscall: bool
) -> None:
    if not syscall:
        monkeypatch.setattr(durable, "_libc", lambda _: None)
    rival = roots.publish / str(WANTED)

    def make(run_id: RunId) -> dict[str, bytes]:
        rival.mkdir(exist_ok=True)  # after the writer looked whether the name is free
        return dict(files_for()(run_id))

    published = roots.seal(files=make)

    assert published.run_id == WANTED.next()
    assert list(rival.iterdir()) == []
    assert roots.staged() == []


def test_without_renameat2_and_syncfs_a_folder_is_published_all_the_same(
    roots: SealRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_libc", lambda _: None)

    assert verify_folder(roots.seal(files=files_for(MANY)).path).verdict == "pass"


def test_a_file_system_without_noreplace_uses_the_fallback(roots: SealRoots, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1

    monkeypatch.setattr(durable, "_libc", lambda _: refusing)

    assert verify_folder(roots.seal().path).verdict == "pass"


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"a  b": b""}, "MANIFEST_PATH_DOUBLE_SPACE"),
        ({"../escape": b""}, "MANIFEST_PATH_DOT_COMPONENT"),
        ({"manifest.json": b"[]\n"}, "MANIFEST_PATH_RESERVED"),
        ({"a": b"", "A": b""}, "PATH_COLLISION"),
        ({"a": b"", "a/b": b""}, "PATH_COLLISION"),
        ({"run.json": b"[]\n"}, "RUN_JSON_SHAPE"),
        ({"run.json": b'{"run_id": "another", "created_utc": "2026-02-01T01:02:03Z"}'}, "RUN_ID_FOLDER_MISMATCH"),
        ({"x": b""}, "RUN_JSON_MISSING"),
    ],
)
def test_what_would_not_verify_is_refused_before_anything_is_published(
    roots: SealRoots, files: dict[str, bytes], code: str
) -> None:
    with pytest.raises(PublishError, match=code) as caught:
        roots.seal(files=lambda _: files)

    assert caught.value.advice
    assert (roots.published(), roots.staged()) == ([], [])


def test_a_builder_that_fails_leaves_nothing(roots: SealRoots) -> None:
    def fail(_: RunId) -> dict[str, bytes]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        roots.seal(files=fail)

    assert (roots.published(), roots.staged()) == ([], [])


@pytest.mark.parametrize(
    "change",
    [
        lambda path, data: path.write_bytes(data[:-1] + b"?"),
        lambda path, data: path.write_bytes(data[:-1]),
        lambda path, data: path.write_bytes(data + b"?"),
        lambda path, _data: path.unlink(),
        lambda path, _data: path.with_name("other").touch(),
    ],
    ids=["other bytes", "fewer bytes", "more bytes", "no file", "one more file"],
)
def test_a_disk_that_returns_other_files_than_were_written_seals_nothing(
    roots: SealRoots, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, bytes], object]
) -> None:
    write_file = writer._write_file

    def write_and_change(staging: str, relpath: str, data: bytes) -> None:
        write_file(staging, relpath, data)
        if relpath == "large.bin":
            path = Path(staging, relpath)
            path.chmod(0o644)
            change(path, data)

    monkeypatch.setattr(writer, "_write_file", write_and_change)

    with pytest.raises(PublishError, match="the disk returned other files than were written"):
        roots.seal(files=files_for({"large.bin": bytes(writer._BLOCK_BYTES + 1)}))

    assert (roots.published(), roots.staged()) == ([], [])


def test_a_missing_run_root_is_refused_with_advice(roots: SealRoots) -> None:
    roots.publish.rmdir()

    with pytest.raises(PublishError) as caught:
        roots.seal()

    assert "init" in caught.value.advice
    assert roots.staged() == []


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what is made durable and renamed, in order, each by the last part of its name."""
    calls: list[str] = []

    def record(name: str, real: Callable[..., None]) -> None:
        def call(path: str, *rest: str) -> None:
            calls.append(f"{name} {Path(path).name.split('.')[0] if name == 'sync' else 'folder'}")
            real(path, *rest)

        monkeypatch.setattr(f"registry_pipeline.runs.writer.{real.__name__}", call)

    record("sync", durable.sync_path)
    record("sync all of", durable.sync_filesystem)
    record("rename", durable.rename_noreplace)
    return calls


def test_files_then_directories_deepest_first_are_durable_before_the_rename_and_the_name_after_it(
    roots: SealRoots, steps: list[str]
) -> None:
    roots.seal()

    files = {"sync MANIFEST", "sync manifest", "sync run", "sync data", "sync readme"}
    assert set(steps[:5]) == files
    assert steps[5:] == ["sync notes", f"sync {WANTED}", "rename folder", "sync RUNS"]


def test_many_files_are_made_durable_by_one_call(roots: SealRoots, steps: list[str]) -> None:
    roots.seal(files=files_for(MANY))

    assert steps == ["sync all of folder", "rename folder", "sync RUNS"]


def _failing_at(number: int, calls: list[str]) -> Callable[[str, Any], Any]:
    """Wrap a function so that the call of this number, over all functions, fails as a broken disk would."""

    def wrap(name: str, real: Any) -> Any:
        def call(*args: Any, **words: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*args, **words)

        return call

    return wrap


@pytest.mark.parametrize(("extra", "every"), [(None, 1), (MANY, 7)], ids=["fsync", "syncfs"])
def test_a_failure_at_any_call_leaves_nothing_or_a_complete_folder(
    roots: SealRoots, extra: dict[str, bytes] | None, every: int
) -> None:
    outcomes: list[str] = []
    for number in range(1, 2000, every):
        calls: list[str] = []
        wrap = _failing_at(number, calls)
        run_id = RunId(WANTED.stamp, f"n{number}")
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, wrap(name, getattr(os, name)))
            patch.setattr("registry_pipeline.runs.writer.rename_noreplace", wrap("rename", durable.rename_noreplace))
            patch.setattr("registry_pipeline.runs.writer.sync_filesystem", wrap("sync", durable.sync_filesystem))
            try:
                roots.seal(run_id, files_for(extra))
                outcomes.append("published")
            except PublishError as error:
                outcomes.append(type(error).__name__)
        assert roots.staged() == [], f"call {number}: {calls[number - 1]}"
        writer = roots.publish / str(run_id)
        if outcomes[-1] == "PublishError":
            assert not writer.exists(), f"call {number}: {calls[number - 1]}"
        else:
            assert verify_folder(writer).verdict == "pass", f"call {number}: {calls[number - 1]}"
        if len(calls) < number:
            break

    assert outcomes[-1] == "published"
    assert {"PublishError", "DurabilityError"} <= set(outcomes)


def test_a_failure_after_the_rename_names_the_folder_and_deletes_nothing(
    roots: SealRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(os, "chmod", refuse)

    with pytest.raises(DurabilityError, match=str(WANTED)):
        roots.seal()

    assert verify_folder(roots.publish / str(WANTED)).verdict == "pass"


def _publish(publish: Path, staging: Path) -> str:
    return str(seal_folder(publish, staging, WANTED, files_for()).run_id)


def test_two_processes_that_want_one_name_get_two(roots: SealRoots) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        names = list(pool.map(_publish, [roots.publish] * 8, [roots.staging] * 8))

    expected = [str(WANTED), *(f"{WANTED}__{number:02d}" for number in range(2, 9))]
    assert sorted(names) == expected == roots.published()
    assert {verify_folder(roots.publish / name).verdict for name in names} == {"pass"}


def test_many_folders_are_published_in_order_each_under_its_own_name(roots: SealRoots) -> None:
    roots.seal()
    other = RunId(WANTED.stamp, "other")

    published = seal_folders(
        roots.publish, roots.staging, [(run_id, files_for()) for run_id in (WANTED, other, WANTED)]
    )

    assert [str(p.run_id) for p in published] == [f"{WANTED}__02", str(other), f"{WANTED}__03"]
    assert {verify_folder(p.path).verdict for p in published} == {"pass"}
    assert roots.staged() == []


def test_one_bad_folder_among_many_publishes_none(roots: SealRoots) -> None:
    wanted = [(WANTED, files_for()), (WANTED, files_for({"a  b": b""}))]

    with pytest.raises(PublishError):
        seal_folders(roots.publish, roots.staging, wanted)

    assert (roots.published(), roots.staged()) == ([], [])


def test_no_folders_are_published_for_no_wishes(roots: SealRoots) -> None:
    assert seal_folders(roots.publish, roots.staging, []) == []
