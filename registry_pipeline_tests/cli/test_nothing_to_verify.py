"""`verify` of what does not exist is neither pass nor fail: the verdict is none, and the exit code 7."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.sealed_folders import seal_plainly

OPTIONS = ("--all", "--active", "--pointers", "--chain")


@pytest.fixture
def empty(tmp_path: Path, home: Path) -> Repository:
    """A repository in which `init` ran, and nothing else."""
    root = tmp_path / "empty"
    root.mkdir()
    repository = Repository(root, home)
    assert repository("-C", ".", "init").code == 0
    return repository


@pytest.mark.parametrize("words", [(option,) for option in OPTIONS] + [OPTIONS, ("--all", "--only", "seal")])
def test_an_empty_repository_passes_no_verification(empty: Repository, words: tuple[str, ...]) -> None:
    result = empty("verify", *words, "--json")

    document = result.document("verify")
    assert (result.code, document["verdict"], document["schema_version"]) == (7, "none", "0.2")


def test_the_text_says_that_nothing_was_verified_and_what_to_do(empty: Repository) -> None:
    last = empty("verify", "--all", "--chain").out.splitlines()[-1]

    assert last.startswith("none: nothing was verified: there is no sealed run folder and no activation record -> ")
    assert "`registry-pipeline build` seals and activates the first runs" in last
    assert "nothing was verified" in empty("verify", "--all", "--format", "github").err


def test_run_folders_without_a_seal_are_listed_and_are_nothing_to_verify(empty: Repository) -> None:
    (empty.runs / "nightly").mkdir(parents=True)
    (empty.runs / "nightly/run.json").write_text("{}", encoding="utf-8")

    document = empty("verify", "--all", "--json").document("verify")

    assert (document["verdict"], document["counts"]["unsealed"]) == ("none", 1)


def test_an_error_fails_even_if_nothing_was_verified(empty: Repository) -> None:
    pointers = next((empty.root / ".codex").glob("*.json"))
    pointers.write_text("{", encoding="utf-8")

    result = empty("verify", "--pointers", "--json")

    assert (result.code, result.document("verify")["verdict"]) == (3, "fail")


def test_without_a_pointer_file_the_pointers_are_nothing_to_verify(empty: Repository) -> None:
    next((empty.root / ".codex").glob("*.json")).unlink()

    assert empty("verify", "--pointers").code == 7


def test_a_pointer_file_without_active_runs_is_nothing_to_verify(built: Repository) -> None:
    assert built("rollback", "--reason", "x").code == 0

    codes = {words: built("verify", *words).code for words in (("--active",), ("--pointers",), ("--chain",))}

    assert codes == {("--active",): 7, ("--pointers",): 7, ("--chain",): 0}


def test_one_option_that_found_something_is_enough(empty: Repository) -> None:
    seal_plainly(empty.root, "2026-01-01__000000__mine", {"a.txt": b"1"}, {})

    result = empty("verify", "--all", "--active", "--chain", "--json")

    assert (result.code, result.document("verify")["verdict"]) == (0, "pass")
    assert empty("verify", "--active", "--chain").code == 7
