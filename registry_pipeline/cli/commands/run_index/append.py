"""`run-index append`: records from a file or standard input, all of them or none."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import machine_option, print_appended, read_batch
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.append import Appended, parse_batch
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.service import append_batch


@click.command(
    "append",
    cls=Command,
    examples=[
        ("run-index append 60-REGISTRY/data/run-index.jsonl", "a file of JSON lines; what is there already stays once"),
    ],
)
@click.argument("source", metavar="[FILE|-]", type=click.Path(allow_dash=True, path_type=Path), required=False)
@click.option("--record", metavar="JSON", help="The record itself.")
@machine_option
@click.pass_obj
def command(reporter: Reporter, source: Path | None, record: str | None, machine: str | None) -> int:
    """Append records to the run index.

    JSON lines, from a file, from standard input (-), or one record as --record. They are validated, held against the
    rules and against what the index has of their runs; any error refuses all of them (exit 5) and changes nothing. A
    record that stands in the index already is not written again. What a crash left at the end of the log is set aside
    in a file beside it and told.
    """
    repository = find_repository(reporter.settings.repo)
    data, shown = read_batch(source, record)
    records, findings = parse_batch(run_index_log(repository), data, shown)
    done = Appended(findings=findings, refused=True)
    if len(records) and not any(each.severity == "error" for each in findings):
        done = append_batch(repository, records, machine_id=machine, now=reporter.settings.now)
    return print_appended(reporter, done, run_index_log(repository).shown)
