from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path

import pytest

from registry_pipeline.errors import NotFoundError
from registry_pipeline.git.first_parent import read_first_commit_day
from registry_pipeline.git.process import find_git_repository, read_own_filters
from registry_pipeline.git.repository import (
    find_commit,
    is_tracked,
    read_git_state,
    read_missing_files,
    read_top_level,
    read_tracked_digests,
)
from registry_pipeline.git.values import GitState
from registry_pipeline.registries.base.seal_build import STATE_NAMES
from registry_pipeline_tests.registries.repositories import commit, git, repository, write

OWN = (
    ".codex/RUNS",
    "reports/runs",
    ".codex/POINTERS.json",
    ".codex/POINTERS.json.lock",
    *(f".codex/{name}" for name in STATE_NAMES),
)


def sha(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def test_a_plain_folder_has_no_git_state(tmp_path: Path) -> None:
    assert read_git_state(tmp_path, OWN) == GitState(None, None)
    assert read_tracked_digests(tmp_path) is None
    assert read_first_commit_day(tmp_path) is None
    assert read_top_level(tmp_path) is None
    assert is_tracked(tmp_path, "a") is False


def test_a_clean_checkout_names_its_commit(tmp_path: Path) -> None:
    head = commit(repository(tmp_path), {"a": "1"})

    assert read_git_state(tmp_path, OWN) == GitState(head, "clean")
    assert read_top_level(tmp_path) == tmp_path


def test_a_repository_without_commits_has_files_and_no_commit(tmp_path: Path) -> None:
    write(repository(tmp_path), {"a": "1"})
    git(tmp_path, "add", "a")

    assert read_git_state(tmp_path, OWN) == GitState(None, "dirty")
    assert read_first_commit_day(tmp_path) is None
    tracked = read_tracked_digests(tmp_path)
    assert tracked is not None
    assert tracked.digests == ((b"a", sha("1")),)


@pytest.mark.parametrize("change", ["a", "new", ".codex/mine.txt", ".codex/RUNSX/a", "sub/.codex/RUNS/a", "dagster/x"])
def test_a_change_outside_the_own_places_makes_the_tree_dirty(tmp_path: Path, change: str) -> None:
    commit(repository(tmp_path), {"a": "1"})
    write(tmp_path, {change: "2"})

    assert read_git_state(tmp_path, OWN).working_tree_state == "dirty"


@pytest.mark.parametrize("path", sorted(set(OWN) - {".codex/POINTERS.json"}))
def test_a_change_in_the_own_places_does_not_count(tmp_path: Path, path: str) -> None:
    commit(repository(tmp_path), {"a": "1", ".codex/POINTERS.json": "{}"})
    write(tmp_path, {f"{path}/x": "2", ".codex/POINTERS.json": "[]"})

    assert read_git_state(tmp_path, OWN).working_tree_state == "clean"


def test_a_temporary_dagster_home_does_not_count_wherever_it_is_and_whether_or_not_git_ignores_it(
    tmp_path: Path,
) -> None:
    commit(repository(tmp_path), {"a": "1"})
    write(tmp_path, {".tmp_dagster_home_x1/storage/db": "2", "sub/.tmp_dagster_home_y2/db": "2"})
    assert read_git_state(tmp_path, OWN).working_tree_state == "clean"

    write(tmp_path, {"tmp_dagster_home_z3/db": "2"})
    assert read_git_state(tmp_path, OWN).working_tree_state == "dirty"


def test_tracked_run_folders_that_vanish_or_move_do_not_count(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1", ".codex/RUNS/r/run.json": "{}", ".codex/RUNS/s/run.json": "{}"})
    (tmp_path / ".codex/RUNS/r/run.json").unlink()
    git(tmp_path, "mv", ".codex/RUNS/s", ".codex/RUNS/t")

    assert read_git_state(tmp_path, OWN).working_tree_state == "clean"


def test_ignored_files_do_not_count_and_a_users_status_settings_do_not_hide_untracked_ones(tmp_path: Path) -> None:
    commit(repository(tmp_path), {".gitignore": "*.log\n"})
    git(tmp_path, "config", "status.showUntrackedFiles", "no")
    write(tmp_path, {"x.log": "1"})
    assert read_git_state(tmp_path, OWN).working_tree_state == "clean"

    write(tmp_path, {"x.txt": "1"})
    assert read_git_state(tmp_path, OWN).working_tree_state == "dirty"


def test_the_state_of_a_folder_inside_a_checkout_is_its_own(tmp_path: Path) -> None:
    head = commit(repository(tmp_path), {"top": "1", "inner/a": "1", "inner/.codex/RUNS/r": "1"})
    write(tmp_path, {"top": "2", "inner/.codex/RUNS/r": "2", "elsewhere": "1"})
    inner = tmp_path / "inner"

    assert read_git_state(inner, OWN) == GitState(head, "clean")
    assert read_top_level(inner) == tmp_path
    tracked = read_tracked_digests(inner)
    assert tracked is not None
    assert tracked.digests == ((b".codex/RUNS/r", sha("2")), (b"a", sha("1")))
    assert is_tracked(inner, "a")
    assert not is_tracked(inner, "top")


def test_a_folder_that_the_checkout_around_it_ignores_belongs_to_no_repository(tmp_path: Path) -> None:
    commit(repository(tmp_path), {".gitignore": "build/\n"})
    (tmp_path / "build" / "example").mkdir(parents=True)

    assert read_git_state(tmp_path / "build" / "example", OWN) == GitState(None, None)
    assert read_tracked_digests(tmp_path / "build" / "example") is None


def test_an_ignored_folder_in_which_files_are_tracked_belongs_to_its_checkout(tmp_path: Path) -> None:
    write(repository(tmp_path), {".gitignore": "build/\n", "build/a": "1"})
    git(tmp_path, "add", "-f", "build/a")
    head = commit(tmp_path, {})

    assert read_git_state(tmp_path / "build", OWN) == GitState(head, "clean")


def test_links_are_hashed_by_text_submodules_ignored_and_missing_files_reported(tmp_path: Path) -> None:
    root = repository(tmp_path / "outer")
    module = repository(root / "module")
    commit(module, {"inside": "1"})
    (root / "link").symlink_to("nowhere/at all")
    commit(root, {"a": "1", "gone": "2", "folder/b": "3", "was_file": "4"})
    (root / "gone").unlink()
    (root / "was_file").unlink()
    (root / "was_file").mkdir()
    (root / "folder" / "b").unlink()
    (root / "folder").rmdir()
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "b").write_text("3", encoding="utf-8")
    (root / "folder").symlink_to(tmp_path / "else")

    tracked = read_tracked_digests(root)

    assert tracked is not None
    assert tracked.digests == ((b"a", sha("1")), (b"link", sha("nowhere/at all")))
    assert tracked.some_missing


def test_a_submodule_is_not_a_missing_file(tmp_path: Path) -> None:
    commit(repository(repository(tmp_path) / "module"), {"inside": "1"})
    commit(tmp_path, {"a": "1"})

    tracked = read_tracked_digests(tmp_path)

    assert tracked is not None
    assert (tracked.digests, tracked.some_missing) == (((b"a", sha("1")),), False)


def test_a_place_is_named_literally(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"})
    write(tmp_path, {"runs*/x": "1"})
    assert read_git_state(tmp_path, ["runs*"]).working_tree_state == "clean"

    write(tmp_path, {"runs_of_mine/x": "1"})
    assert read_git_state(tmp_path, ["runs*"]).working_tree_state == "dirty"


def test_a_tracked_path_that_became_a_pipe_is_missing_and_does_not_hang(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"})
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")

    tracked = read_tracked_digests(tmp_path)

    assert tracked is not None
    assert (tracked.digests, tracked.some_missing) == ((), True)


def test_paths_are_raw_bytes(tmp_path: Path) -> None:
    root = os.fsencode(repository(tmp_path))
    names = [b"\xff", "naïve name.txt".encode(), b'a\n"b"\t']
    for name in names:
        Path(os.fsdecode(root + b"/" + name)).write_bytes(name)
    commit(tmp_path, {})

    tracked = read_tracked_digests(tmp_path)

    assert tracked is not None
    assert tracked.digests == tuple((name, sha(name)) for name in sorted(names))
    assert read_git_state(tmp_path, OWN).working_tree_state == "clean"


def test_a_path_in_conflict_counts_once(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"})
    blobs = [git(tmp_path, "hash-object", "-w", "a")] * 3
    lines = "".join(f"100644 {blob} {stage}\ta\n" for stage, blob in enumerate(blobs, start=1))
    (tmp_path / ".git" / "lines").write_text("0 " + "0" * 40 + "\ta\n" + lines, encoding="utf-8")
    git(tmp_path, "rm", "-q", "--cached", "a")
    git(tmp_path, "-c", "alias.load=!git update-index --index-info < .git/lines", "load")

    tracked = read_tracked_digests(tmp_path)

    assert tracked is not None
    assert tracked.digests == ((b"a", sha("1")),)
    assert read_git_state(tmp_path, OWN).working_tree_state == "dirty"


def test_the_variables_of_a_hook_do_not_lead_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = commit(repository(tmp_path / "here"), {"a": "1"})
    commit(repository(tmp_path / "there"), {"b": "1"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "there" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "there" / ".git" / "index"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")

    assert read_git_state(tmp_path / "here", OWN) == GitState(head, "clean")


def test_the_day_of_the_first_commit_is_that_of_the_oldest_on_the_first_parent_line(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"}, at="2026-01-05T23:30:00-01:00")
    commit(tmp_path, {"a": "2"}, at="2026-02-01T00:00:00Z")
    git(tmp_path, "checkout", "-q", "--orphan", "older")
    commit(tmp_path, {"b": "1"}, at="2020-01-01T00:00:00Z")
    git(tmp_path, "checkout", "-q", "main")
    git(tmp_path, "merge", "-q", "--allow-unrelated-histories", "--no-edit", "older", at="2026-03-01T00:00:00Z")

    assert read_first_commit_day(tmp_path) == date(2026, 1, 6)


def test_a_folder_is_tracked_if_a_file_in_it_is(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"runs/r/a": "1", "[x]": "1"})

    assert is_tracked(tmp_path, "runs")
    assert is_tracked(tmp_path, "[x]")
    assert not is_tracked(tmp_path, "x")


def test_a_bare_repository_and_a_broken_link_differ_from_no_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ".git").write_text("gitdir: /nowhere\n", encoding="utf-8")

    for name in ("bare", "broken"):
        with pytest.raises(NotFoundError, match="git cannot read") as caught:
            read_git_state(tmp_path / name, OWN)
        assert "status" in caught.value.advice


def fake_git(folder: Path, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{output}' >&2\nexit 128\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_a_repository_of_somebody_else_is_refused_with_the_way_to_trust_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path)
    fake_git(tmp_path, "fatal: detected dubious ownership in repository at /x", monkeypatch)

    with pytest.raises(NotFoundError, match="dubious ownership") as caught:
        read_git_state(tmp_path, OWN)
    assert f"safe.directory {tmp_path}" in caught.value.advice


def test_without_git_a_plain_folder_is_plain_and_a_repository_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path / "repository")
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))

    assert read_git_state(tmp_path / "plain", OWN) == GitState(None, None)
    with pytest.raises(NotFoundError, match="cannot be run") as caught:
        read_git_state(tmp_path / "repository", OWN)
    assert caught.value.advice == "install git"


def test_asking_writes_nothing(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"})
    os.utime(tmp_path / "a", (1, 1))  # a stale index entry, which `git status` would refresh
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*")}

    read_git_state(tmp_path, OWN)
    read_tracked_digests(tmp_path)

    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*")}


def head_missing(root: Path) -> list[str]:
    """Return what HEAD has and the working tree has not."""
    return list(read_missing_files(root, ["."]))


def test_a_deleted_file_is_missing_wherever_the_deletion_is(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1", "b": "1", "c": "1", "d/e": "1"})
    (tmp_path / "a").unlink()
    git(tmp_path, "rm", "-q", "b")
    git(tmp_path, "rm", "-q", "--cached", "c")
    (tmp_path / "d/e").unlink()
    (tmp_path / "d/e").mkdir()
    (tmp_path / "d/e/f").touch()

    assert head_missing(tmp_path) == ["a", "b", "d/e"]
    assert read_missing_files(tmp_path, [":(literal)b", ":(literal)[x]"]) == ("b",)


def test_a_file_behind_a_linked_folder_is_missing_and_a_changed_one_is_not(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1", "b": "1", "runs/x": "1"})
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    (tmp_path / "runs").symlink_to("elsewhere")
    write(tmp_path, {"a": "2"})
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to("a")

    assert head_missing(tmp_path) == ["runs/x"]


def test_nothing_is_missing_outside_git_nor_before_the_first_commit(tmp_path: Path) -> None:
    assert head_missing(tmp_path) == []

    write(repository(tmp_path), {"a": "1"})
    git(tmp_path, "add", "a")
    (tmp_path / "a").unlink()

    assert head_missing(tmp_path) == []


def test_the_files_of_a_folder_inside_a_checkout_are_named_from_there(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"top": "1", "inner/runs/a": "1"})
    (tmp_path / "top").unlink()
    (tmp_path / "inner/runs/a").unlink()

    assert head_missing(tmp_path / "inner") == ["runs/a"]


def test_a_file_in_conflict_is_missing_only_if_it_is_not_there(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"})
    git(tmp_path, "checkout", "-q", "-b", "other")
    commit(tmp_path, {"a": "2"})
    git(tmp_path, "checkout", "-q", "main")
    commit(tmp_path, {"a": "3"})
    git(tmp_path, "-c", "alias.clash=!git merge -q other || true", "clash")

    assert head_missing(tmp_path) == []
    (tmp_path / "a").unlink()
    assert head_missing(tmp_path) == ["a"]


def test_a_submodule_that_is_not_checked_out_is_not_missing(tmp_path: Path) -> None:
    commit(repository(repository(tmp_path) / "module"), {"inside": "1"})
    commit(tmp_path, {"a": "1"})
    (tmp_path / "module").rename(tmp_path.with_name("moved"))
    (tmp_path / "module").mkdir()

    assert head_missing(tmp_path) == []


def test_a_repository_is_looked_for_as_far_up_as_git_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "outer" / "a" / "b"
    inner.mkdir(parents=True)
    repository(tmp_path / "outer")

    assert find_git_repository(inner) == tmp_path / "outer"
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", f"{tmp_path / 'outer'}:{tmp_path / 'elsewhere'}")
    assert find_git_repository(inner) is None
    assert find_git_repository(tmp_path / "outer") == tmp_path / "outer"
    assert read_git_state(inner, OWN) == GitState(None, None)


@pytest.mark.parametrize("name", ["plain", "with:colon"])
@pytest.mark.parametrize("below", ["", "a/b"])
def test_a_damaged_repository_is_not_skipped_for_the_one_around_it(tmp_path: Path, name: str, below: str) -> None:
    commit(repository(tmp_path / name), {"a": "1"})
    inner = repository(tmp_path / name / "inner")
    (inner / below).mkdir(parents=True, exist_ok=True)
    (inner / ".git/HEAD").write_bytes(b"")

    with pytest.raises(NotFoundError, match="exists and is damaged or unreadable"):
        read_git_state(inner / below, OWN)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_a_repository_that_may_not_be_read_is_no_folder_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository(tmp_path / "mine"), {"a": "1"})
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tmp_path.parents[1]):
            folder.chmod(0o755)
    (tmp_path / "mine/.git").chmod(0)
    monkeypatch.chdir(tmp_path)
    os.seteuid(65534)
    try:
        with pytest.raises(NotFoundError):
            read_git_state(tmp_path / "mine", OWN)
    finally:
        os.seteuid(0)


def test_a_broken_branch_is_not_a_repository_without_commits(tmp_path: Path) -> None:
    commit(repository(tmp_path), {"a": "1"})
    (tmp_path / ".git/refs/heads/main").write_bytes(b"")

    for read in (
        lambda: read_git_state(tmp_path, OWN),
        lambda: find_commit(tmp_path, "HEAD"),
        lambda: find_commit(tmp_path, "refs/heads/main"),
        lambda: read_first_commit_day(tmp_path),
        lambda: read_missing_files(tmp_path, ["."]),
    ):
        with pytest.raises(NotFoundError):
            read()


def test_a_commit_is_unknown_damaged_or_not_made_yet(tmp_path: Path) -> None:
    repository(tmp_path)
    assert find_commit(tmp_path, "HEAD") is None
    head = commit(tmp_path, {"a": "1"})

    assert find_commit(tmp_path, "HEAD") == head
    assert find_commit(tmp_path, "refs/heads/nobody") is None
    assert find_commit(tmp_path, "f" * 40) is None
    git(tmp_path, "checkout", "-q", "--detach")
    (tmp_path / ".git/objects" / head[:2] / head[2:]).unlink()
    for revision in ("HEAD", "refs/heads/main"):
        with pytest.raises(NotFoundError, match="git cannot read the commit"):
            find_commit(tmp_path, revision)


def test_a_first_parent_is_none_or_damaged(tmp_path: Path) -> None:
    first = commit(repository(tmp_path), {"a": "1"})
    second = commit(tmp_path, {"a": "2"})
    assert (find_commit(tmp_path, f"{first}^1"), find_commit(tmp_path, f"{second}^1")) == (None, first)

    (tmp_path / ".git/objects" / first[:2] / first[2:]).unlink()

    with pytest.raises(NotFoundError, match="git cannot read the commit"):
        find_commit(tmp_path, f"{second}^1")


def test_only_the_drivers_of_the_repository_itself_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "gitconfig"
    git(repository(tmp_path / "here"), "config", "filter.a.b =c.clean", "x")
    git(tmp_path / "here", "config", "--file", ".git/more", "filter.included.smudge", "x")
    git(tmp_path / "here", "config", "include.path", "more")
    git(tmp_path / "here", "config", "--file", str(mine), "filter.mine.clean", "x")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(mine))

    assert read_own_filters(tmp_path / "here") == ("a.b =c", "included")
    assert read_own_filters(tmp_path) is None
    monkeypatch.setenv("GIT_CONFIG", os.devnull)  # `git config` alone would read this file and no other
    assert read_own_filters(tmp_path / "here") == ("a.b =c", "included")
