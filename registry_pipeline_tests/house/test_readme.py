"""README.md is short, and its map of the packages is that of the import contracts."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_session_is_short_and_ends_well() -> None:
    (session,) = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    lines = session.splitlines()

    assert len(lines) <= 25
    assert "[exit 3]" in lines
    assert lines[-1].startswith("pass: ")


def test_its_pictures_exist() -> None:
    pictures = re.findall(r"!\[[^\]]{20,}\]\(([^)]+)\)", README)

    assert len(pictures) >= 2
    assert [name for name in pictures if not (ROOT / name).is_file()] == []


def test_the_map_of_the_packages_has_every_package_in_the_order_of_the_layers() -> None:
    (lines,) = re.findall(r"^```text\n(cli .*?)^```$", README, re.MULTILINE | re.DOTALL)
    shown = [re.split(r" {3,}", line)[0].split("  ") for line in lines.splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    level = {name: index for index, layer in enumerate(layers) for name in layer.split(" | ")}
    packages = {path.parent.name for path in (ROOT / "registry_pipeline").glob("*/__init__.py")}

    assert len(shown) <= 15
    names = [name for line in shown for name in line]
    assert len(names) == len(set(names))
    assert packages <= set(names) <= set(level)
    levels = [[level[name] for name in line] for line in shown]
    assert all(max(above) < min(below) for above, below in pairwise(levels))
