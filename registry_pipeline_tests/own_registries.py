"""A repository with registries of its own, and a package with one: their files, for tests of several packages."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

EXAMPLE: Final = Path(__file__).parents[1] / "examples/price_bands"
PRICES: Final = "data/prices.json"
PRICES_SCHEMA: Final = "schemas/prices.schema.json"
TABLES: Final = """
[registries.my_prices]
title = "What the shop charges."
sources = ["data/prices.json"]
schema = "schemas/prices.schema.json"
record_key = ["sku"]

[registries.price_sheets]
sources = ["data/sheets/*.csv"]
schema = "schemas/sheet.schema.json"
record_key = ["sku"]
depends_on = ["my_prices"]
"""


def make_price_schema(least: int = 0) -> bytes:
    """Return a schema of prices that are at least `least`."""
    cents = {"type": "integer", "minimum": least}
    properties = {"sku": {"type": "string"}, "cents": cents}
    record = {"type": "object", "required": ["sku", "cents"], "properties": properties}
    return json.dumps({"type": "array", "items": record}).encode()


def write_prices(root: Path, **cents: int) -> None:
    """Write the source of `my_prices`."""
    path = root / PRICES
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"sku": sku, "cents": price} for sku, price in cents.items()]), encoding="utf-8")


def write_own_sources(root: Path) -> None:
    """Write the sources and the schemas of the two registries of `TABLES`."""
    write_prices(root, apple=100, pear=200)
    sheet = {"type": "object", "required": ["sku", "cents"], "properties": {"cents": {"pattern": "^[0-9]+$"}}}
    for path, data in {
        PRICES_SCHEMA: make_price_schema(),
        "schemas/sheet.schema.json": json.dumps(sheet).encode(),
        "data/sheets/north.csv": b"sku,cents\napple,100\n",
        "data/sheets/south.csv": b"sku,cents\napple,110\n",
    }.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def configure(root: Path, tables: str, *, first: str = "") -> None:
    """Add tables to the end of the toml, and keys to its start."""
    path = root / "registry-pipeline.toml"
    path.write_text(f"{first}\n{path.read_text(encoding='utf-8')}\n{tables}", encoding="utf-8")


@contextmanager
def installed_package(target: Path, source: Path = EXAMPLE) -> Iterator[Path]:
    """Install a package without a network: its modules, and the metadata that its pyproject.toml states."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shutil.copytree(source / "src", target, dirs_exist_ok=True)
    metadata = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8")
    groups = project.get("entry-points", {})
    lines = [
        line for group, points in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(target))
        yield target
    # Another test may install a module of the same name from another folder.
    for name in set(sys.modules) - before:
        if str(target) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
