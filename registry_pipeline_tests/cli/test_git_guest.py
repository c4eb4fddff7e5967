"""No command runs a program that the configuration of a checkout names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.registries.repositories import commit, git, repository

LATER = "2026-03-02T12:00:00Z"
COMMANDS = (("status",), ("verify", "--all"), ("roles", "check"), ("doctor",), ("build",))
NAMES = ("evil", "with.dots and = blanks", 'with "quotes" and \\ backslashes', "included", "ünï")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that any program of the checkout would make."""
    return tmp_path / "it_ran"


@pytest.fixture
def malicious(tracked_repository: Path, tmp_path: Path, home: Path, marker: Path) -> Iterator[Repository]:
    """A checkout with drivers of every kind under odd names, applied to files that git must compare."""
    with copied_repository(tracked_repository, tmp_path / "malicious") as root:
        attributes = [f"/{number}.txt filter={name}" for number, name in enumerate(NAMES) if " " not in name]
        write_all(root, {".gitattributes": "\n".join([*attributes, ".codex/** filter=evil", ""])})
        write_all(root, {f"{number}.txt": "1\n" for number in range(len(NAMES))})
        commit(root, {})
        configure(root, marker)
        for path in ("0.txt", "3.txt", "4.txt", "OVC_ALLOWED_OPERATIONS_CATALOG_v0.1.md"):
            os.utime(root / path, (1, 1))
        # Every file is younger than the index for git, so that it cannot trust the dates.
        os.utime(root / ".git/index", (2, 2))
        yield Repository(root, home)


