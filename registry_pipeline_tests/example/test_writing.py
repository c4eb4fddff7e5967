import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry_pipeline.errors import NotFoundError, RefusedError, RegistryPipelineError
from registry_pipeline.example.make import ExampleRepository, write_commits, write_plain_run
from registry_pipeline_tests.example.conftest import Written

pytestmark = pytest.mark.process

WRITER = """
import hashlib, os, sys
from pathlib import Path
from registry_pipeline.example.make import describe_example; from registry_pipeline.example.make import describe_runs
from registry_pipeline.example.make import write_commits; from registry_pipeline.example.make import write_plain_run
os.umask(int(sys.argv[2], 8))
root, example, digest = Path(sys.argv[1]), describe_example(), hashlib.sha256()
ids = write_commits(root, example)
for run in describe_runs(example, ids):
    if run.seal == "ours":
        digest.update(repr((run.run_id, sorted(run.files.items()))).encode())
    else:
        write_plain_run(root, run)
for path in sorted(p for p in root.rglob("*") if p.is_file() and ".git" not in p.relative_to(root).parts):
    digest.update(f"{path.relative_to(root)}\\0{len(path.read_bytes())}\\0".encode() + path.read_bytes())
print(digest.hexdigest(), *ids)
"""


def write_in_its_own_process(root: Path, umask: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(root), umask],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def test_the_same_example_everywhere_whatever_the_surroundings(tmp_path: Path) -> None:
    """Another home, umask, time zone, locale and hash seed, and git settings that change line ends."""
    home = tmp_path / "home"
    (home / ".config/git").mkdir(parents=True)
    for attributes in (home / ".config/git/attributes", home / "attributes"):
        attributes.write_text("* text eol=crlf\n")
    (home / ".gitconfig").write_text(f"[core]\n autocrlf = true\n attributesFile = {home}/attributes\n")
    strange = {
        "HOME": str(home),
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "7",
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z",
    }

    plain = write_in_its_own_process(tmp_path / "a", "022", PYTHONHASHSEED="1")
    other = write_in_its_own_process(tmp_path / "b", "077", **strange)

    assert other == plain
    assert not (tmp_path / "elsewhere").exists()


def test_the_example_is_known_down_to_the_last_byte(written: Written) -> None:
    """Known answers: a deliberate change of the example changes them, too."""
    digest = hashlib.sha256()
    for run in written.runs:
        digest.update(repr((run.run_root, run.run_id, sorted(run.files.items()))).encode())

    assert written.commit_ids[-1] == "ec8e82a3055ce1b33a59fa91e40c03c8ffe6ff84"
    assert digest.hexdigest() == "71eb922dfce934e7ed67c73230e77645aa0668b2f4940b3999816401d5bfccca"


def test_the_history_is_one_branch_that_git_fsck_accepts(written: Written) -> None:
    assert git(written.root, "rev-list", "--reverse", "main").split() == list(written.commit_ids)
    assert git(written.root, "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert len(written.commit_ids) == len(written.example.commits) == 30
    git(written.root, "fsck", "--strict")


def test_the_working_tree_is_what_the_commits_say_and_nothing_else(written: Written) -> None:
    said = {path: data for commit in written.example.commits for path, data in commit.files.items()}
    tracked = git(written.root, "ls-files").splitlines()

    assert {path: (written.root / path).read_bytes() for path in tracked} == said


def test_runs_and_state_leave_the_working_tree_clean(tmp_path: Path, example: ExampleRepository) -> None:
    root = tmp_path / "tides"
    write_commits(root, example)
    state = (".codex/.staging/x/run.json", ".codex/dagster/dagster.yaml", ".codex/diagnostics.duckdb")
    pointer = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"
    runs = (".codex/RUNS/nightly/run.json", "reports/runs/nightly/run.json")
    for relpath in (*state, *runs, pointer, f"{pointer}.lock", f"{pointer}.intent"):
        (root / relpath).parent.mkdir(parents=True, exist_ok=True)
        (root / relpath).write_bytes(b"{}\n")

    assert git(root, "status", "--porcelain", "--untracked-files=all") == ""
    assert "text: unset" in git(root, "check-attr", "text", "--", f"{runs[0]}")
    assert "text: unset" in git(root, "check-attr", "text", "--", pointer)


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path, example: ExampleRepository) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(RefusedError, match="not empty") as refused:
        write_commits(tmp_path, example)

    assert refused.value.advice
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_refused(tmp_path: Path, example: ExampleRepository) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(RefusedError):
        write_commits(tmp_path / "file", example)
    with pytest.raises(RefusedError):
        write_commits(tmp_path / "file" / "below", example)


def test_without_git_it_says_so(tmp_path: Path, example: ExampleRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotFoundError, match="git is not installed"):
        write_commits(tmp_path / "tides", example)


def test_a_git_that_fails_is_quoted(
    tmp_path: Path, example: ExampleRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho the disk is full >&2\nexit 128\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(RegistryPipelineError, match="git init failed: the disk is full"):
        write_commits(tmp_path / "tides", example)


def test_a_run_of_ours_is_not_written_plainly(tmp_path: Path, written: Written) -> None:
    run = next(run for run in written.runs if run.seal == "ours")

    with pytest.raises(ValueError, match="to be sealed"):
        write_plain_run(tmp_path, run)


def test_a_run_folder_is_never_written_twice(tmp_path: Path, written: Written) -> None:
    run = next(run for run in written.runs if run.seal == "relpath")
    write_plain_run(tmp_path, run)

    with pytest.raises(FileExistsError):
        write_plain_run(tmp_path, run)
