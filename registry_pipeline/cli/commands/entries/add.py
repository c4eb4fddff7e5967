"""`entries add`: add or update entries, all of them or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from registry_pipeline.cli.activation_output import find_actor
from registry_pipeline.cli.entry_input import read_given
from registry_pipeline.cli.entry_output import print_write_result
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.entries.change_plan import ChangeRequest
from registry_pipeline.registries.entries.service import add_entries

_TYPE: Final = '{"id": "gauge", "description": "Reads one gauge."}'
_HOOK: Final = '{"id": "tidy", "description": "Tidies up.", "event_type": "SessionStop"}'


@click.command(
    "add",
    cls=Command,
    examples=[
        (f"entries add --type module_type --entry-json '{_TYPE}'", "add one entry"),
        (f"entries add --type hook --entry-json '{_HOOK}' --dry-run --diff", "show what would change"),
    ],
)
@click.argument("sources", metavar="[-]", nargs=-1)
@click.option("--type", "types", metavar="TYPE", multiple=True, help="The exact type, or a family: modules, routes, …")
@click.option("--entry-file", "files", metavar="FILE", multiple=True, help="A YAML or JSON file; - is standard input.")
@click.option("--entry-json", "texts", metavar="JSON", multiple=True, help="The entry itself; - is standard input.")
@click.option("--update", is_flag=True, help="Replace an entry that has this key and differs.")
@click.option("--dry-run", is_flag=True, help="Check and report; write nothing.")
@click.option("--diff", is_flag=True, help="Show what changes in the files.")
@click.option("--no-check", is_flag=True, help="Write despite failures between registries; the override is recorded.")
@click.option("--approved-by", metavar="NAME", help="Who approved a lifecycle of RELEASED, SUNSET or REMOVED.")
@click.option("--actor", metavar="NAME", help="Who overrides; default: the environment's, git's, or the login name.")
@click.pass_obj
def command(reporter: Reporter, /, **options: Any) -> int:
    """Add or update entries.

    Entries are checked against their schemas and, in the state after the write, against the rules between the
    registries. A failure writes nothing (exit 5). Several entries are one change over all their files: give a YAML
    list, several documents or several options; without --type, a mapping of types to lists of entries. Other lines
    keep every byte, and an entry that exists already changes nothing.
    """
    return add(reporter, **options)


def add(  # noqa: PLR0913 - the options of a command
    reporter: Reporter,
    *,
    sources: tuple[str, ...],
    types: tuple[str, ...],
    files: tuple[str, ...],
    texts: tuple[str, ...],
    update: bool,
    dry_run: bool,
    diff: bool,
    no_check: bool,
    approved_by: str | None,
    actor: str | None,
) -> int:
    """Add or update entries; `registry_add_entry` calls this, too."""
    if any(source != "-" for source in sources) or len(sources) > 1:
        raise click.UsageError(
            f"{sources[0]!r}: name a file with --entry-file; the only argument is - (standard input)"
        )
    if approved_by is not None and not approved_by.strip():
        raise click.UsageError("--approved-by needs a name")
    repository = find_repository(reporter.settings.repo)
    given = read_given(types, (*files, *sources), texts, Path.cwd())
    request = ChangeRequest(find_actor(actor, repository.root), reporter.settings.now, update, no_check, approved_by)
    result = add_entries(repository, given, request, dry_run=dry_run)
    return print_write_result(reporter, result, diff=diff, dry_run=dry_run)
