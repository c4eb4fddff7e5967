"""publish_root behind a symbolic link: nothing is written, and reading commands report it and continue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import Repository

LATER = "2026-03-02T12:00:00Z"


def link_the_folder(repository: Repository) -> str:
    return replace_with_link(repository, ".codex/RUNS")


def link_its_parent(repository: Repository) -> str:
    return replace_with_link(repository, ".codex")


def replace_with_link(repository: Repository, path: str) -> str:
    """Move a folder beside the repository and leave a link in its place."""
    away = repository.root.with_name("away")
    (repository.root / path).rename(away)
    (repository.root / path).symlink_to(away, target_is_directory=True)
    return path


WRITERS = {
    "init": ("init",),
    "build": ("build",),
    "build of a day": ("build", "drift_signals_daily", "--as-of", "2026-02-05"),
    "activate": ("activate", "run_registry", "latest", "--reason", "reviewed"),
    "rollback": ("rollback", "--reason", "the drift is wrong"),
    "mark-bad": ("mark-bad", "2026-03-01__120000__drift_signals_build", "--reason", "the clock was wrong"),
    "doctor": ("doctor", "--fix"),
}


@pytest.fixture(params=[link_the_folder, link_its_parent])
def linked(built: Repository, request: pytest.FixtureRequest) -> tuple[Repository, str]:
    """A repository in which publish_root was replaced, and the path of the link."""
    link: Callable[[Repository], str] = request.param
    return built, link(built)


def listing(repository: Repository) -> list[Path]:
    """Return every path of the repository and of what the link leads to."""
    return sorted(path for root in (repository.root, repository.root.with_name("away")) for path in root.rglob("*"))


@pytest.mark.parametrize("verb", WRITERS)
def test_a_command_that_writes_refuses_before_it_writes(linked: tuple[Repository, str], verb: str) -> None:
    repository, link = linked
    before, pointers = listing(repository), repository.pointers.read_bytes()

    result = repository(*WRITERS[verb], now=LATER)

    assert (result.code, result.err.count("error: "), result.out) == (5, 1, "")
    assert f"{link} is a symbolic link" in result.err
    assert f"replace {link} with the folder that it points to" in result.err
    assert listing(repository) == before
    assert repository.pointers.read_bytes() == pointers


@pytest.mark.parametrize(
    ("words", "schema"), [(("status",), "status"), (("verify", "--active"), "verify"), (("doctor",), "doctor")]
)
def test_a_command_that_reads_reports_it_and_continues(
    linked: tuple[Repository, str], words: tuple[str, ...], schema: str
) -> None:
    repository, link = linked

    result = repository(*words, "--json")

    reported = [each for each in result.document(schema)["findings"] if each["code"] == "CONFIG_PUBLISH_ROOT_LINK"]
    assert result.code == 0
    assert [(each["path"], each["severity"]) for each in reported] == [(link, "warning")]


def test_a_real_folder_is_not_reported(built: Repository) -> None:
    assert "CONFIG_PUBLISH_ROOT_LINK" not in built("status", "--json").out


def test_init_of_a_new_repository_does_not_follow_a_broken_link(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "new"
    root.mkdir()
    (root / ".codex").symlink_to(tmp_path / "nowhere")

    result = Repository(root, home)("init")

    assert result.code == 5
    assert [path.name for path in root.iterdir()] == [".codex"]
    assert not (tmp_path / "nowhere").exists()
