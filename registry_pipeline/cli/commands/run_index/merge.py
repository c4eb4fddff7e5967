"""`run-index merge`: two machines' logs in one."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import print_merged
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.store import merge_files

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "merge",
    cls=Command,
    examples=[
        (
            "run-index merge 60-REGISTRY/data/run-index.jsonl 60-REGISTRY/data/run-index.jsonl -o merged.jsonl",
            "the merge of a log with itself is the log",
        ),
    ],
)
@click.argument("one", metavar="A", type=_FILE)
@click.argument("two", metavar="B", type=_FILE)
@click.option("-o", "--output", metavar="C", type=_FILE, required=True, help="Where the merge goes; A or B will do.")
@click.pass_obj
def command(reporter: Reporter, one: Path, two: Path, output: Path) -> int:
    """Merge the run indexes of two machines.

    Every line of both, once, so that the order of each is kept and the fields decide the rest: it does not matter which
    is named first, and a second merge changes nothing. Two runs under one id, or a line that is no record, are errors
    (exit 3). A file C that is there is replaced only where all of its lines are in the merge (else exit 5).
    """
    log = run_index_log(find_repository(reporter.settings.repo))
    return print_merged(reporter, merge_files(log, one, two, output), output)
