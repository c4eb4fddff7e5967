"""The drawings in docs/images: they say what the code is, have a text for screen readers, and load nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from architecture_picture import count_imports, draw_architecture
from concept_pictures import draw_concepts

ROOT: Final = Path(__file__).resolve().parents[2]
SVG: Final = "{http://www.w3.org/2000/svg}"
PICTURES: Final = {"architecture.svg": draw_architecture(), **draw_concepts()}


def read_layers() -> list[list[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [row["layers"] for row in settings["tool"]["importlinter"]["contracts"] if row["id"] == "layers"]
    return [layer.split(" | ") for layer in layers]


def test_every_import_of_the_picture_leads_down() -> None:
    layers = read_layers()

    imports = count_imports(layers)

    assert imports
    assert all(importer < imported for importer, imported in imports)
    assert not any(importer < imported for importer, imported in count_imports(layers[::-1]))


def test_the_picture_of_the_architecture_has_each_package_once() -> None:
    root = ET.fromstring(PICTURES["architecture.svg"])  # noqa: S314 - our own
    names = [text.text for text in root.iter(f"{SVG}text") if "code" in text.get("class", "").split()]

    registries = [path for path in (ROOT / "registry_pipeline/registries").iterdir() if path.stem[0] != "_"]
    packages = [name for layer in read_layers() for name in layer]
    assert sorted(name or "" for name in names) == sorted([*packages, *(path.stem for path in registries)])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_a_title_and_a_description_and_loads_nothing(name: str) -> None:
    text = PICTURES[name]
    root = ET.fromstring(text)  # noqa: S314 - our own
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")

    assert title is not None and title.text  # noqa: PT018 - the second needs the first
    assert description is not None and len(description.text or "") > 100  # noqa: PT018
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert re.findall(r"url\(|href|@import|<script|<image", text) == []
    assert PICTURES[name] == (ROOT / "docs/images" / name).read_text(encoding="utf-8")
