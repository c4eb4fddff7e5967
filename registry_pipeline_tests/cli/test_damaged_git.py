"""A repository that git cannot read is "could not check" (exit 7) in every command, and never "no repository"."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline_tests.captured_sources import RUN_INDEX
from registry_pipeline_tests.cli.conftest import CommandResult, Repository
from registry_pipeline_tests.copies import copied_repository
from registry_pipeline_tests.registries.repositories import commit, git, repository
from registry_pipeline_tests.role_packs import PACK, SHRUNK

LATER = "2026-03-02T12:00:00Z"
RUN = "2026-03-01__120000__drift_signals_build"


def empty_head(root: Path) -> None:
    (root / ".git/HEAD").write_bytes(b"")


def no_objects(root: Path) -> None:
    shutil.rmtree(root / ".git/objects")


def empty_folder(root: Path) -> None:
    shutil.rmtree(root / ".git")
    (root / ".git").mkdir()


def link_to_a_worktree_that_is_gone(root: Path) -> None:
    shutil.rmtree(root / ".git")
    (root / ".git").write_text("gitdir: /nowhere/.git/worktrees/tracked\n", encoding="utf-8")


def empty_branch(root: Path) -> None:
    (root / ".git" / git(root, "symbolic-ref", "HEAD")).write_bytes(b"")


def commit_is_missing(root: Path) -> None:
    commit = git(root, "rev-parse", "HEAD")
    (root / ".git/objects" / commit[:2] / commit[2:]).unlink()


def corrupt_index(root: Path) -> None:
    index = root / ".git/index"
    index.write_bytes(b"DIRC" + b"\xff" * 40)


DAMAGES = (
    empty_head,
    no_objects,
    empty_folder,
    link_to_a_worktree_that_is_gone,
    empty_branch,
    commit_is_missing,
    corrupt_index,
)


def one_line_of_advice(result: CommandResult) -> bool:
    return result.out == "" and result.err.count("\n") == 1 and "Traceback" not in result.err


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_status_doctor_and_verify_print_their_findings_and_exit_7(
    tracked: Repository, damage: Callable[[Path], None]
) -> None:
    damage(tracked.root)

    for words, shown in ((("status",), "repository"), (("doctor",), "findings"), (("verify", "--active"), "results")):
        result = tracked(*words, "--json")
        document = result.document(words[0])
        assert (result.code, result.err) == (7, "")
        # `status` also compares the role pack with git, which it then cannot.
        codes = {f["code"] for f in document["findings"] if f["severity"] == "error"}
        assert codes - {"RR030"} == {"CONFIG_GIT_UNREADABLE"}
        assert document[shown]
        assert document.get("verdict") != "pass"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_build_seals_nothing_and_exits_7(tracked: Repository, damage: Callable[[Path], None]) -> None:
    damage(tracked.root)
    before = tracked.files()

    result = tracked("build", now=LATER)

    assert (result.code, one_line_of_advice(result)) == (7, True)
    assert tracked.files() == before


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d is not corrupt_index], ids=lambda damage: damage.__name__)
def test_roles_check_does_not_report_damage_as_a_first_publish(
    tracked: Repository, damage: Callable[[Path], None]
) -> None:
    git(tracked.root, "branch", "-M", "main")
    (tracked.root / PACK).write_text(SHRUNK, encoding="utf-8")
    assert tracked("roles", "check").code == 3
    damage(tracked.root)

    result = tracked("roles", "check", "--json")

    document = result.document("roles-check")
    assert (result.code, document["verdict"]) == (7, "error")
    assert [f["code"] for f in document["findings"] if f["severity"] == "error"] == ["RR030"]


@pytest.mark.parametrize("damage", [empty_head, corrupt_index], ids=lambda damage: damage.__name__)
def test_every_other_command_that_needs_git_exits_7_and_changes_nothing(
    tracked: Repository, damage: Callable[[Path], None]
) -> None:
    assert tracked("build", "--no-activate", now=LATER).code == 0
    damage(tracked.root)
    before = tracked.files()

    for words in (
        ("activate", "run_registry", "latest", "--allow-mixed", "--reason", "x"),
        ("rollback", "--reason", "x"),
        ("mark-bad", RUN, "--reason", "x"),
        ("init",),
        ("doctor", "--fix"),
        ("verify", "--pointers"),
        ("verify", "--chain"),
        ("verify", "--active", "--baseline", "HEAD"),
        ("entries", "check"),
        ("overrides", "check"),
        ("run-index", "check"),
        ("run-index", "check", "--baseline", "HEAD"),
    ):
        result = tracked(*words)
        assert (words, result.code) == (words, 7)
        assert "Traceback" not in result.err
        assert "CONFIG_GIT_UNREADABLE" in result.out or result.err.splitlines()[-1].startswith("error: git cannot read")
    assert tracked.files() == before


def test_past_days_are_not_built_from_a_damaged_repository(tracked: Repository) -> None:
    empty_head(tracked.root)

    assert tracked("build", "drift_signals_daily", "--as-of", "2026-02-01").code == 7


def test_init_does_not_change_a_folder_with_a_damaged_repository(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "new"
    commit(repository(root), {"a": "1"})
    git(root, "config", "user.name", "Ada")
    corrupt_index(root)

    result = Repository(root, home)("-C", ".", "init")

    assert (result.code, one_line_of_advice(result)) == (7, True)
    assert sorted(path.name for path in root.iterdir()) == [".git", "a"]


def test_a_damaged_repository_inside_another_checkout_does_not_use_that_checkout(
    tracked_repository: Path, tmp_path: Path, home: Path
) -> None:
    commit(repository(tmp_path / "outer"), {"a": "1"})
    with copied_repository(tracked_repository, tmp_path / "outer" / "inner") as root:
        empty_head(root)
        result = Repository(root, home)("status", "--json")

    assert (result.code, result.document("status")["repository"]["git_commit"]) == (7, None)


def test_a_log_that_cannot_be_compared_with_its_commit_is_not_activated(tracked: Repository) -> None:
    blob = git(tracked.root, "rev-parse", f"HEAD:{RUN_INDEX}")
    (tracked.root / ".git/objects" / blob[:2] / blob[2:]).unlink()
    active = tracked.active("run_index")

    result = tracked("build", "run_index", "--force", now=LATER)

    assert (result.code, one_line_of_advice(result)) == (7, True)
    assert tracked.active("run_index") == active
