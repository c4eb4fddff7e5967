"""Make the notebook of a page: its text, its doctest examples, and what they return when they are run.

Page and notebook cannot differ, because the page is the only source. A notebook shows the last value of a cell only, so
each example that shows a result ends a cell. A value is shown as text, and as HTML where its class defines that.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final

_BLOCK: Final = re.compile(r"^```pycon\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def make_notebook(page: str) -> str:
    """Return the notebook (nbformat 4.5) of a page whose examples can be run in the working folder."""
    namespace: dict[str, Any] = {}
    cells: list[dict[str, Any]] = []
    codes = 0
    for kind, source in split_page(page):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{len(cells) + 1}", "metadata": {}}
        if kind == "code":
            codes += 1
            cell |= {"execution_count": codes, "outputs": run_cell(source, namespace, codes)}
        cells.append(cell | {"source": source.splitlines(keepends=True)})
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def split_page(page: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the source of each cell of a page, in order."""
    for index, part in enumerate(_BLOCK.split(page)):
        if index % 2 == 0:
            if part.strip():
                yield "markdown", part.strip()
            continue
        examples: list[doctest.Example] = []
        for example in doctest.DocTestParser().get_examples(part):
            examples.append(example)
            if example.want:
                yield "code", _join(examples)
                examples = []
        if examples:
            yield "code", _join(examples)


def _join(examples: list[doctest.Example]) -> str:
    return "".join(example.source for example in examples).rstrip("\n")


def run_cell(source: str, namespace: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run the code of a cell, and return its outputs as a notebook stores them: what it printed, and its last value."""
    tree = ast.parse(source)
    expression = None
    if isinstance(last := tree.body[-1], ast.Expr):
        expression = ast.Expression(last.value)
        del tree.body[-1]
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), namespace)  # noqa: S102 - code of our own page
        if expression is not None:
            value = eval(compile(expression, "<cell>", "eval"), namespace)  # noqa: S307 - likewise
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(printed.getvalue())})
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        if html := getattr(value, "_repr_html_", None):
            data["text/html"] = _lines(html())
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
