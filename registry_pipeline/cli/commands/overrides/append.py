"""`overrides append`: overrides and updates from a file or standard input, all of them or none."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import print_appended, read_batch
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.append import Appended, parse_batch
from registry_pipeline.registries.run_index.log_file import overrides_log
from registry_pipeline.registries.run_index.store import append_overrides


@click.command(
    "append",
    cls=Command,
    examples=[
        (
            "overrides append 60-REGISTRY/data/overrides-log.jsonl",
            "a file of JSON lines; what is there already stays once",
        ),
    ],
)
@click.argument("source", metavar="[FILE|-]", type=click.Path(allow_dash=True, path_type=Path), required=False)
@click.option("--record", metavar="JSON", help="The record itself.")
@click.pass_obj
def command(reporter: Reporter, source: Path | None, record: str | None) -> int:
    """Append overrides, or updates of them, to the overrides log.

    JSON lines, from a file, from standard input (-), or one record as --record. Any error refuses all of them (exit 5)
    and changes nothing. An update with status voided takes back what an override allowed: `run-index check` then tells
    its run again.
    """
    repository = find_repository(reporter.settings.repo)
    log = overrides_log(repository)
    records, findings = parse_batch(log, *read_batch(source, record))
    done = Appended(findings=findings, refused=True)
    if len(records) and not any(each.severity == "error" for each in findings):
        done = append_overrides(repository, records)
    return print_appended(reporter, done, log.shown)
