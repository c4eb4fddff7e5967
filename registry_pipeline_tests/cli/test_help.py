"""Help is documentation: every verb has a paragraph and examples, and the examples run."""

from __future__ import annotations

import shlex

import click
import pytest

from registry_pipeline.cli.group import CommandGroup, program
from registry_pipeline.schema import has_schema
from registry_pipeline_tests.cli.conftest import Repository, environment
from registry_pipeline_tests.fork_server import fork_server
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.role_packs import PACK

VERBS = dict(program.all_commands())
NOUNS = [name for name in program.help_lines if name not in VERBS]


@pytest.mark.parametrize("name", NOUNS)
def test_a_noun_tells_its_verbs_and_what_it_is_for(name: str) -> None:
    noun = program.get_command(click.Context(program), name)
    assert isinstance(noun, CommandGroup)
    shown = noun.get_help(click.Context(noun, info_name=name, terminal_width=200))

    assert noun.help_lines
    assert all(f"\n  {verb}" in shown for verb in noun.help_lines)
    assert len((noun.help or "").split("\n\n")) > 1


@pytest.mark.parametrize("group", [program, *(program.get_command(click.Context(program), name) for name in NOUNS)])
def test_the_table_of_a_group_has_the_first_line_of_each_verb(group: CommandGroup) -> None:
    commands = {name: group.get_command(click.Context(group), name) for name in group.help_lines}

    assert group.help_lines == {
        name: each.get_short_help_str(200) for name, each in commands.items() if each is not None
    }


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_says_what_it_does_in_a_line_and_then_in_a_paragraph(name: str) -> None:
    verb = VERBS[name]
    first, *paragraphs = (verb.help or "").split("\n\n")

    assert first.endswith(".")
    assert "..." not in verb.get_short_help_str(limit=62)
    assert paragraphs
    assert all(option.help for option in verb.params if isinstance(option, click.Option))


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_every_verb_shows_its_examples(name: str) -> None:
    verb = VERBS[name]
    shown = verb.get_help(click.Context(verb, info_name=name, terminal_width=200))

    assert verb.examples
    for arguments, does in verb.examples:
        assert f"registry-pipeline {arguments}" in shown
        assert does in shown


@pytest.mark.parametrize("name", VERBS)
def test_the_document_of_every_verb_has_a_schema_that_ships(name: str) -> None:
    assert has_schema(f"cli/{name.replace(' ', '-')}.schema.json")


EXAMPLES = [(name, words) for name in VERBS for words, _ in VERBS[name].examples if name != "ui"]
_CALL = """
import sys
from registry_pipeline.cli.main import main
code = main(sys.argv[1:])
heavy = {"dagster", "pandas", "duckdb", "numpy"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize("words", [*(words for _, words in EXAMPLES), "ui --help"])
def test_every_example_runs_and_no_verb_imports_dagster_or_pandas(built: Repository, words: str) -> None:
    if "-C ../" in words:
        (built.root.parent / "other/.codex/RUNS").mkdir(parents=True)
    if "--baseline main" in words:
        git(built.root, "add", "--force", ".codex/RUNS")
        git(built.root, "commit", "--quiet", "-m", "runs")
    if "--redo" in words:
        assert built("rollback", "--reason", "to undo it").code == 0
    if "--staged" in words:
        git(built.root, "add", "--force", PACK)
    env = environment(built.home)

    done = fork_server("registry_pipeline.cli.invoke").run(_CALL, *shlex.split(words), cwd=built.root, env=env)

    assert done.returncode in (0, 3, 4), done.stderr.decode()
    assert b"rror" not in done.stderr
