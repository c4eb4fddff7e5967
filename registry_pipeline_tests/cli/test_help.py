"""Every command has a paragraph of help and examples, and the examples run."""

from __future__ import annotations

import shlex

import click
import pytest

from registry_pipeline.cli.group import Command, CommandGroup
from registry_pipeline.cli.program import program
from registry_pipeline.schema import has_schema
from registry_pipeline_tests.archived_runs import OLD, add_sealed_runs
from registry_pipeline_tests.cli.conftest import Repository, environment
from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.role_packs import PACK
from registry_pipeline_tests.signing.keys import make_key

COMMANDS = dict(program.all_commands())
GROUPS = [name for name in program.help_lines if name not in COMMANDS]


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_lists_its_commands_and_says_what_it_is_for(name: str) -> None:
    group = program.get_command(click.Context(program), name)
    assert isinstance(group, CommandGroup)
    text = group.get_help(click.Context(group, info_name=name, terminal_width=200))

    assert group.help_lines
    assert all(f"\n  {command}" in text for command in group.help_lines)
    assert len((group.help or "").split("\n\n")) > 1


@pytest.mark.parametrize("group", [program, *(program.get_command(click.Context(program), name) for name in GROUPS)])
def test_the_table_of_a_group_has_the_first_line_of_each_command(group: CommandGroup) -> None:
    commands = {name: group.get_command(click.Context(group), name) for name in group.help_lines}
    lines = {name: c.get_short_help_str(200) for name, c in commands.items() if isinstance(c, Command)}

    assert lines == {name: line for name, line in group.help_lines.items() if name in lines}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_line_of_help_and_a_paragraph(name: str) -> None:
    command = COMMANDS[name]
    first, *paragraphs = (command.help or "").split("\n\n")

    assert first.endswith(".")
    assert "..." not in command.get_short_help_str(limit=62)
    assert paragraphs
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_shows_its_examples(name: str) -> None:
    command = COMMANDS[name]
    text = command.get_help(click.Context(command, info_name=name, terminal_width=200))

    assert command.examples
    for arguments, purpose in command.examples:
        assert f"registry-pipeline {arguments}" in text
        assert purpose in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_document_of_every_command_has_a_shipped_schema(name: str) -> None:
    assert has_schema(f"cli/{name.replace(' ', '-')}.schema.json")


EXAMPLES = [(name, words) for name in COMMANDS for words, _ in COMMANDS[name].examples if name != "ui"]
_CALL = """
import sys
from registry_pipeline.cli.main import main
code = main(sys.argv[1:])
heavy = {"dagster", "pandas", "duckdb", "numpy"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize("words", [*(words for _, words in EXAMPLES), "ui --help"])
def test_every_example_runs_and_no_command_imports_dagster_or_pandas(built: Repository, words: str) -> None:
    if "../other" in words:
        (built.root.parent / "other/.codex/RUNS").mkdir(parents=True)
    if "--baseline main" in words:
        git(built.root, "add", "--force", ".codex/RUNS")
        git(built.root, "commit", "--quiet", "-m", "runs")
    if "--redo" in words:
        assert built("rollback", "--reason", "to undo it").code == 0
    if "--signed" in words:
        key = make_key(built.root.parent, "ada")
        (built.root / "signers").write_text(key.line(), "utf-8")
        signed = built("rollback", "--reason", "to sign it", REGISTRY_PIPELINE_SIGNING_KEY=str(key.path))
        assert signed.code == 0
    if "--staged" in words:
        git(built.root, "add", "--force", PACK)
    if words.startswith(("export", "import")):
        add_sealed_runs(built, *OLD)
    if words.startswith("import"):
        assert built("export", *OLD, words.rsplit(maxsplit=1)[-1]).code == 0
    if "--registry run_registry old.tar" in words:
        assert [built("build", "--force", now=f"2026-03-0{day}T12:00:00Z").code for day in (2, 3, 4)] == [0, 0, 0]
    env = environment(built.home)
    if words.startswith("attest"):
        env["REGISTRY_PIPELINE_SIGNING_KEY"] = str(make_key(built.root, "attestation_key").path)

    done = fork_server("registry_pipeline.cli.invoke").run(_CALL, *shlex.split(words), cwd=built.root, env=env)

    assert done.returncode in (0, 3, 4), done.stderr.decode()
    assert b"rror" not in done.stderr
