"""docs/how-to/replace-the-older-scripts.md: every command and name that replaces an older one exists."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Final

import click
import pytest

from registry_pipeline.cli.program import program
from registry_pipeline.registries.catalog import SHIPPED

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs/how-to/replace-the-older-scripts.md").read_text(encoding="utf-8")
COMMANDS: Final = sorted(set(re.findall(r"`registry-pipeline ([^`]+)`", PAGE)))
# The rows about names that Python code imported.
NAMES: Final = (
    ("registry_pipeline.roles", ("RoleRegistryAppendOnlyValidator", "canonical_json_sha256")),
    ("registry_pipeline.entries", ("load_yaml", "dump_yaml", "insert_or_update_entry", "validate_entry")),
)
# Every script and step that the documents of the older tools print.
OLDER: Final = (
    "tools/run_registry/build_run_registry_v0_1.py",
    "tools/run_registry/build_op_status_table_v0_1.py",
    "tools/run_registry/build_drift_signals_v0_1.py",
    "tools/run_registry/render_system_health_v0_1.py",
    "docs/phase_2_2/builders/build_registry_delta_log_v0_1.py",
    "docs/phase_2_2/validators/validate_registry_seals_v0_1.py",
    "docs/phase_2_2/validators/validate_registry_schema_v0_1.py",
    "scripts/validation/atelier_role_registry_check.mjs",
    "scripts/validation/codex-check.mjs",
    "scripts/devops/registry_add_entry.py",
    *(f"just {recipe}" for recipe in ("pre-work", "post-work", "lint", "test", "cor701-sha")),
    *("just validator-spec-regression", "just validator-scan", "git revert", "Show run record", "List runs for"),
    *("Find runs that failed uniqueness checks", "Find latest successful run"),
)


def parse(words: list[str]) -> None:
    """Raise a click.UsageError unless the words name a command with options that it has."""
    group: click.Command = program
    context = click.Context(program)
    while isinstance(group, click.Group) and words:
        command = group.get_command(context, words[0])
        if command is None:
            raise click.UsageError(f"no command {words[0]}")
        group, context, words = command, click.Context(command, parent=context), words[1:]
    _, rest, _ = group.make_parser(context).parse_args(words)
    takes_words = any(isinstance(parameter, click.Argument) for parameter in group.params)
    if rest and not takes_words:
        raise click.UsageError(f"unexpected {rest}")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_and_its_options_exist(command: str) -> None:
    parse([word for word in shlex.split(command) if word not in ("--help", "--json")])


@pytest.mark.parametrize("command", ["no-such-command", "verify --no-such-option", "anchor surplus"])
def test_another_command_is_found(command: str) -> None:
    with pytest.raises(click.UsageError):
        parse(shlex.split(command))


def can_be_built(registry_id: str) -> bool:
    spec = SHIPPED.registries[registry_id]
    return spec.builder is not None or spec.kind == "rendered"


def test_every_registry_that_a_build_is_named_for_can_be_built() -> None:
    named = {command.split()[1] for command in COMMANDS if re.match(r"build [a-z]", command)}

    assert len(named) > 10
    assert {name for name in named if name not in SHIPPED.registries or not can_be_built(name)} == set()


@pytest.mark.parametrize("older", OLDER)
def test_every_older_script_and_step_has_a_row(older: str) -> None:
    assert any(older in line for line in PAGE.splitlines() if line.startswith("|"))


@pytest.mark.parametrize(("module", "names"), NAMES)
def test_the_names_exist_in_python(module: str, names: tuple[str, ...]) -> None:
    assert all(name in PAGE and hasattr(importlib.import_module(module), name) for name in names)
