"""`export` and `import`: run folders packed into a verified archive, and brought back."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.pipeline.export import export_runs, select_named_runs
from registry_pipeline.pipeline.import_runs import import_archive
from registry_pipeline.pointers.find_runs import make_found_run
from registry_pipeline.runs.archive_writer import write_archive
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.runs.writer import publish_named_folder
from registry_pipeline_tests.archived_runs import (
    ARCHIVE,
    FIRST,
    OLD,
    RUNS,
    SECOND,
    THIRD,
    add_entry,
    add_sealed_runs,
    read_tree,
    remove_runs,
)
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.crash_points import killed_at

LATER = "2026-06-01T00:00:00Z"


@pytest.fixture
def old(known: Repository) -> Repository:
    """A repository with three sealed runs of January 2025, and a folder for archives."""
    add_sealed_runs(known, *OLD)
    return known


@pytest.fixture
def exported(old: Repository) -> Repository:
    """The same with an archive of the three runs."""
    assert old("export", *OLD, ARCHIVE).code == 0
    return old


def codes(document: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in document["findings"]]


def staged(repository: Repository) -> list[str]:
    folder = repository.root / ".codex/.staging"
    return sorted(path.name for path in folder.iterdir() if path.name != "seal.lock") if folder.exists() else []


# Export


def test_an_export_packs_the_runs_and_says_what_may_be_removed_and_how_to_check(old: Repository) -> None:
    before = {run_id: read_tree(old.runs / run_id) for run_id in OLD}

    done = old("export", FIRST, f"{RUNS}/{SECOND}", ARCHIVE)

    assert done.code == 0, done.err
    assert "exported  2 runs" in done.out
    assert "nothing was deleted" in done.out
    assert f'    archives = ["{ARCHIVE}"]' in done.out.splitlines()
    assert [line.strip() for line in done.out.splitlines()[-2:]] == [f"{RUNS}/{FIRST}", f"{RUNS}/{SECOND}"]
    assert {run_id: read_tree(old.runs / run_id) for run_id in OLD} == before
    check = next(line for line in done.out.splitlines() if line.startswith("next: "))
    checked = old(*check.removeprefix("next: registry-pipeline ").split())
    assert (checked.code, "2 runs with the same root already there; nothing was written" in checked.out) == (0, True)
    assert old("verify", ARCHIVE).code == 0


def test_the_same_folders_give_the_same_bytes_whatever_their_modes_and_times(old: Repository) -> None:
    first = old("export", FIRST, SECOND, ARCHIVE, "--json").document("export")
    for path in (old.runs / FIRST).rglob("*"):
        os.utime(path, (0, 0))
    (old.runs / FIRST / "result.txt").chmod(0o640)

    second = old("export", SECOND, FIRST, "archives/again.tar.gz", "--json", now=LATER).document("export")

    assert (old.root / ARCHIVE).read_bytes() == (old.root / "archives/again.tar.gz").read_bytes()
    assert (first["sha256"], first["runs"]) == (second["sha256"], second["runs"])


def test_entries_are_plain_files_of_nobody_at_no_time(exported: Repository) -> None:
    with tarfile.open(exported.root / ARCHIVE) as archive:
        members = archive.getmembers()

    assert {(m.isreg(), m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {
        (True, 0o444, 0, 0, "", "", 0)
    }
    assert [m.name for m in members] == sorted(m.name for m in members)
    assert (exported.root / ARCHIVE).read_bytes()[4:8] == bytes(4)  # the time of gzip


def test_an_age_selects_sealed_runs_by_the_time_that_they_state(old: Repository) -> None:
    done = old("export", "--older-than", "2025-01-12", ARCHIVE, "--json").document("export")

    assert [run["run_id"] for run in done["runs"]] == [FIRST, SECOND]
    assert {"reason": "it is not sealed"}.items() <= done["left_out"][0].items()
    days = old("export", "--older-than", "48", "archives/days.tar.gz", "--json", now="2025-02-28T00:00:01Z")
    assert [run["run_id"] for run in days.document("export")["runs"]] == [FIRST, SECOND]


def test_with_an_age_a_damaged_folder_is_left_out_with_its_findings_and_exit_3(old: Repository) -> None:
    flip_byte(old.runs / FIRST / "result.txt")

    done = old("export", "--older-than", "2025-02-01", ARCHIVE, "--json")

    document = done.document("export")
    assert (done.code, codes(document)) == (3, ["HASH_MISMATCH"])
    assert [run["run_id"] for run in document["runs"]] == [SECOND, THIRD]
    assert {"reason": "it does not verify", "runs": 1} in document["left_out"]


def test_a_damaged_folder_that_is_named_refuses_the_export(old: Repository) -> None:
    flip_byte(old.runs / FIRST / "result.txt")

    done = old("export", FIRST, SECOND, ARCHIVE, "--json")

    document = done.document("export")
    assert (done.code, codes(document), document["archive"]) == (3, ["HASH_MISMATCH"], None)
    assert list((old.root / "archives").iterdir()) == []


def test_an_unsealed_folder_that_is_named_is_refused(old: Repository) -> None:
    done = old("export", FIRST, "2026-02-05__050000__op-d01", ARCHIVE, "--json")

    document = done.document("export")
    assert (done.code, codes(document), document["archive"]) == (5, ["EXPORT_NOT_SEALED"], None)


@pytest.mark.parametrize("registry", ["run_registry", "drift_signals"])
def test_what_is_active_and_what_it_was_built_from_stays(built: Repository, registry: str) -> None:
    (built.root / "archives").mkdir()
    run_id = built.active(registry)

    done = built("export", run_id, ARCHIVE, "--json")

    assert (done.code, codes(done.document("export"))) == (5, ["EXPORT_RUN_NEEDED"])


def test_an_age_leaves_records_and_needed_runs_and_takes_replaced_ones(built: Repository) -> None:
    (built.root / "archives").mkdir()
    first = built.active("run_registry")
    for day in (2, 3, 4):
        assert built("build", "--force", now=f"2026-03-0{day}T12:00:00Z").code == 0

    document = built("export", "--older-than", "1", ARCHIVE, "--json", now=LATER).document("export")

    assert codes(document) == []
    exported = {run["run_id"] for run in document["runs"]}
    assert first in exported
    assert not [run_id for run_id in exported if "pointer_activation" in run_id]
    pointers = {built.active(name) for name in ("run_registry", "op_status_table", "drift_signals")}
    assert not pointers & exported
    reasons = {item["reason"] for item in document["left_out"]}
    assert {"it is an activation record", "it is active", "it is the newest run of its registry"} <= reasons
    # Everything that the repository reads is still a folder.
    remove_runs(built, *exported & {path.name for path in built.runs.iterdir()})
    assert built("build", "--force", now="2026-03-05T12:00:00Z").code in (0, 3, 5)
    assert "DELTA" not in built("build", "registry_delta_log", now="2026-03-05T13:00:00Z").out


def test_one_registry_can_be_selected(built: Repository) -> None:
    (built.root / "archives").mkdir()
    for day in (2, 3, 4):
        assert built("build", "--force", now=f"2026-03-0{day}T12:00:00Z").code == 0

    done = built("export", "--older-than", "1", "--registry", "run_registry", ARCHIVE, "--json", now=LATER)

    assert [run["run_id"] for run in done.document("export")["runs"]] == [
        "2026-03-01__120000__run_registry_build",
        "2026-03-02__120000__run_registry_build",
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("export", FIRST, "old.zip"), 2),
        (("export", "old.tar.gz"), 2),
        (("export", "--older-than", "soon", "old.tar.gz"), 2),
        (("export", FIRST, "--older-than", "3", "old.tar.gz"), 2),
        (("export", FIRST, "--registry", "run_registry", "old.tar.gz"), 2),
        (("export", "--older-than", "3", "--registry", "no_registry", "old.tar.gz"), 7),
        (("export", "--older-than", "9000", "old.tar.gz"), 7),
        (("export", FIRST, "nowhere/old.tar.gz"), 7),
        (("export", "./docs", "old.tar.gz"), 5),
        (("import", "nowhere.tar.gz"), 7),
        (("import", "README.md"), 7),
    ],
)
def test_a_wrong_request_is_one_line_of_advice_and_writes_nothing(
    words: tuple[str, ...], code: int, old: Repository
) -> None:
    before = old.files()

    done = old(*words)

    assert (done.code, done.out, len(done.err.splitlines()) <= 3) == (code, "", True), done.err
    assert old.files() == before


def test_a_file_that_exists_is_never_replaced(old: Repository) -> None:
    (old.root / ARCHIVE).write_bytes(b"mine")

    assert old("export", FIRST, ARCHIVE).code == 5
    assert (old.root / ARCHIVE).read_bytes() == b"mine"


def test_a_file_that_appears_meanwhile_is_not_replaced(old: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    real = write_archive

    def write(path: Path, *more: Any) -> None:
        real(path, *more)
        (old.root / ARCHIVE).write_bytes(b"mine")

    monkeypatch.setattr("registry_pipeline.pipeline.export.write_archive", write)

    assert old("export", FIRST, ARCHIVE).code == 5
    assert (old.root / ARCHIVE).read_bytes() == b"mine"
    assert staged(old) == []


def test_a_folder_that_changes_after_it_was_verified_is_found_when_the_archive_is_read_back(
    old: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_archive

    def write(path: Path, *more: Any) -> None:
        flip_byte(old.runs / FIRST / "result.txt")
        real(path, *more)

    monkeypatch.setattr("registry_pipeline.pipeline.export.write_archive", write)

    done = old("export", FIRST, SECOND, ARCHIVE)

    assert (done.code, "HASH_MISMATCH" in done.err) == (1, True)
    assert (list((old.root / "archives").iterdir()), staged(old)) == ([], [])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_leaves_nothing(number: int, old: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("registry_pipeline.pipeline.export.write_archive", refuse)

    done = old("export", FIRST, ARCHIVE)

    assert (done.code, os.strerror(number) in done.err, " -> " in done.err) == (1, True, True)
    assert (list((old.root / "archives").iterdir()), staged(old)) == ([], [])


# Import


@pytest.mark.parametrize("name", ["archives/x.tar.gz", "archives/x.tgz", "archives/x.tar"])
def test_an_import_brings_back_the_same_folders_read_only(old: Repository, name: str) -> None:
    assert old("export", *OLD, name).code == 0
    before = {run_id: read_tree(old.runs / run_id) for run_id in OLD}
    remove_runs(old, FIRST, THIRD)

    done = old("import", name, "--json")

    document = done.document("import")
    assert (done.code, document["findings"]) == (0, [])
    assert [run["state"] for run in document["runs"]] == ["imported", "exists", "imported"]
    assert {run_id: read_tree(old.runs / run_id) for run_id in OLD} == before
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (old.runs / FIRST).rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (old.runs / FIRST, old.runs / FIRST / "tables/north")}
    assert (modes, folders, staged(old)) == ({0o444}, {0o555}, [])


def test_a_dry_run_writes_nothing(exported: Repository) -> None:
    remove_runs(exported, FIRST)
    before = exported.files()

    done = exported("import", "--dry-run", ARCHIVE, "--json")

    assert [run["state"] for run in done.document("import")["runs"]] == ["importable", "exists", "exists"]
    assert exported.files() == before


def _alter(folder: Path) -> None:
    flip_byte(folder / "result.txt")


def _unseal(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _link(folder: Path) -> None:
    shutil.move(folder, folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")


@pytest.mark.parametrize("change", [_alter, _unseal, _link])
def test_a_folder_that_is_another_refuses_the_whole_import(
    change: Callable[[Path], None], exported: Repository
) -> None:
    change(exported.runs / SECOND)
    remove_runs(exported, FIRST)
    before = exported.files()

    done = exported("import", ARCHIVE, "--json")

    document = done.document("import")
    assert (done.code, codes(document)) == (5, ["IMPORT_RUN_EXISTS"])
    assert {run["state"] for run in document["runs"]} == {"refused"}
    assert exported.files() == before


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (_entry("../outside"), "ARCHIVE_PATH"),
        (_entry(f"{RUNS}/{FIRST}/../../../outside"), "ARCHIVE_PATH"),
        (_entry("/tmp/outside"), "ARCHIVE_PATH"),  # noqa: S108 - never written
        (_entry(f"{RUNS}/{FIRST}/out", tarfile.SYMTYPE, "/etc"), "NOT_REGULAR"),
        (_entry(f"{RUNS}/{FIRST}/out", tarfile.LNKTYPE, "/etc/passwd"), "NOT_REGULAR"),
        (_entry(f"{RUNS}/{FIRST}/out", tarfile.CHRTYPE), "NOT_REGULAR"),
        (_entry(f"{RUNS}/{FIRST}/out", tarfile.FIFOTYPE), "NOT_REGULAR"),
        (_entry(f"{RUNS}/{FIRST}/run.json"), "ARCHIVE_DUPLICATE"),
        (_entry(f"{RUNS}/{FIRST}/more.txt"), "UNLISTED_FILE"),
        (_entry(f"{RUNS}/other/notes.txt"), "EXPORT_NOT_SEALED"),
    ],
)
def test_a_hostile_archive_writes_nothing(entry: tarfile.TarInfo, code: str, old: Repository) -> None:
    assert old("export", FIRST, SECOND, "archives/x.tar").code == 0
    remove_runs(old, FIRST, SECOND)
    add_entry(old.root / "archives/x.tar", entry)
    before = old.files()

    done = old("import", "archives/x.tar", "--json")

    assert done.code in (3, 5)
    assert code in codes(done.document("import"))
    assert (old.files(), staged(old)) == (before, [])
    assert old("verify", "archives/x.tar").code == 3


def test_a_damaged_archive_is_one_finding(exported: Repository) -> None:
    path = exported.root / ARCHIVE
    path.chmod(0o644)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-2048]))

    done = exported("import", ARCHIVE, "--json")

    assert (done.code, codes(done.document("import"))) == (3, ["ARCHIVE_INVALID"])


def test_runs_of_no_run_root_are_refused(old: Repository) -> None:
    with tarfile.open(old.root / "archives/x.tar", "w") as archive:
        archive.add(old.runs / FIRST, FIRST)

    done = old("import", "archives/x.tar", "--json")

    assert (done.code, codes(done.document("import"))) == (5, ["ARCHIVE_OUTSIDE_ROOTS"])


def test_an_activation_record_is_never_imported(built: Repository) -> None:
    record = next(path for path in built.runs.iterdir() if path.name.endswith("__pointer_activation"))
    with tarfile.open(built.root / "x.tar", "w") as archive:
        archive.add(record, f"{RUNS}/{record.name}")
    remove_runs(built, record.name)

    done = built("import", "x.tar", "--json")

    assert (done.code, codes(done.document("import"))) == (5, ["IMPORT_RECORD"])
    assert not record.exists()


def test_a_folder_that_appears_meanwhile_is_not_replaced(exported: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_runs(exported, FIRST, SECOND)
    publish = publish_named_folder

    def race(run_root: Path, staging: str, name: str, root_sha256: str) -> bool:
        if name == SECOND:
            (run_root / name).mkdir()
        return publish(run_root, staging, name, root_sha256)

    monkeypatch.setattr("registry_pipeline.pipeline.import_runs.publish_named_folder", race)

    done = exported("import", ARCHIVE)

    assert (done.code, f"another process made {RUNS}/{SECOND} meanwhile" in done.err) == (1, True)
    assert verify_folder(exported.runs / FIRST).verdict == "pass"
    assert (list((exported.runs / SECOND).iterdir()), staged(exported)) == ([], [])


# Kills

_CALLS = (
    *(f"os.{name}" for name in ("open", "fsync", "mkdir", "chmod", "fchmod", "unlink", "rmdir", "scandir")),
    "registry_pipeline.runs.archive_writer.open_regular_file",
    "registry_pipeline.pipeline.export.rename_noreplace",
    "registry_pipeline.runs.writer.rename_noreplace",
)


def test_an_export_killed_at_any_call_leaves_the_whole_archive_or_what_doctor_finds(old: Repository) -> None:
    repository = load_repository(old.root)
    archive, outcomes, number, killed = old.root / ARCHIVE, set(), 1, True
    runs = [make_found_run(repository, RUNS, run_id) for run_id in (FIRST, SECOND)]

    def work() -> None:
        selection = select_named_runs(repository, runs)
        export_runs(repository, selection, archive, on_step=lambda _step, _total: lambda _count: None)

    while killed:
        killed = killed_at(number, work, _CALLS)
        outcomes.add((killed, archive.exists()))
        if archive.exists():
            assert old("verify", ARCHIVE).code == 0
            archive.unlink()
        if staged(old):
            assert "DOCTOR_STAGING_LEFTOVER" in old("doctor", "--fix").out
        assert staged(old) == []
        number += 1

    assert outcomes == {(True, False), (True, True), (False, True)}


def test_an_import_killed_at_any_call_leaves_whole_folders_or_none(exported: Repository) -> None:
    repository = load_repository(exported.root)
    outcomes, number, killed = set(), 1, True
    while killed:
        remove_runs(exported, *(run_id for run_id in (FIRST, SECOND) if (exported.runs / run_id).exists()))
        killed = killed_at(
            number,
            lambda: import_archive(repository, exported.root / ARCHIVE, write=True),
            _CALLS,
        )
        found = [run_id for run_id in (FIRST, SECOND) if (exported.runs / run_id).exists()]
        outcomes.add((killed, len(found)))
        for run_id in found:
            assert verify_folder(exported.runs / run_id).verdict == "pass", f"killed at call {number}"
        if staged(exported):
            assert "DOCTOR_STAGING_LEFTOVER" in exported("doctor", "--fix").out
        number += 7

    assert outcomes >= {(True, 0), (True, 1), (False, 2)}
