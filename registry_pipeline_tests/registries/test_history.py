"""Which commit was the newest on a past day, on which branch."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from registry_pipeline.git.first_parent import History, read_default_branch, read_first_commit_day, read_history
from registry_pipeline.registries.base.values import last_second
from registry_pipeline_tests.histories import HistoryRepository, make_historic
from registry_pipeline_tests.registries.repositories import commit, git, repository


@pytest.fixture(scope="module")
def historic(tmp_path_factory: pytest.TempPathFactory) -> HistoryRepository:
    return make_historic(tmp_path_factory.mktemp("history") / "repository")


def history_of(root: Path) -> History:
    history = read_history(root)
    assert history is not None
    return history


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2026, 1, 5), "first"),
        (date(2026, 1, 19), "first"),
        (date(2026, 1, 20), "second"),
        (date(2026, 2, 9), "second"),
        (date(2026, 2, 10), "third"),  # committed in the last second of the day
        (date(2026, 2, 15), "third"),  # the commit of that day is on a side branch
        (date(2026, 2, 20), "merge"),
        (date(2027, 1, 1), "merge"),
    ],
)
def test_the_commit_of_a_day_is_the_newest_first_parent_commit_of_its_last_second(
    historic: HistoryRepository, day: date, name: str
) -> None:
    assert history_of(historic.root).find_commit_at(last_second(day)) == historic.commits[name]


def test_before_the_first_commit_there_is_none(historic: HistoryRepository) -> None:
    history = history_of(historic.root)

    assert history.find_commit_at(datetime(2026, 1, 5, 9, 59, 59, tzinfo=UTC)) is None
    assert (history.first_day, history.is_cut) == (date(2026, 1, 5), False)


def test_a_clock_that_went_back_does_not_hide_the_newest_commit_by_date(tmp_path: Path) -> None:
    root = repository(tmp_path)
    first = commit(root, {"a": "1"}, at="2026-01-10T00:00:00Z")
    second = commit(root, {"a": "2"}, at="2026-01-05T00:00:00Z")
    third = commit(root, {"a": "3"}, at="2026-01-10T00:00:00Z")

    history = history_of(root)

    assert history.find_commit_at(datetime(2026, 1, 6, tzinfo=UTC)) == second
    assert history.find_commit_at(datetime(2026, 1, 12, tzinfo=UTC)) == third, "of equal dates the later commit"
    assert first in {each for _, each in history.commits}
    assert history.first_day == date(2026, 1, 5)


def test_a_signature_that_the_user_wants_to_see_is_not_taken_for_a_commit(tmp_path: Path) -> None:
    head = commit(repository(tmp_path), {"a": "1"})
    git(tmp_path, "config", "log.showSignature", "true")

    assert [each for _, each in history_of(tmp_path).commits] == [head]


def test_a_plain_folder_and_a_repository_without_commits_have_no_history(tmp_path: Path) -> None:
    repository(tmp_path / "empty")
    (tmp_path / "plain").mkdir()

    for name in ("empty", "plain"):
        assert read_history(tmp_path / name) is None
        assert read_first_commit_day(tmp_path / name) is None


@pytest.mark.parametrize(
    ("refs", "branch"),
    [
        (("refs/heads/main", "refs/heads/master", "refs/heads/mine"), "refs/heads/main"),
        (("refs/heads/master", "refs/heads/mine"), "refs/heads/master"),
        (("refs/remotes/origin/main", "refs/heads/master"), "refs/remotes/origin/main"),
        (("refs/remotes/origin/trunk", "refs/heads/main"), "refs/heads/main"),
        (("refs/heads/mine",), "HEAD"),
    ],
)
def test_the_default_branch_is_a_question_to_the_repository_and_not_to_its_user(
    tmp_path: Path, refs: tuple[str, ...], branch: str
) -> None:
    root = repository(tmp_path)
    git(root, "config", "init.defaultBranch", "mine")
    git(root, "checkout", "-q", "-b", "elsewhere")
    head = commit(root, {"a": "1"})
    for ref in refs:
        git(root, "update-ref", ref, head)

    assert read_default_branch(root) == branch


@pytest.mark.parametrize("local", [True, False])
def test_what_the_remote_calls_its_head_is_the_default_branch(tmp_path: Path, local: bool) -> None:
    root = repository(tmp_path)
    head = commit(root, {"a": "1"})
    git(root, "update-ref", "refs/remotes/origin/trunk", head)
    git(root, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    if local:
        git(root, "update-ref", "refs/heads/trunk", head)

    assert read_default_branch(root) == ("refs/heads/trunk" if local else "refs/remotes/origin/trunk")


def test_a_shallow_clone_knows_that_its_history_is_cut(historic: HistoryRepository, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", "--depth", "2", f"file://{historic.root}", tmp_path / "clone"], check=True)

    history = history_of(tmp_path / "clone")

    assert history.is_cut
    assert history.first_day == date(2026, 2, 10)


def test_a_shallow_clone_that_holds_the_first_commit_is_not_cut(historic: HistoryRepository, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", "--depth", "4", f"file://{historic.root}", tmp_path / "clone"], check=True)

    history = history_of(tmp_path / "clone")

    assert not history.is_cut
    assert history.first_day == date(2026, 1, 5)
