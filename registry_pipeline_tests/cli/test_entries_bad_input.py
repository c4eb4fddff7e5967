"""Bad arguments, held locks and unusual paths: one line, a documented exit code, and nothing changed."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.cli.in_process import run_forked
from registry_pipeline_tests.cli.test_entries import GAUGE, ROUTE, empty, two

__all__ = ["empty", "two"]

USAGE = {
    "no entry": (("add", "--type", "hook"), 2, "name an entry"),
    "no type": (("add", "--entry-json", '{"id": "a"}'), 2, "give --type"),
    "an unknown type": (("add", "--type", "hok", "--entry-json", "{}"), 7, "did you mean hook?"),
    "a file that is not there": (("add", "--type", "hook", "--entry-file", "no.yaml"), 7, "there is no file no.yaml"),
    "no YAML": (("add", "--type", "hook", "--entry-json", "{id: ["), 5, "--entry-json:2:1: did not find"),
    "no key of an entry": (("remove", "hook"), 2, "by its type and its key"),
    "an entry that is not there": (("remove", "module_type", "guage"), 7, "did you mean gauge?"),
    "a word that is no source": (("add", "--type", "hook", "file.yaml"), 2, "--entry-file"),
    "an empty approval": (("add", "--type", "hook", "--entry-json", "{}", "--approved-by", " "), 2, "needs a name"),
    "an unknown verb": (("ad",), 2, "did you mean add?"),
    "more types than entries": (("add", "--type", "hook", "--type", "route", "--entry-json", "{}"), 2, "one --type"),
}


@pytest.mark.parametrize(("words", "code", "message"), USAGE.values(), ids=USAGE)
def test_bad_arguments_are_one_line_and_change_nothing(
    two: Repository, words: tuple[str, ...], code: int, message: str
) -> None:
    before = two.files()

    result = two("entries", *words)

    assert (result.code, result.err.count("\n")) == (code, 1)
    assert message in result.err
    assert two.files() == before


def test_outside_a_repository_there_is_nothing_to_check(tmp_path: Path, home: Path) -> None:
    (tmp_path / "plain").mkdir()

    assert Repository(tmp_path / "plain", home)("entries", "check").code == 7


ADD_OTHER = ("add", "--type", "module_type", "--entry-json", GAUGE.replace("gauge", "other"))


@pytest.mark.parametrize("words", [ADD_OTHER, ("remove", "module_type", "gauge")], ids=["add", "remove"])
def test_a_lock_that_stays_held_exits_6(
    two: Repository, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    before = two.files()
    monkeypatch.setattr("registry_pipeline.registries.entries.service.WAIT_SECONDS", 0.05)
    with (two.root / ".codex/entries/lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run_forked(two, "entries", *words)

    assert result.code == 6
    assert "another change of registry entries is in progress" in result.err
    assert two.files() == before


@pytest.mark.parametrize("path", ["x" * 300, "a/" * 3000, "circle"], ids=["long", "deep", "a circle of links"])
def test_a_document_with_an_impossible_path_is_refused(two: Repository, path: str) -> None:
    (two.root / "circle").symlink_to("circle")
    before = two.files()

    result = two("entries", "add", "--type", "route", "--entry-json", ROUTE.replace("README.md", path))

    assert result.code == 5
    assert "EN021" in result.out
    assert two.files() == before


def test_a_file_in_place_of_a_folder_is_reported_in_one_line(empty: Repository) -> None:
    (empty.root / "modules").write_text("not a folder")

    result = empty("entries", "add", "--type", "module_type", "--entry-json", GAUGE)

    assert (result.code, result.err.count("\n")) == (5, 1)
    assert (empty.root / "modules").read_text() == "not a folder"
