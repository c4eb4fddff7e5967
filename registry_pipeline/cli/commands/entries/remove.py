"""`entries remove`: remove entries from their registries."""

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
        ("entries remove module_interface heights_by_station", "remove one entry"),
        (
            "entries remove ability_high heights.explain route series.heights --dry-run --diff",
            "show the removal of two entries in one change",
        ),
    ],
)
@click.argument("names", metavar="TYPE KEY...", nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="Check and report; write nothing.")
@click.option("--diff", is_flag=True, help="Show what changes in the files.")
@click.pass_obj
def command(reporter: Reporter, names: tuple[str, ...], dry_run: bool, diff: bool) -> int:
    """Remove entries.

    Name each entry by its type and its key, which is `scope.topic` for a route. An entry to which others refer is not
    removed (exit 5), and every reference is listed; referrers may be removed in the same call. A file that contains
    nothing else, as that of a hook, is deleted.
    """
    if len(names) % 2:
        raise click.UsageError("name each entry by its type and its key")
    repository = find_repository(reporter.settings.repo)
    result = remove_entries(repository, list(zip(names[::2], names[1::2], strict=True)), dry_run=dry_run)
    return print_write_result(reporter, result, diff=diff, dry_run=dry_run)