def write_all(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")


def configure(root: Path, marker: Path) -> None:
    """Define the drivers in the configuration of the checkout, of its work tree, and of a file that it includes."""
    run = f"touch {marker}; cat"
    for name in NAMES[:3]:
        git(root, "config", f"filter.{name}.clean", run)
        git(root, "config", f"filter.{name}.smudge", run)
        git(root, "config", f"filter.{name}.required", "true")
    git(root, "config", "--file", ".git/more", "filter.included.process", run)
    git(root, "config", "--file", ".git/more", "filter.included.required", "true")
    git(root, "config", "include.path", "more")
    git(root, "config", "extensions.worktreeConfig", "true")
    git(root, "config", "--worktree", "filter.ünï.clean", run)
    git(root, "config", "core.fsmonitor", run)
    git(root, "config", "core.hooksPath", "hooks")


def test_plain_git_would_run_the_drivers(malicious: Repository, marker: Path) -> None:
    git(malicious.root, "-c", "core.fsmonitor=false", "-c", "filter.included.required=false", "status")

    assert marker.exists()


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_no_command_runs_a_driver_of_the_checkout(malicious: Repository, marker: Path, words: tuple[str, ...]) -> None:
    result = malicious(*words, now=LATER)

    assert not marker.exists()
    assert result.code in (0, 3)
    assert "git cannot read" not in result.out + result.err


def test_a_file_that_its_driver_would_have_changed_counts_as_modified(tmp_path: Path, home: Path) -> None:
    root = repository(tmp_path / "shouting")
    git(root, "config", "filter.shout.clean", "tr a-z A-Z")
    commit(root, {".gitattributes": "*.txt filter=shout\n", "a.txt": "quiet\n"})
    os.utime(root / "a.txt", (2, 2))  # older than the index, which now knows the file by its date
    git(root, "add", "a.txt")
    shouting = Repository(root, home)
    assert shouting("-C", ".", "status", "--json").document("status")["repository"]["working_tree_state"] == "clean"

    os.utime(root / "a.txt", (1, 1))

    assert shouting("-C", ".", "status", "--json").document("status")["repository"]["working_tree_state"] == "dirty"


def test_the_drivers_of_the_user_are_run(tmp_path: Path, marker: Path) -> None:
    root, home = repository(tmp_path / "mine"), tmp_path / "home"
    git(root, "config", "filter.mine.clean", "cat")
    commit(root, {".gitattributes": "*.txt filter=mine\n", "a.txt": "1\n"})
    git(root, "config", "--unset", "filter.mine.clean")
    home.mkdir()
    git(root, "config", "--file", str(home / ".gitconfig"), "filter.mine.clean", f"touch {marker}; cat")
    os.utime(root / "a.txt", (1, 1))

    result = Repository(root, home)("-C", ".", "status", "--json")

    assert (marker.exists(), result.document("status")["repository"]["working_tree_state"]) == (True, "clean")


def test_settings_of_the_environment_keep_their_numbers(malicious: Repository, marker: Path) -> None:
    settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.excludesFile", "GIT_CONFIG_VALUE_0": "/dev/null"}

    result = malicious("status", "--json", **settings)  # type: ignore[arg-type]  # every key is a variable of the environment

    assert (result.code, marker.exists()) == (0, False)


def test_the_drivers_of_a_submodule_are_not_run_and_its_changes_count(tmp_path: Path, home: Path, marker: Path) -> None:
    root = repository(tmp_path / "outer")
    module = repository(root / "module")
    commit(module, {".gitattributes": "* filter=evil\n", "a.txt": "1\n"})
    commit(root, {".gitmodules": '[submodule "module"]\n\tpath = module\n\turl = ./module\n'})
    git(module, "config", "filter.evil.clean", f"touch {marker}; cat")
    outer = Repository(root, home)
    os.utime(module / "a.txt", (1, 1))
    os.utime(module / ".git/index", (2, 2))

    clean = outer("-C", ".", "status", "--json")
    (module / "new.txt").write_text("1", encoding="utf-8")
    dirty = outer("-C", ".", "status", "--json")
    was_run = marker.exists()
    with (root / ".gitmodules").open("a", encoding="utf-8") as file:
        file.write("\tignore = untracked\n")
    commit(root, {})  # with the user's own git, which runs the driver
    left_out = outer("-C", ".", "status", "--json")

    states = [e.document("status")["repository"]["working_tree_state"] for e in (clean, dirty, left_out)]
    assert (states, was_run) == (["clean", "dirty", "clean"], False)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ext::sh -c {run}", "protocol.ext.allow": "always"},
        {"url": "{here}", "uploadpack": "{run}; false"},
        {"url": "ssh://host/path", "core.sshCommand": "{run}; false"},
        {"url": "x", "vcs": "evil"},
    ],
    ids=["ext", "uploadpack", "ssh", "vcs"],
)
def test_no_transport_is_started_for_a_missing_object(
    tracked: Repository, tmp_path: Path, marker: Path, settings: dict[str, str]
) -> None:
    helper, wrapper = tmp_path / "bin/git-remote-evil", tmp_path / "bin/git"
    helper.parent.mkdir()
    helper.write_text(f"#!/bin/sh\ntouch {marker}\n", encoding="utf-8")
    # A git that does not know GIT_NO_LAZY_FETCH, as every one before 2.44.
    wrapper.write_text('#!/bin/sh\nunset GIT_NO_LAZY_FETCH\nexec /usr/bin/git "$@"\n', encoding="utf-8")
    for program in (helper, wrapper):
        program.chmod(0o755)
    make_partial(tracked.root, marker, settings)
    tree = git(tracked.root, "rev-parse", "HEAD^{tree}")
    (tracked.root / ".git/objects" / tree[:2] / tree[2:]).unlink()

    result = tracked("status", PATH=f"{helper.parent}:/usr/bin:/bin")

    assert (result.code, marker.exists()) == (7, False)


def make_partial(root: Path, marker: Path, settings: dict[str, str]) -> None:
    """Make a checkout say that its remote has what it lacks."""
    git(root, "config", "core.repositoryFormatVersion", "1")
    git(root, "config", "extensions.partialClone", "origin")
    git(root, "config", "remote.origin.promisor", "true")
    for key, value in settings.items():
        run = f"touch% {marker}" if value.startswith("ext") else f"touch {marker}"
        git(root, "config", key if "." in key else f"remote.origin.{key}", value.format(run=run, here=root))
