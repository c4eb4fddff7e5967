"""`registry-verify.pyz` runs on a bare Python and finds what `verify --all --only seal` finds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline_tests.archived_runs import ARCHIVE, OLD, add_sealed_runs, name_archives, remove_runs
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import flip_byte

ROOT = Path(__file__).parents[2]
RUN = "2026-03-01__120000__run_registry_build"
NEVER = "NOT_CHECKED: schemas of run.json and artifacts, rules of the registries, recorded inputs, git"

pytestmark = pytest.mark.process


def _run_bare_python(*words: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python isolated and without `site`, so that it finds no package, and with no other variables."""
    command = [sys.executable, "-I", "-S", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, packed by a bare Python."""
    target = tmp_path_factory.mktemp("standalone") / "registry-verify.pyz"
    done = _run_bare_python(ROOT / "tools/standalone.py", target, cwd=target.parent)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def verify(program: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
        done = _run_bare_python(program, *words, cwd=tmp_path, **variables)
        assert "Traceback" not in done.stderr
        return done

    return run


def _copy_sources(folder: Path) -> Path:
    """Copy what the program is packed from, with other times and modes."""
    for name in ("registry_pipeline", "tools"):
        shutil.copytree(ROOT / name, folder / name, copy_function=shutil.copyfile)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_the_same_sources_give_the_same_bytes(program: Path, tmp_path: Path) -> None:
    copy = _copy_sources(tmp_path / "checkout")

    _run_bare_python(copy / "tools/standalone.py", tmp_path / "again.pyz", cwd=tmp_path)

    assert (tmp_path / "again.pyz").read_bytes() == program.read_bytes()
    assert os.access(program, os.X_OK)


def test_a_module_with_a_third_party_import_is_not_packed(tmp_path: Path) -> None:
    copy = _copy_sources(tmp_path / "checkout")
    with (copy / "registry_pipeline/runs/tree.py").open("a", encoding="utf-8") as file:
        file.write("\n\ndef late() -> None:\n    import yaml\n")

    done = _run_bare_python(copy / "tools/standalone.py", tmp_path / "x.pyz", cwd=tmp_path)

    assert (done.returncode, (tmp_path / "x.pyz").exists()) == (1, False)
    assert "registry_pipeline.seal.standalone imports yaml, which a bare Python does not have" in done.stderr


def test_folders_and_archives_are_verified_and_what_is_not_checked_is_said(
    verify: Callable[..., subprocess.CompletedProcess[str]], seen: Repository, tmp_path: Path
) -> None:
    root = (seen.runs / RUN / "MANIFEST.sha256").read_text(encoding="utf-8").split()[-1]
    with tarfile.open(tmp_path / "run.tar.gz", "w:gz") as archive:
        archive.add(seen.runs / RUN, RUN)

    done = verify(seen.runs / RUN, "run.tar.gz")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"SEAL_VALID: {seen.runs / RUN} ROOT_SHA256 {root}",
        f"SEAL_VALID: run.tar.gz ROOT_SHA256 {root}",
        f"{NEVER}, pointer file, activation chain, marks of bad runs",
    ]


def test_every_run_of_an_archive_is_verified(
    verify: Callable[..., subprocess.CompletedProcess[str]], built: Repository
) -> None:
    add_sealed_runs(built, *OLD)
    assert built("export", *OLD, ARCHIVE).code == 0

    lines = verify(built.root / ARCHIVE).stdout.splitlines()

    assert [line.split()[:2] for line in lines[:-1]] == [
        ["SEAL_VALID:", f"{built.root / ARCHIVE}/.codex/RUNS/{run_id}"] for run_id in OLD
    ]


def test_a_repository_is_verified_with_its_archives(
    verify: Callable[..., subprocess.CompletedProcess[str]], built: Repository
) -> None:
    _leave_valid_runs(built)
    add_sealed_runs(built, *OLD)
    assert built("export", *OLD, ARCHIVE).code == 0
    name_archives(built, ARCHIVE)
    remove_runs(built, *OLD)
    assert verify("--repository", built.root).returncode == 0

    (built.root / ARCHIVE).chmod(0o644)
    flip_byte(built.root / ARCHIVE)

    damaged = verify("--repository", built.root)
    assert (damaged.returncode, "ARCHIVE_INVALID" in damaged.stdout) == (3, True)
    (built.root / ARCHIVE).unlink()
    missing = verify("--repository", built.root)
    assert (missing.returncode, "ARCHIVE_MISSING" in missing.stdout) == (3, True)


def test_invalid_is_3_and_missing_is_7(
    verify: Callable[..., subprocess.CompletedProcess[str]], built: Repository
) -> None:
    built.tamper(RUN, "RUN_REGISTRY_v0_1.jsonl")

    assert verify(built.runs / RUN, "absent").returncode == 3
    assert verify("absent").returncode == 7
    assert verify("absent.tar.gz").returncode == 7


def test_a_whole_repository_is_valid_and_names_the_head_of_its_chain(
    verify: Callable[..., subprocess.CompletedProcess[str]], built: Repository
) -> None:
    _leave_valid_runs(built)
    anchor = built("anchor").out.strip()

    done = verify("--repository", built.root, "--expect", anchor)

    verdict, not_checked = done.stdout.splitlines()[-2:]
    assert (done.returncode, not_checked) == (0, NEVER)
    assert verdict.startswith(f"REPOSITORY_VALID: {built.root} ")
    assert verdict.endswith(f", the last with ROOT_SHA256 {anchor}")
    assert "CHAIN_ANCHOR_MISSING" in verify("--repository", built.root, "--expect", "0" * 64).stdout


def _leave_valid_runs(repository: Repository) -> None:
    """Remove the run folders that the known repository has broken."""
    document = repository("verify", "--all", "--only", "seal", "--json").document("verify")
    for result in document["results"]:
        if result["verdict"] in ("fail", "partial"):
            shutil.rmtree(repository.root / result["path"])


def _edit_pointer_file(repository: Repository) -> None:
    repository.pointers.write_bytes(repository.pointers.read_bytes().replace(b'"build"', b'"tidied"'))


def _break_pointer_file(repository: Repository) -> None:
    repository.pointers.write_text("{", encoding="utf-8")


def _point_elsewhere(repository: Repository) -> None:
    document = json.loads(repository.pointers.read_bytes())
    document["pointers"][0]["active_ref"]["manifest_sha256"] = "0" * 64
    repository.pointers.write_text(json.dumps(document), encoding="utf-8")


def _find_records(repository: Repository) -> list[Path]:
    return sorted(repository.runs.glob("*__pointer_activation*"))


DAMAGE: dict[str, Callable[[Repository], object]] = {
    "nothing": lambda _: None,
    "changed_byte": lambda repository: repository.tamper(RUN, "RUN_REGISTRY_v0_1.jsonl"),
    "active_run_removed": lambda repository: shutil.rmtree(repository.runs / RUN),
    "pointer_file_edited": _edit_pointer_file,
    "pointer_file_broken": _break_pointer_file,
    "pointer_file_removed": lambda repository: repository.pointers.unlink(),
    "other_root": _point_elsewhere,
    "first_record_removed": lambda repository: shutil.rmtree(_find_records(repository)[0]),
    "last_record_removed": lambda repository: shutil.rmtree(_find_records(repository)[-1]),
    "record_changed": lambda repository: repository.tamper(_find_records(repository)[0].name, "POINTERS_AFTER.json"),
    "marked_bad": lambda repository: repository("mark-bad", "2026-01-10__101010__run_registry_build", "--reason", "x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_repository_has_the_errors_and_the_exit_code_of_verify_all(
    damage: str, verify: Callable[..., subprocess.CompletedProcess[str]], built: Repository
) -> None:
    DAMAGE[damage](built)
    result = built("verify", "--all", "--only", "seal", "--json")
    document = result.document("verify")
    findings = [*document["findings"], *(f for run in document["results"] for f in run["findings"])]

    done = verify("--repository", built.root)

    printed = {tuple(match) for match in re.findall(r"^[A-Z_]+: ([A-Z0-9_]+) ([^ ]+): ", done.stdout, re.MULTILINE)}
    expected = {(f["code"], f["path"]) for f in findings if f["code"] not in ("UNSEALED", "TRACKED_MISSING")}
    assert done.returncode == result.code
    assert {line for line in printed if not line[0].startswith("REPOSITORY_")} == expected


def test_nothing_in_the_repository_is_written(
    verify: Callable[..., subprocess.CompletedProcess[str]], built: Repository
) -> None:
    def list_files() -> list[tuple[str, int, int]]:
        paths = sorted(built.root.rglob("*"))
        return [(str(path), path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in paths]

    before = list_files()

    verify("--repository", built.root)

    assert list_files() == before


def test_a_folder_without_sealed_runs_is_not_checked(
    verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    done = verify("--repository", "empty")

    assert (done.returncode, done.stdout.splitlines()[-2].split(":")[0]) == (7, "REPOSITORY_NOT_CHECKED")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "name either run folders, or one repository with --repository DIR"),
        (("x", "--repository", "."), 2, "name either run folders"),
        (("--repository", ".", "--expect", "short"), 2, "--expect needs --repository and 64"),
        (("--repository", "absent"), 7, "error: absent is not a folder -> "),
        (("--repository", "broken"), 2, "error: registry-pipeline.toml is not TOML"),
    ],
)
def test_other_failures_are_one_line_and_an_exit_code(
    words: tuple[str, ...],
    code: int,
    message: str,
    verify: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/registry-pipeline.toml").write_text("=", encoding="utf-8")

    done = verify(*words)

    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_an_older_python_is_told_which_one_it_takes(program: Path, tmp_path: Path) -> None:
    script = "import runpy, sys; sys.version_info = (3, 10, 9); runpy.run_path(sys.argv[1], run_name='__main__')"

    done = _run_bare_python("-c", script, program, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (2, "error: registry-verify.pyz needs Python 3.11 or newer\n")


def test_a_name_that_the_terminal_cannot_show_is_escaped(
    verify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "ä").mkdir()

    done = verify("ä", LC_ALL="POSIX")

    assert (done.returncode, "UNSEALED" in done.stdout) == (3, True)
