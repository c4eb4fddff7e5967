"""Evidence that HEAD contains and the working tree lacks is an error in every command."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline_tests.captured_sources import OVERRIDES, RUN_INDEX
from registry_pipeline_tests.cli.conftest import CommandResult, Repository
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.role_packs import PACK

OLD = ".codex/RUNS/2026-01-10__101010__run_registry_build"
POINTERS = "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"
MODULES = "modules/overview/instance_registry.yaml"


def delete(root: Path, path: str) -> None:
    make_removable(root / ".codex")
    shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()


def delete_from_index_too(root: Path, path: str) -> None:
    delete(root, path)
    git(root, "add", "--all", "--force", path)


def missing(result: CommandResult, verb: str) -> list[str]:
    """Return the paths that are reported as missing."""
    document = result.document(verb)
    return [f["path"] for f in document["findings"] if f["code"] == "TRACKED_MISSING"]


@pytest.mark.parametrize("remove", [delete, delete_from_index_too], ids=lambda remove: remove.__name__)
def test_a_deleted_run_folder_is_one_error_of_status_and_of_each_option_of_verify(
    tracked: Repository, remove: Callable[[Path, str], None]
) -> None:
    assert len(list((tracked.root / OLD).iterdir())) > 1
    remove(tracked.root, OLD)

    for verb, *words in (
        ("status",),
        ("verify", "--all"),
        ("verify", "--active"),
        ("verify", "--pointers"),
        ("verify", "--chain"),
    ):
        result = tracked(verb, *words, "--json")
        assert (result.code, missing(result, verb)) == (3, [OLD])


def test_one_deleted_file_of_a_run_folder_is_named_with_the_command_that_restores_it(tracked: Repository) -> None:
    delete(tracked.root, f"{OLD}/run.json")

    shown = tracked("status").out

    assert f"TRACKED_MISSING {OLD}: the commit at HEAD contains 1 file (run.json)" in shown
    assert "git restore --source=HEAD --staged --worktree" in shown
    git(tracked.root, "restore", "--source=HEAD", "--staged", "--worktree", OLD)
    assert tracked("status").code == 0


@pytest.mark.parametrize("path", [PACK, RUN_INDEX, OVERRIDES, MODULES, POINTERS])
def test_status_reports_every_kind_of_missing_evidence(tracked: Repository, path: str) -> None:
    delete(tracked.root, path)

    result = tracked("status", "--json")

    assert (result.code, missing(result, "status")) == (3, [path])


def test_evidence_removed_by_a_commit_or_from_the_index_only_is_not_missing(tracked: Repository) -> None:
    git(tracked.root, "rm", "-r", "-q", "--cached", OLD)
    assert missing(tracked("verify", "--chain", "--json"), "verify") == []

    delete(tracked.root, OLD)
    assert missing(tracked("verify", "--chain", "--json"), "verify") == [OLD]

    git(tracked.root, "commit", "-q", "-m", "accepted")
    result = tracked("verify", "--chain", "--json")
    assert (result.code, missing(result, "verify")) == (0, [])


def test_a_sparse_checkout_has_no_missing_files(tracked: Repository) -> None:
    make_removable(tracked.root / ".codex")
    git(tracked.root, "update-index", "-q", "--refresh")
    git(tracked.root, "sparse-checkout", "set", "--no-cone", "/*", f"!/{OLD}")
    assert not (tracked.root / OLD).exists()

    result = tracked("verify", "--active", "--json")

    assert (result.code, missing(result, "verify")) == (0, [])


def test_outside_git_and_before_the_first_commit_nothing_is_missing(built: Repository) -> None:
    shutil.rmtree(built.root / ".git")
    assert built("verify", "--active").code == 0

    git(built.root, "init", "-q")
    git(built.root, "add", "--force", "--all")
    delete(built.root, OLD)
    result = built("verify", "--active", "--json")
    assert (result.code, missing(result, "verify")) == (0, [])


def test_the_checks_of_logs_and_entries_report_their_own_missing_files(tracked: Repository) -> None:
    delete(tracked.root, OVERRIDES)
    delete(tracked.root, MODULES)
    delete(tracked.root, OLD)

    logs, entries = tracked("run-index", "check", "--json"), tracked("entries", "check", "--json")

    assert (logs.code, missing(logs, "run-index-check")) == (3, [OVERRIDES])
    assert (entries.code, missing(entries, "entries-check")) == (3, [MODULES])


def test_the_overrides_log_is_not_checked_against_a_run_index_that_is_missing(tracked: Repository) -> None:
    delete(tracked.root, RUN_INDEX)

    result = tracked("overrides", "check", "--json")

    assert (result.code, missing(result, "overrides-check")) == (3, [RUN_INDEX])


def test_a_missing_role_pack_is_reported_once_by_roles_check(tracked: Repository) -> None:
    git(tracked.root, "branch", "-M", "main")
    delete(tracked.root, PACK)

    result = tracked("roles", "check", "--json")

    codes = [f["code"] for f in result.document("roles-check")["findings"]]
    assert (result.code, codes) == (7, ["RR030"])


STATE_VERBS = ("config", "check-ignore", "status", "diff-index")


@pytest.mark.parametrize(("below", "processes"), [("", 3), ("outer/inner", 4)])
def test_status_starts_two_git_processes_more_than_the_state_needs(
    tracked: Repository, tmp_path: Path, home: Path, below: str, processes: int
) -> None:
    trace = tmp_path / "git"
    program = shutil.which("git")
    trace.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/started\nexec {program} "$@"\n', encoding="utf-8")
    trace.chmod(0o755)

    repository = Repository(tracked.root / below, home)
    repository.root.mkdir(parents=True, exist_ok=True)

    repository("-C", ".", "status", PATH=f"{tmp_path}:/usr/bin:/bin")

    started = (tmp_path / "started").read_text(encoding="utf-8").splitlines()
    # What else starts compares the role pack with git.
    asked_for = [line for line in started if any(f" {verb} " in line for verb in STATE_VERBS)]
    assert len(asked_for) == processes
