"""Append-only, checked against git: a commit, and the one before it if nothing changed since."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_pipeline.canonical import json_line
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.registries.run_index.log_file import overrides_log, run_index_log
from registry_pipeline.registries.run_index.service import check_log
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.run_index.values import a_run, log_at, repository_at

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, TWO, THREE = (json_line(a_run(number)) for number in range(3))


@pytest.fixture
def committed(tmp_path: Path) -> Repository:
    """A repository whose last commit has two records and whose first had one."""
    git(tmp_path, "init", "--quiet", "-b", "main")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    for lines in (ONE, ONE + TWO):
        log_at(tmp_path).path.write_bytes(lines)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "-m", "records")
    return repository_at(tmp_path)


def _codes(repository: Repository, baseline: str) -> list[str]:
    checked = check_log(repository, run_index_log(repository), baseline=baseline, machine_id=None, now=NOW)
    return [each.code for each in checked.findings]


def test_records_appended_since_the_baseline_are_no_finding(committed: Repository) -> None:
    log_at(committed.root).path.write_bytes(ONE + TWO + THREE)

    assert _codes(committed, "HEAD") == _codes(committed, "main~1") == []


def test_a_committed_record_that_is_missing_is_found(committed: Repository) -> None:
    log_at(committed.root).path.write_bytes(ONE + THREE)

    assert _codes(committed, "HEAD") == ["RI050"]
    assert _codes(committed, "HEAD~1") == []


def test_a_committed_edit_is_compared_with_the_commit_before_it(committed: Repository) -> None:
    log_at(committed.root).path.write_bytes(json_line(a_run(0, notes="edited")) + TWO)
    git(committed.root, "commit", "--quiet", "-am", "edited")

    assert _codes(committed, "HEAD") == ["RI050"]


def test_a_commit_without_the_log_is_reported_as_no_proof(committed: Repository) -> None:
    assert _codes(committed, "HEAD~2") == ["RI052"]


def test_a_missing_baseline_cannot_be_compared_with(committed: Repository, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="knows no commit"):
        _codes(committed, "no-such")
    with pytest.raises(NotFoundError, match="no run_index is active"):
        _codes(committed, "active")
    with pytest.raises(NotFoundError, match="there is no"):
        check_log(committed, overrides_log(committed), baseline="HEAD", machine_id=None, now=NOW)


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    log_at(tmp_path).path.write_bytes(ONE)

    with pytest.raises(NotFoundError, match="in no git repository"):
        _codes(repository_at(tmp_path), "HEAD")
