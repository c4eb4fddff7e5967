"""The reference pages are complete: every option, variable, command, code, exit code and field of a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import registry_pipeline
from registry_pipeline import config
from registry_pipeline.cli.exit_codes import MEANINGS, ExitCode
from registry_pipeline.cli.group import CommandGroup
from registry_pipeline.cli.program import program
from registry_pipeline.config_types import options_of
from registry_pipeline.findings.codes import CODES
from registry_pipeline_tests.config.test_options import CLASSES

ROOT = Path(registry_pipeline.__file__).parents[1]
SCHEMAS = sorted(path.relative_to(ROOT / "schemas").as_posix() for path in (ROOT / "schemas").rglob("*.schema.*"))


def _read(name: str) -> str:
    return (ROOT / "docs/reference" / name).read_text(encoding="utf-8")


def _list_commands(group: CommandGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.help_lines:
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, CommandGroup):
            yield from _list_commands(command, (*path, name))


COMMANDS = list(_list_commands(program))


def _find_fields(node: Any) -> set[str]:
    """Return the names of all fields that a schema describes, wherever they are."""
    if isinstance(node, list):
        return set().union(*map(_find_fields, node))
    if not isinstance(node, dict):
        return set()
    conditions = ("if", "then", "else", "allOf")
    own = set(node.get("properties", ()))
    children = [child for key, child in node.items() if key not in (*conditions, "properties", "required", "enum")]
    return own.union(*map(_find_fields, [*children, *node.get("properties", {}).values()]))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_of_a_schema_has_a_row(name: str) -> None:
    page, text = _read("schemas.md"), (ROOT / "schemas" / name).read_text(encoding="utf-8")
    section = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    shared = page.partition("\n## Shared definitions\n")[2]
    documented = set(re.findall(r"^\| `(?:[^`|]*[.\]])?([^`.|]+)` \|", f"{section}\n{shared}", re.MULTILINE))

    assert section
    assert _find_fields(json.loads(text) if name.endswith(".json") else yaml.safe_load(text)) <= documented


def test_every_command_has_a_section_with_its_document() -> None:
    page = _read("command-line.md")
    documents = {name.removeprefix("cli/") for name in SCHEMAS if name.startswith("cli/")}

    assert len(COMMANDS) > 30
    for words in COMMANDS:
        section = page.partition(f"\n## registry-pipeline {' '.join(words)}\n")[2].partition("\n## ")[0]
        document = f"{'-'.join(words)}.schema.json"
        assert "Usage: registry-pipeline" in section, words
        assert (f"[`schemas/cli/{document}`](schemas.md#" in section) == (document in documents), words
        documents.discard(document)
    assert documents == {"error.schema.json"}


def test_every_link_to_a_schema_names_a_heading() -> None:
    headings = re.findall(r"^### (.+)$", _read("schemas.md"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert set(re.findall(r"\(schemas\.md#([^)]+)\)", _read("command-line.md"))) <= anchors


def test_every_class_of_options_is_documented() -> None:
    classes = {cls for cls in vars(config).values() if isinstance(cls, type) and _has_options(cls)}

    assert classes == set(CLASSES.values())


def _has_options(cls: type) -> bool:
    try:
        return bool(options_of(cls))
    except (KeyError, TypeError, AttributeError, ValueError):
        return False


def test_every_environment_variable_of_the_program_is_documented() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "registry_pipeline").rglob("*.py")]
    variables = {name for text in sources for name in re.findall(r'"(REGISTRY_PIPELINE_[A-Z_]+|NO_COLOR)"', text)}
    table = _read("configuration.md").partition("## Environment variables")[2].partition("\n## ")[0]

    assert len(variables) > 5
    assert variables <= set(re.findall(r"`([A-Z_]+)`", table))


def test_every_code_has_a_row() -> None:
    assert re.findall(r"^\| `([A-Z0-9_]+)` \|", _read("findings.md"), re.MULTILINE) == list(CODES)


def test_the_table_of_exit_codes_has_every_code() -> None:
    codes = {int(code) for code in re.findall(r"^\| ([0-9]+) \| ", _read("specification.md"), re.MULTILINE)}

    assert codes - {ExitCode.INTERRUPTED} == set(MEANINGS)
