"""`entries remove`: take entries out of their registries."""

from __future__ import annotations

import click

from registry_pipeline.cli.entry_output import print_write_result
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.entries.service import remove_entries


@click.command(
    "remove",
    cls=Command,
    examples=[
        ("entries remove module_interface heights_by_station", "one entry, by its type and key"),
        (
            "entries remove ability_high heights.explain route series.heights --dry-run --diff",
            "two in one change, shown",
        ),
    ],
)
@click.argument("words", metavar="TYPE KEY...", nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="Check and tell; write nothing.")
@click.option("--diff", is_flag=True, help="Show what changes in the files.")
@click.pass_obj
def command(reporter: Reporter, words: tuple[str, ...], dry_run: bool, diff: bool) -> int:
    """Remove entries.

    Each is named by its type and its key; a route by `scope.topic`. An entry that another still refers to is not
    removed (exit 5), and every referrer is told with its place; what refers to it may be removed in the same call. A
    file that was the entry alone, as a hook's is, goes with it.
    """
    if len(words) % 2:
        raise click.UsageError("name each entry by its type and its key")
    repository = find_repository(reporter.settings.repo)
    named = list(zip(words[::2], words[1::2], strict=True))
    written = remove_entries(repository, named, dry_run=dry_run)
    return print_write_result(reporter, written, diff=diff, dry_run=dry_run)
