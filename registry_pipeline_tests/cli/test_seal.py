"""`seal`: run folders of other programs, sealed at the command of their owner."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.files import durable
from registry_pipeline.files.lock import hold_lock
from registry_pipeline.runs import folder_seal, writer
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.command_line import call, environment

RUN_ID = "2026-02-05__050000__op-d01"
OTHER = "2026-02-10__000000__op-b01"
RUNS = ".codex/RUNS"
SEAL_FILES = {"manifest.json", "MANIFEST.sha256"}


@pytest.fixture
def folder(known: Repository) -> Path:
    """An unsealed folder with a run.json that a seal accepts."""
    return known.runs / RUN_ID


def contents(folder: Path) -> dict[str, tuple[bytes, int, int, int]]:
    """Return bytes, mode, inode and modification time of every file of a folder."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            found[path.relative_to(folder).as_posix()] = (
                path.read_bytes(),
                status.st_mode,
                status.st_ino,
                status.st_mtime_ns,
            )
    return found


def result(known: Repository, *words: str) -> tuple[int, dict[str, Any]]:
    done = known("seal", "--json", *words)
    return done.code, done.document("seal")


def codes(document: dict[str, Any]) -> set[str]:
    return {finding["code"] for entry in document["results"] for finding in entry["findings"]}


def test_without_write_nothing_is_written_and_the_next_command_seals(known: Repository, folder: Path) -> None:
    before = known.files()

    shown = known("seal", f"{RUNS}/{RUN_ID}")

    assert shown.code == 0
    assert known.files() == before
    assert "1 folder can be sealed; nothing was written" in shown.out
    next_command = shown.out.splitlines()[-1].removeprefix("next: registry-pipeline ").split()
    done = known(*next_command)
    assert done.code == 0, done.err
    assert verify_folder(folder).verdict == "pass"


def test_the_next_command_names_a_repository_that_was_named(known: Repository, folder: Path) -> None:
    env = environment(known.home)
    words = ["-C", str(known.root), "seal", f"{known.root.name}/{RUNS}/{RUN_ID}"]

    shown = call(*words, cwd=known.root.parent, env=env)

    next_command = shown.out.splitlines()[-1].removeprefix("next: registry-pipeline ").split()
    assert call(*next_command, cwd=known.root.parent, env=env).code == 0
    assert verify_folder(folder).verdict == "pass"


def test_dry_run_is_the_default_and_can_be_said(known: Repository, folder: Path) -> None:
    before = known.files()

    assert known("seal", "--dry-run", f"{RUNS}/{RUN_ID}").out == known("seal", f"{RUNS}/{RUN_ID}").out
    assert known.files() == before


def test_only_the_two_seal_files_are_added_and_verify_passes(known: Repository, folder: Path) -> None:
    (folder / "part/deep").mkdir(parents=True)
    (folder / "part/deep/x.bin").write_bytes(bytes(range(256)) * 9000)
    before = contents(folder)

    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    after = contents(folder)
    assert code == 0
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == SEAL_FILES
    assert not [path for path in (known.root / ".codex/.staging").iterdir() if path.name != "seal.lock"]
    verified = known("verify", "--json", f"{RUNS}/{RUN_ID}")
    assert verified.code == 0
    assert document["results"][0]["root_sha256"] == verified.document("verify")["results"][0]["root_sha256"]


def test_the_dry_run_shows_the_root_that_the_seal_has(known: Repository, folder: Path) -> None:
    _, shown = result(known, f"{RUNS}/{RUN_ID}")
    _, done = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert (shown["dry_run"], done["dry_run"]) == (True, False)
    assert shown["results"][0]["state"] == "sealable"
    assert shown["results"][0] | {"state": "sealed"} == done["results"][0]


def edit_run_json(folder: Path, **changes: object) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes), encoding="utf-8")


