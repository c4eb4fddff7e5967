"""`run-index finish`: the final record of a run, from its run log."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import machine_option, print_appended
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.record import RUN
from registry_pipeline.registries.run_index.service import finish_run

_FIELDS = tuple(name for name in RUN.fields if name not in ("record_type", "run_id", "corrects"))


@click.command(
    "finish",
    cls=Command,
    examples=[
        (
            "run-index finish docs/runlogs/RUN-20260105-0900-AAAA.md --corrects run_log_filepath_abs",
            "append the final record that a run log states, which lies elsewhere now",
        ),
    ],
)
@click.argument("run_log", metavar="RUNLOG", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--corrects",
    multiple=True,
    type=click.Choice(_FIELDS),
    metavar="FIELD",
    help="A field that this changes against the record before; may be given several times.",
)
@machine_option
@click.pass_obj
def command(reporter: Reporter, run_log: Path, corrects: tuple[str, ...], machine: str | None) -> int:
    """End a run: append its final record from its run log.

    The fields between the two `---` lines of the run log become the record, run_log_filepath_abs is where the file
    lies. If the index has the run already, the record adds to it, with last_updated_utc; what it changes has to be
    named by --corrects. A run log that says nothing new changes nothing. Exits 5 where the record is refused.
    """
    repository = find_repository(reporter.settings.repo)
    done = finish_run(repository, run_log, corrects=corrects, machine_id=machine, now=reporter.settings.now)
    return print_appended(reporter, done, run_index_log(repository).shown)
