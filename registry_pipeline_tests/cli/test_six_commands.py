"""From a repository of somebody else to a health state: at most six commands, each named by the output before it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import CommandResult, Repository, call, environment
from registry_pipeline_tests.command_line import PROGRAM
from registry_pipeline_tests.registries.repositories import git


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def write_run_json(root: Path, name: str) -> None:
    write(root / name / "run.json", {"run_id": name, "created_utc": "2026-02-01T04:00:00Z", "operation_id": "TRAIN"})


def write_meta_json(root: Path, name: str) -> None:
    times = {"started": "2026-02-01T04:00:00+01:00", "ended": None}
    write(root / name / "meta.json", {"id": name, "job": {"operation": "TRAIN", "times": times}, "sizes": [1, 2]})


def make_dated(root: Path) -> None:
    for day in range(1, 13):
        write(root / f"output/nightly_202601{day:02d}/report.csv", f"day\n{day}\n")


def make_meta(root: Path) -> None:
    for number in range(1, 6):
        write_meta_json(root / "experiments/jobs", f"job-{number}")
        write(root / f"experiments/jobs/job-{number}/logs/out.txt", "done\n")


def make_mixed(root: Path) -> None:
    for number in range(1, 4):
        write_run_json(root / "runs", f"r{number}")
        write_meta_json(root / "runs", f"m{number}")
        write(root / f"runs/2026-02-0{number}/result.txt", "x\n")
    write_run_json(root / "archive/old runs", "a")
    write_run_json(root / "archive/old runs", "b")


def make_large(root: Path) -> None:
    for number in range(250):
        name = f"2026-01-{1 + number % 28:02d}__{number:06d}__sweep"
        write_run_json(root / "data/sweeps", name)
        for part in range(19):
            write(root / f"data/sweeps/{name}/part-{part}/shard.txt", "x")


SHAPES = {
    "dated folders": (make_dated, {"output": 12}),
    "meta.json": (make_meta, {"experiments/jobs": 5}),
    "mixed": (make_mixed, {"runs": 9, "archive/old runs": 2}),
    "5,000 files": (make_large, {"data/sweeps": 250}),
}


def make_repository(root: Path, home: Path, make: Callable[[Path], None]) -> Repository:
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "Ada")
    git(root, "config", "user.email", "ada@example.invalid")
    write(root / "src/main.py", "print('hello')\n")
    make(root)
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "ours")
    return Repository(root, home)


def run_shell(repository: Repository, command: str) -> CommandResult:
    words = shlex.split(command)
    if words[0] == "registry-pipeline":
        return call(*words[1:], cwd=repository.root, env=environment(repository.home))
    done = subprocess.run(words, cwd=repository.root, capture_output=True, text=True, check=False)
    return CommandResult(done.returncode, done.stdout, done.stderr)


def find_next_commands(text: str) -> list[str]:
    """Return the commands after `next:`, on the same line or indented on the lines below."""
    before, found, after = text.rpartition("next:")
    if not found or (before and not before.endswith("\n")):
        return []
    first, *lines = after.splitlines()
    return [first.strip()] if first.strip() else [line.strip() for line in lines if line.startswith("  ")]


def follow(repository: Repository, first: str) -> tuple[list[str], CommandResult]:
    """Run a command, then each that the output before it names, up to `status`; return the commands and its result."""
    pending, done = [first], []
    while True:
        command = pending.pop(0)
        result = run_shell(repository, command)
        assert result.code == 0, (command, result.out, result.err)
        done.append(command)
        if command.endswith(" status"):
            return done, result
        pending += find_next_commands(result.out)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("choice", ["", " --track-runs", " --local-runs"])
def test_a_repository_of_any_shape_is_healthy_after_at_most_six_commands(
    tmp_path: Path, home: Path, shape: str, choice: str
) -> None:
    make, run_roots = SHAPES[shape]
    repository = make_repository(tmp_path / "theirs", home, make)

    commands, status = follow(repository, f"registry-pipeline init{choice}")

    assert len(commands) <= 6, commands
    assert status.out.splitlines()[1] == "HEALTHY", status.out
    document = run_shell(repository, "registry-pipeline status --json").document("status")
    by_root = document["runs"]["by_root"]
    assert {root: number for root, number in by_root.items() if root != ".codex/RUNS"} == run_roots
    assert git(repository.root, "status", "--porcelain", "--", ".", ":!.codex").strip() == ""


def test_what_a_meta_json_states_is_in_the_run_registry(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_mixed)
    follow(repository, "registry-pipeline init")

    document = json.loads(run_shell(repository, "registry-pipeline runs --root runs --limit 0 --json").out)

    facts = {run["run_id"]: (run["operation_id"], run["created_utc"]) for run in document["records"]}
    assert facts["m1"] == ("TRAIN", "2026-02-01T04:00:00+01:00")
    assert facts["r1"] == ("TRAIN", "2026-02-01T04:00:00Z")
    assert facts["2026-02-01"] == (None, None)


def test_a_change_that_is_not_committed_is_the_only_reason_for_a_degraded_state(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    write(repository.root / "src/draft.py", "\n")

    _, status = follow(repository, "registry-pipeline init")

    assert status.out.splitlines()[1:4] == ["DEGRADED_NON_BLOCKING", "  the working tree is dirty", ""]


def test_with_another_folder_every_next_command_names_it(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "their's", home, make_dated)
    outside = Repository(tmp_path, home)

    commands, status = follow(outside, f"registry-pipeline -C {shlex.quote(str(repository.root))} init")

    assert len(commands) == 5
    assert "HEALTHY" in status.out


def test_a_plain_folder_has_nothing_to_commit(tmp_path: Path, home: Path) -> None:
    make_dated(tmp_path)

    commands, status = follow(Repository(tmp_path, home), "registry-pipeline init")

    assert commands == [f"registry-pipeline {name}" for name in ("init", "build", "status")]
    assert status.out.splitlines()[1] == "HEALTHY"


def test_the_toml_says_what_was_found_and_has_no_line_for_what_is_not_in_use(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_mixed)

    document = run_shell(repository, "registry-pipeline init --json").document("init")

    text = (repository.root / "registry-pipeline.toml").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert 'run_roots = [".codex/RUNS", "archive/old runs", "runs"]' in lines
    assert "#   runs: 9 folders: 3 with run.json, 3 with meta.json, 3 dated" in lines
    keys = [n for n, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    uncommented = [lines[n] for n in keys if not lines[n - 1].startswith("#") and "[[adapters]]" not in lines[:n]]
    assert uncommented == []
    absent = (
        "expected_versions",
        "envelope_standard",
        "threshold_sources",
        "roles",
        "entries",
        "run_index",
        "captured",
    )
    assert [key for key in absent if key in text] == []
    assert [root["path"] for root in document["run_roots"]] == ["archive/old runs", "runs"]


def test_a_second_init_names_run_folders_that_are_not_configured(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    assert run_shell(repository, "registry-pipeline init").code == 0
    make_meta(repository.root)
    before = repository.files()

    result = run_shell(repository, "registry-pipeline init")

    assert "experiments/jobs: 5 folders: 5 with meta.json" in result.out
    assert find_next_commands(result.out) == ["registry-pipeline status"]
    assert repository.files() == before


def test_runs_that_were_local_are_tracked_after_a_later_init(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    follow(repository, "registry-pipeline init --local-runs")
    assert git(repository.root, "ls-files", ".codex") == ""
    ignored = (repository.root / ".gitignore").read_text(encoding="utf-8")

    commands, status = follow(repository, "registry-pipeline init --track-runs")

    assert status.out.splitlines()[1] == "DEGRADED_NON_BLOCKING", "the commit makes operations drift"
    tracked = git(repository.root, "ls-files", ".codex").splitlines()
    assert ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json" in tracked
    assert any(path.endswith("/MANIFEST.sha256") for path in tracked)
    kept = (repository.root / ".gitignore").read_text(encoding="utf-8").splitlines()
    gone = [line for line in ignored.splitlines() if line not in kept]
    assert gone == ["/.codex/RUNS/", "/.codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"]
    assert len(commands) <= 6


def test_runs_that_git_tracks_cannot_become_local(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    follow(repository, "registry-pipeline init --track-runs")
    before = repository.files()

    refused = run_shell(repository, "registry-pipeline init --local-runs")

    assert refused.code == 5
    assert "git rm -r --cached" in refused.err
    assert repository.files() == before


def answer(repository: Repository, typed: bytes, *words: str) -> CommandResult:
    """Run `init` with a terminal for its input and its questions."""
    terminal, ours = os.openpty()
    try:
        os.write(terminal, typed)
        done = subprocess.run(
            [*PROGRAM, "init", *words],
            cwd=repository.root,
            env=environment(repository.home),
            stdin=ours,
            stdout=subprocess.PIPE,
            stderr=ours,
            check=False,
        )
        os.close(ours)
        ours = -1
        question = b""
        while True:
            try:
                question += os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
    finally:
        os.close(terminal)
        if ours >= 0:
            os.close(ours)
    return CommandResult(done.returncode, done.stdout.decode(), question.decode())


@pytest.mark.parametrize(("typed", "is_tracked"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
def test_on_a_terminal_init_asks_whether_git_tracks_the_runs(
    tmp_path: Path, home: Path, typed: bytes, is_tracked: bool
) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)

    result = answer(repository, typed)

    assert result.code == 0
    assert "Track them in git?" in result.err
    ignored = (repository.root / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ("/.codex/RUNS/" not in ignored) is is_tracked
    assert "Track" not in answer(repository, b"").err


def test_without_an_answer_nothing_is_written(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    before = repository.files()

    assert answer(repository, b"\x04").code == 130

    assert repository.files() == before
    assert not (repository.root / ".codex").exists()


@pytest.mark.parametrize("words", [("--local-runs",), ("--track-runs",), ("--json",)])
def test_a_choice_on_the_command_line_is_not_asked_again(tmp_path: Path, home: Path, words: tuple[str, ...]) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)

    result = answer(repository, b"", *words)

    assert (result.code, result.err) == (0, "")


def test_a_named_run_root_that_is_missing_is_a_warning_of_every_command_that_looks(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    follow(repository, "registry-pipeline init")
    (repository.root / "output").rename(repository.root / "elsewhere")

    for words in ("status", "doctor", "verify --all", "build"):
        found = json.loads(run_shell(repository, f"registry-pipeline {words} --json").out)["findings"]
        severities = [f["severity"] for f in found if (f["code"], f["path"]) == ("RUN_ROOT_MISSING", "output")]
        assert severities == ["warning"], words


def test_the_default_run_roots_need_not_exist(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, lambda _root: None)
    follow(repository, "registry-pipeline init")

    status = run_shell(repository, "registry-pipeline status --json").document("status")

    assert status["findings"] == []


def test_what_the_user_ignores_is_not_added(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    write(repository.root / ".gitignore", "/docs/\n")
    git(repository.root, "add", "--all")
    git(repository.root, "commit", "-q", "-m", "no documents")

    commands, status = follow(repository, "registry-pipeline init")

    assert "docs" not in " ".join(commands)
    assert "HEALTHY" in status.out


def test_a_line_of_the_user_that_ignores_runs_is_removed_on_request_only(tmp_path: Path, home: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home, make_dated)
    follow(repository, "registry-pipeline init --track-runs")
    with (repository.root / ".gitignore").open("a", encoding="utf-8") as file:
        file.write("/.codex/RUNS/\n")
    before = repository.files()

    assert run_shell(repository, "registry-pipeline init").code == 0
    assert repository.files() == before
    assert run_shell(repository, "registry-pipeline init --track-runs").code == 0
    assert "/.codex/RUNS/" not in (repository.root / ".gitignore").read_text(encoding="utf-8").splitlines()
