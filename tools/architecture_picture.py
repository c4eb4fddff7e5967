"""The picture of the architecture, made from the import graph and from the layers that `make check` enforces.

Sizes and numbers of imports are rounded, so that a usual change of the code leaves the picture as it is.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from bisect import bisect_right
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final

import grimp
from drawing import Drawing

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = "registry_pipeline"
# The package that is drawn with what is in it, because its content is the program's: one package for each registry.
OPEN: Final = "registries"

_COLUMNS, _CELL, _ROW, _GAP, _LEFT, _TOP = 4, 154, 40, 6, 16, 84
_HEAD: Final = 24  # the line above the packages of OPEN
_STEP: Final = 20  # between two columns of the imports
_BAR: Final = 80 / 6500  # of a line of code
_IMPORTS: Final = (1, 3, 10, 30, 100)  # the size of a dot changes at these numbers
_RADIUS: Final = (2, 3.2, 4.6, 6.4, 8.5)


def draw_architecture() -> str:
    """Return the picture: a row for each layer, the size of each package, and the imports between the layers."""
    contracts = _read_contracts()
    layers = [sorted(layer.split(" | ")) for layer in contracts["layers"]["layers"]]
    registries = [name for layer in contracts["registries"]["layers"] for name in layer.split(" | ")]
    imports = count_imports(layers)
    heights = [_height(registries) + _HEAD if layer == [OPEN] else _height(layer) for layer in layers]
    tops = [_TOP + sum(heights[:index]) for index in range(len(layers))]
    right = _LEFT + _COLUMNS * _CELL + 24

    drawing = Drawing(
        "architecture",
        right + len(layers) * _STEP + 6,
        _TOP + sum(heights) + 34,
        "Layers and packages of registry_pipeline",
        f"{len(layers)} layers from top to bottom, with the lines of code of each package. No import leads up. "
        + " ".join(_describe(index, layers, imports) for index in range(len(layers))),
    )
    drawing.text(_LEFT, 28, "Layers and packages, with their lines of code", "bold")
    drawing.text(_LEFT, 48, "A layer imports only from layers below it.", "soft small")
    drawing.text(right - 4, 28, "Imports", "bold")
    drawing.text(right - 4, 48, "Follow a dot down to the square", "soft small")
    drawing.text(right - 4, 63, "of the layer that is imported.", "soft small")
    for layer, top, height in zip(layers, tops, heights, strict=True):
        _draw_layer(drawing, layer, registries, top, height - _GAP)
    middles = [top + (height - _GAP) / 2 for top, height in zip(tops, heights, strict=True)]
    for index in range(len(layers)):
        _draw_imports(drawing, index, right, middles, imports, layers)
    bottom = _TOP + sum(heights) + 16
    drawing.text(_LEFT, bottom, f"{format_size('.')} lines in all, sizes rounded", "soft small")
    for number, (count, radius) in enumerate(zip(_IMPORTS, _RADIUS, strict=True)):
        drawing.dot(right + 4 + number * 62, bottom - 4, radius)
        drawing.text(right + 16 + number * 62, bottom, f"{count}+" if number else "1 or 2", "soft small")
    return drawing.finish()


def count_imports(layers: list[list[str]]) -> Counter[tuple[int, int]]:
    """Return how many imports lead from one layer to another, by their numbers."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    layer_of = {name: index for index, layer in enumerate(layers) for name in layer}
    counts: Counter[tuple[int, int]] = Counter()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = [layer_of.get(module.split(".")[1]) for module in (importer, imported) if "." in module]
            if len(ends) == 2 and None not in ends and ends[0] != ends[1]:
                counts[ends[0], ends[1]] += 1  # type: ignore[index]
    return counts


@cache
def count_lines(path: str) -> int:
    """Return the number of lines of a package or module, rounded: by 100, by 500 from 1000, by 1000 from 10,000."""
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in _find_files(path))
    step = 1000 if lines >= 10_000 else 500 if lines >= 1000 else 100
    return round(lines / step) * step


def format_size(path: str) -> str:
    """Return the rounded number of lines of a package or module as text."""
    return f"{count_lines(path):,}" if count_lines(path) else "<50"


def _read_contracts() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def _find_files(path: str) -> list[Path]:
    place = ROOT / PACKAGE / path
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def _read_purpose(path: str) -> str:
    """Return the first line of the docstring of a package or module."""
    place = ROOT / PACKAGE / path
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0].replace("`", "")


def _height(names: list[str]) -> int:
    return -(-len(names) // _COLUMNS) * _ROW + _GAP


def _draw_layer(drawing: Drawing, layer: list[str], registries: list[str], top: float, height: float) -> None:
    """Draw the packages of a layer; beside a single one, what it is for."""
    drawing.box(_LEFT - 6, top, _COLUMNS * _CELL + 10, height, "line")
    if layer == [OPEN]:
        drawing.text(_LEFT + 4, top + 20, OPEN, "code bold")
        drawing.text(_LEFT + 80, top + 20, f"{format_size(OPEN)}. {_read_purpose(OPEN)}", "soft small")
    elif len(layer) == 1:
        purpose = textwrap.wrap(_read_purpose(layer[0]), 66)
        for number, line in enumerate(purpose):
            drawing.text(_LEFT + _CELL + 8, top + (25, 18)[len(purpose) > 1] + 14 * number, line, "soft small")
    for number, name in enumerate(registries if layer == [OPEN] else layer):
        x, y = _LEFT + number % _COLUMNS * _CELL, top + number // _COLUMNS * _ROW
        if layer == [OPEN]:
            _draw_package(drawing, x, y + _HEAD, name, f"{OPEN}/{name}")
        else:
            _draw_package(drawing, x, y, name, name)


def _draw_package(drawing: Drawing, x: float, y: float, name: str, path: str) -> None:
    width = round(max(1.0, count_lines(path) * _BAR), 1)
    drawing.box(x, y + 3, _CELL - 6, _ROW - 6, "box", f"{name}: {_read_purpose(path)}")
    drawing.text(x + 8, y + 17, name, "code")
    drawing.box(x + 8, y + 24, width, 5, "bar")
    drawing.text(x + 14 + width, y + 30, format_size(path), "soft small")


def _draw_imports(
    drawing: Drawing,
    index: int,
    right: int,
    middles: list[float],
    imports: Counter[tuple[int, int]],
    layers: list[list[str]],
) -> None:
    """Draw the square of a layer, the line from the layers that import it, and their dots."""
    x, y = right + index * _STEP, middles[index]
    importers = sorted(importer for importer, imported in imports if imported == index)
    drawing.line((right - 18, y), (x - 5, y))
    if importers:
        drawing.line((x, middles[importers[0]]), (x, y - 5))
    drawing.box(x - 5, y - 5, 10, 10, "strong", " | ".join(layers[index]))
    for importer in importers:
        title = f"{' | '.join(layers[importer])} imports {' | '.join(layers[index])}"
        radius = _RADIUS[bisect_right(_IMPORTS, imports[importer, index]) - 1]
        drawing.dot(x, middles[importer], radius, "bar", title)


def _describe(index: int, layers: list[list[str]], imports: Counter[tuple[int, int]]) -> str:
    below = [" | ".join(layers[imported]) for importer, imported in sorted(imports) if importer == index]
    return f"{' | '.join(layers[index])}: imports {', '.join(below) or 'nothing'}."
