"""docs/how-to/read-from-python.md: its examples run in the example repository, and print what the page says."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from registry_pipeline_tests.command_line import call, environment

PAGE = Path(__file__).parents[2] / "docs/how-to/read-from-python.md"
CLOCK = "2026-03-01T12:00:00Z"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for words in (("example", "tides"), ("-C", "tides", "build")):
        assert call("--now", CLOCK, *words, cwd=folder, env=environment(folder)).code == 0
    return folder


def test_the_examples_of_the_page_print_what_it_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = PAGE.read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    printed: list[str] = []

    result = doctest.DocTestRunner().run(test, out=printed.append)

    assert result.attempted > 15
    assert "".join(printed) == ""
