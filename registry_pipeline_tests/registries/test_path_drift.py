"""The drift rule `paths` in real repositories (specification, "op_status_table")."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_pipeline.errors import NotFoundError
from registry_pipeline.git.process import ask_git
from registry_pipeline.git.values import BoundPaths, PathDrift
from registry_pipeline.registries.base import drift
from registry_pipeline.registries.base.drift import find_named_paths, read_executable_history
from registry_pipeline.registries.base.values import Operation
from registry_pipeline_tests.registries.repositories import commit, git, repository

pytestmark = pytest.mark.process


def operation(number: int, *executables: str) -> Operation:
    return Operation(f"OP-A0{number}", "A", "x", executables, "catalog.md")


def read(root: Path, *executables: str, tip: str | None = "HEAD") -> PathDrift:
    head = git(root, "rev-parse", tip) if tip else None
    return read_executable_history(root, [operation(1, *executables)], head)


def since(found: PathDrift, commit_id: str, head: str) -> set[str] | None:
    assert found.graph is not None
    touched = found.graph.touched_since(commit_id, head)
    return None if touched is None else set(touched)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("jobs/a.py", ["jobs/a.py"]),
        ("./jobs/a.py --fast in/x.csv", ["jobs/a.py", "in/x.csv"]),
        ("python3 jobs/a.py", ["python3", "jobs/a.py"]),
        ("python -m rig.check --all", ["python", "rig/check.py", "rig/check"]),
        ("jobs/a.py:main", ["jobs/a.py"]),
        ("'jobs/a.py', (jobs/b/);", ["jobs/a.py", "jobs/b"]),
        ("/usr/bin/env ../outside.py ./ . --x", []),
        ("", []),
        ("make", ["make"]),
    ],
)
def test_the_words_of_an_executable_are_looked_through_for_paths(text: str, paths: list[str]) -> None:
    assert list(find_named_paths(text)) == paths


def test_only_commits_that_touched_an_executable_count(tmp_path: Path) -> None:
    root = repository(tmp_path)
    first = commit(root, {"jobs/a.py": "1", "jobs/b.py": "1"})
    second = commit(root, {"notes.md": "x"})
    third = commit(root, {"jobs/a.py": "2"})

    found = read(root, "python jobs/a.py --fast")

    assert found.bound == {"OP-A01": BoundPaths(frozenset({"jobs/a.py"}))}
    assert since(found, first, third) == since(found, second, third) == {"jobs/a.py"}
    assert since(found, first, second) == since(found, third, third) == set()
    assert since(found, third, first) is None


def test_a_folder_a_removed_file_and_a_renamed_one_count(tmp_path: Path) -> None:
    root = repository(tmp_path)
    first = commit(root, {"jobs/sub/a.py": "1", "old.py": "same text\n" * 20, "gone.py": "1"})
    git(root, "mv", "old.py", "new.py")
    second = commit(root, {})
    git(root, "rm", "-q", "gone.py")
    third = commit(root, {"jobs/sub/b.py": "1"})

    found = read(root, "jobs/", "old.py", "gone.py")

    assert found.bound["OP-A01"] == BoundPaths(frozenset({"jobs", "old.py", "gone.py"}))
    assert since(found, first, second) == {"old.py"}
    assert since(found, second, third) == {"jobs", "gone.py"}


def test_an_executable_that_git_never_had_leaves_the_operation_unknown(tmp_path: Path) -> None:
    root = repository(tmp_path)
    commit(root, {"a.py": "1"})

    assert read(root, "a.py", "make release").bound["OP-A01"] == BoundPaths(frozenset({"a.py"}), is_whole=False)
    assert read(root).bound["OP-A01"] == BoundPaths()


def test_a_merge_touches_the_files_that_it_merged_and_resolved(tmp_path: Path) -> None:
    root = repository(tmp_path)
    base = commit(root, {"a.py": "1\n", "b.py": "1\n", "c.py": "1\n"})
    git(root, "switch", "-q", "-c", "side")
    side = commit(root, {"a.py": "2\n", "c.py": "side\n"})
    git(root, "switch", "-q", "main")
    main = commit(root, {"b.py": "2\n", "c.py": "main\n"})
    git(root, "merge", "-q", "--no-commit", "-s", "ours", "side")
    merge = commit(root, {"a.py": "2\n", "c.py": "both\n"})

    found = read(root, "a.py", "b.py", "c.py")

    assert since(found, base, merge) == {"a.py", "b.py", "c.py"}
    assert since(found, side, merge) == {"b.py", "c.py"}
    assert since(found, main, merge) == {"a.py", "c.py"}
    assert since(found, side, main) is None


def test_what_a_merge_alone_changed_counts(tmp_path: Path) -> None:
    root = repository(tmp_path)
    commit(root, {"a.py": "1\n"})
    git(root, "switch", "-q", "-c", "side")
    commit(root, {"b": "1\n"})
    git(root, "switch", "-q", "main")
    main = commit(root, {"c": "1\n"})
    git(root, "merge", "-q", "--no-commit", "side")
    merge = commit(root, {"a.py": "2\n"})

    assert since(read(root, "a.py"), main, merge) == {"a.py"}


def test_a_side_branch_counts_though_its_merge_kept_nothing_of_it(tmp_path: Path) -> None:
    root = repository(tmp_path)
    base = commit(root, {"a.py": "1\n"})
    git(root, "switch", "-q", "-c", "side")
    commit(root, {"a.py": "2\n"})
    git(root, "switch", "-q", "main")
    commit(root, {"c": "1\n"})
    git(root, "merge", "-q", "-s", "ours", "-m", "x", "side")
    merge = git(root, "rev-parse", "HEAD")

    assert since(read(root, "a.py"), base, merge) == {"a.py"}


def test_a_run_of_a_commit_that_was_rebased_away_is_unknown(tmp_path: Path) -> None:
    root = repository(tmp_path)
    first = commit(root, {"a.py": "1"})
    lost = commit(root, {"a.py": "2"})
    git(root, "reset", "-q", "--hard", first)
    head = commit(root, {"a.py": "3"})

    assert since(read(root, "a.py"), lost, head) is None


def test_beyond_the_end_of_a_shallow_clone_nothing_is_known(tmp_path: Path) -> None:
    root = repository(tmp_path / "full")
    first = commit(root, {"a.py": "1"})
    second, third = commit(root, {"b": "1"}), commit(root, {"c": "1"})
    git(tmp_path, "clone", "-q", "--depth", "2", root.as_uri(), "shallow")

    found = read(tmp_path / "shallow", "a.py")

    assert since(found, first, third) is None
    assert since(found, second, third) == set()


def test_paths_are_those_below_the_governed_repository(tmp_path: Path) -> None:
    top = repository(tmp_path)
    first = commit(top, {"inner/a.py": "1", "a.py": "1"})
    second = commit(top, {"a.py": "2"})
    third = commit(top, {"inner/a.py": "2"})

    found = read(top / "inner", "a.py")

    assert since(found, first, second) == set()
    assert since(found, second, third) == {"a.py"}


def test_odd_names_and_settings_change_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path)
    for setting in ("log.showRoot=false", "log.showSignature=true", "diff.renames=copies", "core.quotePath=true"):
        git(root, "config", *setting.split("="))
    first = commit(root, {"*.py": "1", "é.py": "1", "a.py": "1"})
    second = commit(root, {"a.py": "2"})
    third = commit(root, {"é.py": "2"})

    found = read(root, "*.py", "é.py")

    assert found.bound["OP-A01"].is_whole
    assert since(found, first, second) == set()
    assert since(found, second, third) == {"é.py"}


def test_without_git_or_a_commit_there_is_no_history(tmp_path: Path) -> None:
    found = read_executable_history(tmp_path, [operation(1, "a.py")], None)

    assert found == PathDrift({"OP-A01": BoundPaths(is_whole=False)}, None)


def test_git_is_started_three_times_for_any_number_of_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path)
    head = commit(root, {f"jobs/{number}.py": "1" for number in range(9)})
    commands: list[str] = []
    real = ask_git

    def counted(where: Path, *arguments: str) -> bytes | None:
        commands.append(arguments[0])
        return real(where, *arguments)

    monkeypatch.setattr(drift, "ask_git", counted)

    found = read_executable_history(root, [operation(number, f"jobs/{number}.py") for number in range(9)], head)

    assert len(commands) == 3
    assert all(len(bound.paths) == 1 for bound in found.bound.values())


def test_a_missing_commit_is_reported_without_a_traceback(tmp_path: Path) -> None:
    root = repository(tmp_path)
    commit(root, {"a.py": "1"})

    with pytest.raises(NotFoundError, match="git cannot read"):
        read_executable_history(root, [operation(1, "a.py")], "0" * 40)


def test_a_repository_that_is_gone_meanwhile_has_no_history(tmp_path: Path) -> None:
    root = repository(tmp_path)
    head = commit(root, {"a.py": "1"})
    shutil.rmtree(root / ".git")

    found = read_executable_history(root, [operation(1, "a.py")], head)

    assert since(found, head, head) is None