REFUSED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a link to a file": ("NOT_REGULAR", lambda f: (f / "link").symlink_to("notes.md")),
    "a link to a folder": ("NOT_REGULAR", lambda f: (f / "link").symlink_to("..")),
    "a pipe": ("NOT_REGULAR", lambda f: os.mkfifo(f / "pipe")),
    "an empty folder": ("UNLISTED_DIR", lambda f: (f / "empty").mkdir()),
    "a name for a device": ("MANIFEST_PATH_DOS_DEVICE", lambda f: (f / "aux.txt").touch()),
    "a name of no encoding": ("MANIFEST_PATH_NOT_UTF8", lambda f: Path(os.fsdecode(bytes(f) + b"/\xff")).touch()),
    "names that differ in case": ("PATH_COLLISION", lambda f: (f / "NOTES.md").touch()),
    "no run.json": ("RUN_JSON_MISSING", lambda f: (f / "run.json").unlink()),
    "the run.json of another run": ("RUN_ID_FOLDER_MISMATCH", lambda f: edit_run_json(f, run_id="x")),
    "a run.json without a time": ("RUN_JSON_SHAPE", lambda f: edit_run_json(f, created_utc=None)),
    "a run of a registry": ("SEAL_REGISTRY_RUN", lambda f: edit_run_json(f, registry_id="run_registry")),
    "a hash file": ("SEAL_FILE_EXISTS", lambda f: (f / "MANIFEST.sha256").touch()),
    "a foreign manifest": ("SEAL_FILE_EXISTS", lambda f: (f / "manifest.json").write_text("{}")),
    "a linked manifest": ("SEAL_FILE_EXISTS", lambda f: (f / "manifest.json").symlink_to("notes.md")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_would_not_verify_is_refused_and_stays_as_it_is(
    known: Repository, folder: Path, case: str
) -> None:
    code_of_finding, change = REFUSED[case]
    change(folder)
    before = contents(folder)

    for words in ((), ("--write",)):
        code, document = result(known, *words, f"{RUNS}/{RUN_ID}")
        assert code == 5
        assert code_of_finding in codes(document)
        assert document["counts"]["refused"] == 1
    assert contents(folder) == before


def test_no_hint_of_a_refusal_says_that_the_run_must_be_rebuilt(known: Repository, folder: Path) -> None:
    for name in ("a link to a file", "an empty folder", "the run.json of another run"):
        REFUSED[name][1](folder)

    _, document = result(known, f"{RUNS}/{RUN_ID}")

    hints = [finding["hint"] for finding in document["results"][0]["findings"]]
    assert len(hints) == 3
    assert all("seal again" in hint for hint in hints)


@pytest.mark.parametrize("name", ["x" * 255, "two\nlines", "--write", "a b  c", "d\xe9j\xe0"])
def test_a_folder_of_any_name_can_be_sealed(known: Repository, folder: Path, name: str) -> None:
    folder = folder.rename(known.runs / name)
    edit_run_json(folder, run_id=name)

    code, document = result(known, "--write", f"{RUNS}/{name}")

    assert (code, document["counts"]["sealed"]) == (0, 1)
    assert verify_folder(folder).verdict == "pass"


def test_an_unreadable_file_is_refused(known: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Any, *rest: Any, **named: Any) -> int:
        if path == "notes.md":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert (code, codes(document)) == (5, {"UNREADABLE"})
    assert SEAL_FILES.isdisjoint(contents(folder))


def test_a_file_with_a_second_link_is_sealed_with_a_warning(known: Repository, folder: Path) -> None:
    os.link(folder / "notes.md", known.root / "elsewhere")

    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert (code, codes(document)) == (0, {"WARN_HARDLINK"})
    assert verify_folder(folder).verdict == "pass"


@pytest.mark.parametrize("path", ["jobs", "{root}", ".codex", f"{RUNS}/{RUN_ID}/sub"])
def test_what_is_not_directly_under_a_run_root_is_refused(known: Repository, folder: Path, path: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/x").touch()
    before = known.files()

    code, document = result(known, "--write", path.format(root=known.root))

    assert (code, codes(document)) == (5, {"SEAL_OUTSIDE_ROOTS"})
    assert {p: d for p, d in known.files().items() if not p.endswith("seal.lock")} == before


def test_a_link_to_a_folder_and_a_file_are_no_run_folders(known: Repository, folder: Path) -> None:
    (known.runs / "link").symlink_to(RUN_ID)

    code, document = result(known, "--write", f"{RUNS}/link/", f"{RUNS}/stray.txt")

    assert (code, codes(document)) == (5, {"FOLDER_NOT_DIRECTORY"})
    assert SEAL_FILES.isdisjoint(contents(folder))


def test_a_run_root_behind_a_link_is_outside(known: Repository, tmp_path: Path) -> None:
    (known.root / "reports/runs").rename(tmp_path / "elsewhere")
    (known.root / "reports/runs").symlink_to(tmp_path / "elsewhere")

    code, document = result(known, "--write", "reports/runs/2026-02-25__000000__op-b01")

    assert (code, codes(document)) == (5, {"SEAL_OUTSIDE_ROOTS"})


def test_a_path_that_does_not_exist_stops_the_command_before_anything_is_sealed(known: Repository) -> None:
    before = known.files()

    done = known("seal", "--write", f"{RUNS}/{RUN_ID}", f"{RUNS}/no-such-run")

    assert done.code == 7
    assert "no-such-run does not exist" in done.err
    assert known.files() == before


def test_of_a_run_root_every_unsealed_folder_is_sealed(known: Repository) -> None:
    code, document = result(known, "--write", RUNS)

    states = {entry["run_id"]: entry["state"] for entry in document["results"]}
    assert code == 5  # some of them have no valid run.json
    assert {name for name, state in states.items() if state == "sealed"} == {RUN_ID, OTHER}
    assert document["counts"]["already_sealed"] == 17
    assert states["no_root"] == states["legacy"] == "refused"

    code, document = result(known, "--write", RUNS)
    assert (code, document["counts"]["sealed"], document["counts"]["already_sealed"]) == (5, 0, 19)


def test_a_run_root_where_every_folder_is_sealed_needs_nothing(plain: Repository) -> None:
    for path in plain.runs.iterdir():
        if not (path / "manifest.json").exists() or not (path / "MANIFEST.sha256").exists():
            path.rename(plain.root / path.name)

    done = plain("seal", "--write", RUNS)

    assert done.code == 0
    assert "with both seal files already; nothing was written" in done.out


def test_an_empty_run_root_is_not_found(known: Repository) -> None:
    (known.root / "reports/path1/evidence/runs").mkdir(parents=True)

    assert known("seal", "reports/path1/evidence/runs").code == 7


def test_a_sealed_folder_is_refused(known: Repository, folder: Path) -> None:
    assert known("seal", "--write", f"{RUNS}/{RUN_ID}").code == 0
    before = contents(folder)

    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert (code, codes(document)) == (5, {"SEAL_FILE_EXISTS"})
    assert contents(folder) == before


def test_a_repetition_finishes_what_a_crash_left(known: Repository, folder: Path) -> None:
    known("seal", "--write", f"{RUNS}/{RUN_ID}")
    whole = contents(folder)
    (folder / "MANIFEST.sha256").unlink()
    left = contents(folder)

    _, shown = result(known, f"{RUNS}/{RUN_ID}")
    assert contents(folder) == left
    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert shown["results"][0]["finished"]
    assert (code, document["results"][0]["finished"]) == (0, True)
    assert {name: data for name, (data, *_) in contents(folder).items()} == {n: d for n, (d, *_) in whole.items()}
    assert {name: contents(folder)[name] for name in left} == left


def test_what_a_crash_left_is_not_finished_if_the_folder_changed(known: Repository, folder: Path) -> None:
    known("seal", "--write", f"{RUNS}/{RUN_ID}")
    (folder / "MANIFEST.sha256").unlink()
    (folder / "notes.md").write_text("edited\n", encoding="utf-8")
    before = contents(folder)

    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert (code, codes(document)) == (5, {"SEAL_FILE_EXISTS"})
    assert contents(folder) == before


@pytest.mark.parametrize("moment", ["before the first file", "before the second file", "after both"])
@pytest.mark.parametrize("change", ["write", "add", "rewrite"])
def test_a_folder_that_changes_meanwhile_is_not_sealed(
    known: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str, change: str
) -> None:
    calls = 0

    def write_to_the_folder() -> None:
        if change == "write":
            (folder / "data.jsonl").write_text("other\n", encoding="utf-8")
        elif change == "rewrite":
            (folder / "data.jsonl").write_bytes((folder / "data.jsonl").read_bytes())
        else:
            (folder / "new.txt").touch()

    real_make, real_rename = writer.make_staging_folder, durable.rename_noreplace

    def make(*arguments: Any) -> str:
        if moment == "before the first file":
            write_to_the_folder()
        return real_make(*arguments)

    def rename(source: str, target: str) -> None:
        nonlocal calls
        calls += 1
        if (moment, calls) == ("before the second file", 2):
            write_to_the_folder()
        real_rename(source, target)
        if (moment, calls) == ("after both", 2):
            write_to_the_folder()

    monkeypatch.setattr(folder_seal, "make_staging_folder", make)
    monkeypatch.setattr(folder_seal, "rename_noreplace", rename)
    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert code == 5
    assert "FILE_CHANGED_WHILE_READING" in codes(document)
    assert document["counts"]["sealed"] == 0
    assert calls == (0 if moment == "before the first file" else 2)
    assert SEAL_FILES.isdisjoint(contents(folder))
    monkeypatch.undo()
    assert known("seal", "--write", f"{RUNS}/{RUN_ID}").code == 0


@pytest.mark.parametrize("failing", [1, 2])
def test_what_the_disk_refuses_is_reported_and_the_other_folders_are_sealed(
    known: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    before, calls, real = contents(folder), 0, durable.rename_noreplace

    def rename(source: str, target: str) -> None:
        nonlocal calls
        calls += RUN_ID in target
        if calls == failing and RUN_ID in target:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)
        real(source, target)

    monkeypatch.setattr(folder_seal, "rename_noreplace", rename)
    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}", f"{RUNS}/{OTHER}")

    assert (code, codes(document)) == (1, {"SEAL_NOT_WRITTEN"})
    hint = document["results"][0]["findings"][0]["hint"]
    assert hint == "free some space on the disk, then run the command again"
    assert [entry["state"] for entry in document["results"]] == ["refused", "sealed"]
    assert contents(folder) == before
    assert verify_folder(known.runs / OTHER).verdict == "pass"


def test_a_seal_file_that_appears_meanwhile_is_not_replaced(
    known: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = durable.rename_noreplace

    def rename(source: str, target: str) -> None:
        if target.endswith("MANIFEST.sha256"):
            Path(target).write_text("mine\n", encoding="utf-8")
        real(source, target)

    monkeypatch.setattr(folder_seal, "rename_noreplace", rename)
    code, document = result(known, "--write", f"{RUNS}/{RUN_ID}")

    assert (code, codes(document)) == (5, {"SEAL_FILE_EXISTS"})
    assert (folder / "MANIFEST.sha256").read_text(encoding="utf-8") == "mine\n"
    assert not (folder / "manifest.json").exists()


def test_two_seals_at_a_time_are_refused(known: Repository, folder: Path) -> None:
    lock = known.root / ".codex/.staging/seal.lock"
    with hold_lock(lock, known.root, "seal", make_folder=True):
        done = known("seal", "--write", f"{RUNS}/{RUN_ID}")
        assert known("seal", f"{RUNS}/{RUN_ID}").code == 0

    assert done.code == 6
    assert SEAL_FILES.isdisjoint(contents(folder))


def test_a_run_that_was_listed_before_it_was_sealed_is_no_changed_run(built: Repository) -> None:
    assert built("seal", "--write", f"{RUNS}/{RUN_ID}").code == 0

    done = built("build", now="2026-03-02T12:00:00Z")

    assert done.code == 0, done.out
    assert "RUN_RESEALED" not in done.out
    listed = (built.runs / built.active("run_registry") / "RUN_REGISTRY_v0_1.jsonl").read_text(encoding="utf-8")
    line = next(json.loads(line) for line in listed.splitlines() if RUN_ID in line)
    assert line["manifest_root_sha256"] == verify_folder(built.runs / RUN_ID).root_sha256
