"""docs/how-to/read-from-python.md and its notebook: the examples return in the example repository what is shown."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import pytest
from notebook_page import make_notebook, run_cell

from registry_pipeline_tests.command_line import call, environment

PAGE = Path(__file__).parents[2] / "docs/how-to/read-from-python.md"
NOTEBOOK = PAGE.with_name("from-python.ipynb")
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


def find_wrong_cells(notebook: dict[str, Any]) -> list[str]:
    """Run the code of a notebook in order, and return the cells that return something else than they show."""
    namespace: dict[str, Any] = {}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    results = [run_cell("".join(cell["source"]), namespace, count) for count, cell in enumerate(code, 1)]
    return [cell["id"] for cell, outputs in zip(code, results, strict=True) if cell["outputs"] != outputs]


def test_the_cells_of_the_notebook_return_what_it_shows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    wrong = json.loads(NOTEBOOK.read_text(encoding="utf-8").replace("(30, 343)", "(31, 343)"))

    assert sum(cell["cell_type"] == "code" for cell in notebook["cells"]) > 10
    assert find_wrong_cells(notebook) == []
    assert len(find_wrong_cells(wrong)) == 1


def test_the_notebook_is_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    notebook = NOTEBOOK.read_text(encoding="utf-8")

    assert make_notebook(PAGE.read_text(encoding="utf-8")) == notebook
    assert "text/html" in notebook
    assert len(notebook) < 20_000
