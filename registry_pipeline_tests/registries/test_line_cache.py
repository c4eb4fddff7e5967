"""A build that reads only what has changed gives the bytes of one that reads everything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_pipeline.config import Adapter, Config, Repository
from registry_pipeline.files.cache_file import write_cache_file
from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.run_registry import read
from registry_pipeline.registries.run_registry.build import ARTIFACT, build_run_registry
from registry_pipeline.registries.run_registry.line_cache import NAME, LineCache
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs import scan
from registry_pipeline_tests.registries.builder_values import CONTEXT
from registry_pipeline_tests.registries.test_inputs import repository_at

ROOT: Final = ".codex/RUNS"


def put(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    for number in range(4):
        folder = tmp_path / ROOT / f"2026-01-0{number + 1}__000000__op"
        put(folder, "run.json", b'{"operation_id": "OP-A01", "created_utc": "2026-01-0%dT00:00:00Z"}' % (number + 1))
        put(folder, "MANIFEST.sha256", b"ROOT_SHA256  " + b"ab" * 32 + b"\n")
        put(folder, "data.csv", b"a,b\n")
    put(tmp_path / ROOT / "bare", "notes.txt", b"no run.json\n")
    (tmp_path / ROOT / "empty").mkdir()
    return repository_at(tmp_path)


def build(repository: Repository, seconds_later: int = 60, **context: object) -> bytes:
    """Build some time after the last change, so that every folder is old enough to be kept."""
    newest = datetime.fromtimestamp(_find_newest_change(repository.root), UTC)
    return build_at(repository, newest + timedelta(seconds=seconds_later), **context)


def build_at(repository: Repository, started: datetime, **context: object) -> bytes:
    gathered = read_run_registry_inputs(
        repository,
        SourceContext(started=started, specs=SHIPPED.registries, **context),  # type: ignore[arg-type]  # fields by name
    )
    return build_run_registry(gathered.inputs, CONTEXT).files[ARTIFACT]


def build_without_cache(repository: Repository) -> bytes:
    cache_file(repository).unlink(missing_ok=True)
    data = build(repository)
    # A repository without folders gets no file.
    cache_file(repository).unlink(missing_ok=True)
    return data


def cache_file(repository: Repository) -> Path:
    return repository.state_root / "cache" / NAME


def _find_newest_change(root: Path) -> float:
    return max(path.lstat().st_ctime for path in (root, *root.rglob("*")))


def wait_for_the_next_tick(root: Path) -> None:
    """Return when the file system stamps changes with a later time than those of all files so far."""
    newest, probe = _find_newest_change(root), root / "probe"
    while not probe.exists() or probe.stat().st_ctime <= newest:
        probe.write_bytes(b"x")
    probe.unlink()


@pytest.fixture
def folders_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    read_run = scan._read_run

    def note(root_path: str, run_root: str, run_id: str, *rest: object) -> object:
        names.append(run_id)
        return read_run(root_path, run_root, run_id, *rest)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(scan, "_read_run", note)
    return names


def test_folders_that_did_not_change_are_not_read_again(repository: Repository, folders_read: list[str]) -> None:
    first = build(repository)
    read_first = folders_read.copy()
    folders_read.clear()

    assert build(repository) == first
    assert len(read_first) == 6
    assert folders_read == []


def test_only_a_new_folder_is_read(repository: Repository, folders_read: list[str]) -> None:
    build(repository)
    folders_read.clear()
    put(repository.root / ROOT / "2026-01-02__120000__new", "run.json", b'{"created_utc": "2026-01-02T12:00:00Z"}')

    with_cache = build(repository)

    assert folders_read == ["2026-01-02__120000__new"]
    assert with_cache == build_without_cache(repository)


def test_few_new_folders_are_read_again_until_they_are_a_hundredth_of_all(
    tmp_path: Path, folders_read: list[str]
) -> None:
    for number in range(200):
        put(tmp_path / ROOT / f"run-{number}", "notes.txt", b"")
    repository = repository_at(tmp_path)
    build(repository)
    read = []
    for name in ("a", "b", "c"):
        put(tmp_path / ROOT / name, "notes.txt", b"")
        folders_read.clear()
        build(repository)
        read.append(sorted(folders_read))
    folders_read.clear()
    build(repository)

    assert read == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert folders_read == [], "with the third folder the file was written"


def test_a_folder_that_changed_shortly_before_the_build_is_read_again(
    repository: Repository, folders_read: list[str]
) -> None:
    # A later change could have the same time on a file system that counts whole seconds.
    build(repository, seconds_later=1)
    folders_read.clear()

    build(repository)

    assert len(folders_read) == 6


def test_without_the_time_of_the_build_nothing_is_kept(repository: Repository) -> None:
    read_run_registry_inputs(repository, SourceContext(specs=SHIPPED.registries))

    assert not cache_file(repository).exists()


def test_a_folder_of_the_same_dagster_run_is_read_and_left_out(repository: Repository) -> None:
    put(repository.root / ROOT / "2026-01-09__000000__own", "run.json", b'{"dagster_run_id": "d1"}')
    build(repository)
    started = datetime(2026, 1, 9, tzinfo=UTC)

    context = SourceContext(started=started, exclude_dagster_run="d1", specs=SHIPPED.registries)
    inputs = read_run_registry_inputs(repository, context).inputs

    run_ids = [json.loads(line)["run_id"] for line in build_run_registry(inputs, CONTEXT).files[ARTIFACT].splitlines()]
    assert "2026-01-09__000000__own" not in run_ids
    assert len(run_ids) == 6


def test_a_root_with_adapters_is_always_read(tmp_path: Path, folders_read: list[str]) -> None:
    put(tmp_path / ROOT / "r", "meta.json", b'{"job": "OP-A01"}')
    repository = Repository(tmp_path, Config(adapters=(Adapter(ROOT, "meta.json", operation_id="job"),)))
    build(repository)
    folders_read.clear()

    build(repository)

    assert folders_read == ["r"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _data: b"",
        lambda data: data[:-1],
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    ],
    ids=["emptied", "cut", "one bit"],
)
def test_a_damaged_file_is_ignored_and_replaced(
    repository: Repository, damage: Callable[[bytes], bytes], folders_read: list[str]
) -> None:
    first = build(repository)
    cache_file(repository).write_bytes(damage(cache_file(repository).read_bytes()))
    folders_read.clear()

    assert build(repository) == first
    assert len(folders_read) == 6
    folders_read.clear()
    assert build(repository) == first
    assert folders_read == []


@pytest.mark.parametrize("body", [b"", b"[]\n", b"[2, 1, 1, 1, 1, 1, 1]\n[]xxxxxx", b"{}\n", b"not JSON\n", b"no line"])
def test_a_file_that_another_program_wrote_with_a_valid_hash_is_ignored(repository: Repository, body: bytes) -> None:
    first = build(repository)
    path = cache_file(repository)
    write_cache_file(path, path.read_bytes().partition(b"\n")[0] + b"\n", [body])

    assert build(repository) == first


def test_another_program_or_user_reads_every_folder(
    repository: Repository, folders_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(repository)
    folders_read.clear()
    monkeypatch.setattr("registry_pipeline.files.cache_file.hash_program", lambda: "another")
    build(repository)
    assert len(folders_read) == 6

    folders_read.clear()
    monkeypatch.setattr(os, "getgroups", lambda: [4711])
    build(repository)
    assert len(folders_read) == 6


def test_a_time_before_1970_is_read_again_each_time(
    repository: Repository, folders_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(repository)
    cache_file(repository).unlink()
    lstat = os.lstat

    class Old:
        def __init__(self, status: os.stat_result) -> None:
            self.st_ctime_ns, self.st_size, self.st_ino = -1, status.st_size, status.st_ino

    monkeypatch.setattr(os, "lstat", lambda path, **options: Old(lstat(path, **options)))
    folders_read.clear()
    data = [build_at(repository, datetime(2030, 1, 1, tzinfo=UTC)) for _ in range(2)]

    assert len(folders_read) == 12
    assert data[0] == data[1]


def test_names_of_folders_that_are_gone_are_not_kept(repository: Repository) -> None:
    put(repository.root / ROOT / "2026-01-07__000000__named", "a_name_that_nothing_else_has.txt", b"")
    build(repository)
    assert b"a_name_that_nothing_else_has" in cache_file(repository).read_bytes()

    _remove(repository.root / ROOT / "2026-01-07__000000__named", b"")
    build(repository)

    assert b"a_name_that_nothing_else_has" not in cache_file(repository).read_bytes()


def test_a_file_that_cannot_be_written_changes_nothing(repository: Repository) -> None:
    first = build(repository)
    cache_file(repository).unlink()
    cache_file(repository).mkdir()

    assert build(repository) == first


def _rewrite(folder: Path, data: bytes) -> None:
    for path in folder.glob("*.*"):
        path.write_bytes(data)


def _rewrite_and_restore_times(folder: Path, data: bytes) -> None:
    for path in folder.glob("*.*"):
        status = path.stat()
        path.write_bytes(data[: status.st_size].ljust(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace(folder: Path, data: bytes) -> None:
    for path in folder.glob("*.*"):
        path.with_name("temporary").write_bytes(data)
        path.with_name("temporary").rename(path)


def _add(folder: Path, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "added").write_bytes(data)


def _remove(folder: Path, _data: bytes) -> None:
    for path in folder.glob("*"):
        path.unlink()
    if folder.exists():
        folder.rmdir()


def _swap(folder: Path, _data: bytes) -> None:
    other = folder.with_name("bare")
    if folder.exists() and other.exists() and folder != other:
        folder.rename(folder.with_name("between"))
        other.rename(folder)
        folder.with_name("between").rename(other)


CHANGES: Final = (_rewrite, _rewrite_and_restore_times, _replace, _add, _remove, _swap)
DATA: Final = (b"", b"{}", b'{"option": "A"}', b'{"created_utc": "2026-01-03T00:00:00Z"}', b"\xff", b'["\\ud800"]')


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 5), st.sampled_from(DATA)), min_size=1, max_size=4))
def test_after_any_changes_the_bytes_are_those_of_a_build_that_reads_everything(
    repository: Repository, changes: list[tuple[Callable[[Path, bytes], None], int, bytes]]
) -> None:
    build(repository)
    wait_for_the_next_tick(repository.root)
    names = [*(f"2026-01-0{number}__000000__op" for number in range(1, 5)), "bare", "empty"]

    for change, number, data in changes:
        change(repository.root / ROOT / names[number], data)

    with_cache = build(repository)
    assert build(repository) == with_cache
    assert with_cache == build_without_cache(repository)


def test_what_a_folder_claims_is_kept_with_its_line(repository: Repository) -> None:
    put(repository.root / ROOT / "2026-01-08__000000__registry", "run.json", b'{"registry_id": "x"}')
    listed = b"0" * 64 + b"  RUN_REGISTRY_v0_1.jsonl\n"
    put(repository.root / ROOT / "2026-01-08__000001__older", "MANIFEST.sha256", listed)

    for _ in range(2):
        cache = _read_cache(repository)
        assert set().union(*cache.list_without_claim().values()) == {
            "bare",
            "empty",
            *(f"2026-01-0{number}__000000__op" for number in range(1, 5)),
        }


def _read_cache(repository: Repository) -> LineCache:
    caches: list[LineCache] = []

    class Noted(LineCache):
        def __init__(self, path: Path, artifacts: Collection[str]) -> None:
            super().__init__(path, artifacts)
            caches.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "LineCache", Noted)
        build(repository)
    return caches[0]
