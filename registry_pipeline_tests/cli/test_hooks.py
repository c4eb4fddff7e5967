"""The hooks that are offered to other repositories: git runs the line of each one before a real commit."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from registry_pipeline.cli.group import PROGRAM
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.command_line import environment, run_command
from registry_pipeline_tests.registries.repositories import commit, git, repository, write
from registry_pipeline_tests.role_packs import DRIFTED, GROWN, PACK, SMALL

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/how-to/check-in-ci.md"
RUN_INDEX: Final = "60-REGISTRY/data/run-index.jsonl"


def load_yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


def hooks() -> dict[str, dict[str, Any]]:
    """Return the offered hooks by the end of their id."""
    rows = load_yaml((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return {row["id"].removeprefix(f"{PROGRAM}-"): row for row in rows}


def documented_configurations() -> list[dict[str, Any]]:
    """Return the `repos` of every pre-commit configuration on the page about CI."""
    blocks = re.findall(r"^```yaml\n(repos:\n.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [repo for block in blocks for repo in load_yaml(block)["repos"]]


def test_there_is_a_hook_for_each_check_of_files_that_are_in_git() -> None:
    assert list(hooks()) == ["roles-check", "entries-check", "run-index-check", "verify-active"]


@pytest.mark.parametrize("name", hooks())
def test_every_hook_is_complete_and_runs_at_every_commit(name: str) -> None:
    hook = hooks()[name]

    assert {"id", "name", "description", "entry", "language"} <= hook.keys()
    assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("python", False, True)
    assert shlex.split(hook["entry"])[0] == PROGRAM


def test_the_page_has_each_hook_from_the_repository_and_as_a_local_one() -> None:
    offered, local = documented_configurations()

    assert [row["id"] for row in offered["hooks"]] == [hook["id"] for hook in hooks().values()]
    assert local["repo"] == "local"
    for row, hook in zip(local["hooks"], hooks().values(), strict=True):
        assert row["language"] == "system"
        for key in ("id", "name", "entry", "pass_filenames", "always_run"):
            assert row[key] == hook[key]


@pytest.mark.parametrize(("staged", "code"), [(GROWN, 0), (DRIFTED, 3), (None, 7)], ids=["grown", "drifted", "removed"])
def test_the_roles_hook_reads_the_index(tmp_path: Path, staged: str | None, code: int) -> None:
    program, *words = shlex.split(hooks()["roles-check"]["entry"])
    root = repository(tmp_path / "r")
    commit(root, {"registry-pipeline.toml": "", PACK: SMALL})
    if staged is None:
        (root / PACK).unlink()
    else:
        write(root, {PACK: staged})
    git(root, "add", "-A")

    result = run_command(*words, cwd=root, env=environment(tmp_path))

    assert (program, result.code) == (PROGRAM, code)
    assert PACK in result.out


# --- each hook in a real commit


@pytest.fixture
def try_commit(tracked: Repository, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that commits everything with the line of a hook as git's own hook."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / PROGRAM
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m registry_pipeline "$@"\n')
    program.chmod(0o755)
    env = environment(tracked.home, PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")

    def commit_all(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        hook = tracked.root / ".git/hooks/pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nexec {hooks()[name]['entry']}\n")
        hook.chmod(0o755)
        if not options:
            subprocess.run(["git", "add", "--all"], cwd=tracked.root, env=env, check=True)
        words = (
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.invalid",
            "commit",
            "-q",
            "-m",
            "a change",
            *options,
        )
        return subprocess.run(["git", *words], cwd=tracked.root, env=env, capture_output=True, text=True, check=False)

    return commit_all


def read_head(tracked: Repository) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tracked.root, capture_output=True, text=True, check=True)
    return done.stdout


# git names another index to the hook in each of these.
@pytest.mark.parametrize("options", [(), ("--all",), ("--only", "docs/GAUGES.md")], ids=["staged", "all", "only"])
@pytest.mark.parametrize("name", hooks())
def test_git_makes_a_commit_that_breaks_nothing(
    tracked: Repository,
    try_commit: Callable[..., subprocess.CompletedProcess[str]],
    name: str,
    options: tuple[str, ...],
) -> None:
    before = read_head(tracked)
    (tracked.root / "docs/GAUGES.md").write_text("nothing that a registry knows\n")

    done = try_commit(name, *options)

    assert done.returncode == 0, done.stdout + done.stderr
    assert read_head(tracked) != before


def remove_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


BREAKS: Final[dict[str, tuple[Callable[[Repository], object], str]]] = {
    "roles-check": (lambda r: (r.root / PACK).write_text("{}"), "ROLES_INVALID: "),
    "entries-check": (
        lambda r: (r.root / ".system/hooks/heights_guard.yaml").write_text("- no entry\n"),
        "ENTRIES_INVALID: ",
    ),
    "run-index-check": (lambda r: remove_line(r.root / RUN_INDEX), "RUN_INDEX_INVALID: "),
    "verify-active": (
        lambda r: r.tamper(r.active("drift_signals"), "DRIFT_SIGNALS_v0_1.json"),
        "SEAL_INVALID: HASH_MISMATCH ",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_git_makes_no_commit_that_a_hook_finds_an_error_in(
    tracked: Repository, try_commit: Callable[..., subprocess.CompletedProcess[str]], name: str
) -> None:
    before = read_head(tracked)
    damage, message = BREAKS[name]
    damage(tracked)

    done = try_commit(name)

    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert read_head(tracked) == before
