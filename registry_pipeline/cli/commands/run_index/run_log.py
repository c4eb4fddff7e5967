"""`run-index start` and `run-index finish`: a run from its new id to its final record."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import machine_option, print_append_result
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.log_file import run_index_log
from registry_pipeline.registries.run_index.record import MAKERS, RUN
from registry_pipeline.registries.run_index.service import finish_run, start_run

_FIELDS = tuple(name for name in RUN.fields if name not in ("record_type", "run_id", "corrects"))
_RUN_LOG = click.argument("run_log", metavar="RUNLOG", type=click.Path(dir_okay=False, path_type=Path))


@click.command(
    "start",
    cls=Command,
    examples=[
        (
            "run-index start runlogs/night.md --artist ART-heron --genre GEN-ambient --machine C1",
            "create a run id and write a run log to fill in",
        ),
    ],
)
@_RUN_LOG
@click.option("--artist", required=True, metavar="ID", help="The artist of the lane.")
@click.option("--genre", required=True, metavar="ID", help="The genre of the lane.")
@click.option("--packet", metavar="ID", help="The scripture packet, if it is known.")
@click.option("--by", "maker", type=click.Choice(MAKERS), default="human", show_default=True, help="Who runs it.")
@machine_option
@click.pass_obj
def start(
    reporter: Reporter, run_log: Path, artist: str, genre: str, packet: str | None, maker: str, machine: str | None
) -> int:
    """Begin a run: create its id and write its run log.

    The run log is Markdown that starts with the fields of the record. People and programs fill them in while the run
    is in progress, and `run-index finish` appends the final record from it. The run index itself is not changed yet. An
    existing file is never overwritten (exit 5).
    """
    if machine is None:
        raise click.UsageError("name the machine on which this runs: --machine C1, C2 or other")
    now = reporter.settings.now
    fields = {
        "created_utc": utc_text(now),
        "created_by": maker,
        "machine_id": machine,
        "artist_id": artist,
        "genre_id": genre,
    }
    if packet is not None:
        fields["scripture_packet_id"] = packet
    repository = find_repository(reporter.settings.repo)
    run_id = start_run(repository, run_log, fields, now=now, choose=secrets.choice)
    document = {"run_id": run_id, "run_log": str(run_log.absolute()), "changed_files": [str(run_log)]}
    reporter.print_result(document, (), lambda page: page.line(f"{run_id}  {run_log}"))
    reporter.note(f"next: fill in {run_log}, then registry-pipeline run-index finish {run_log}")
    return 0


@click.command(
    "finish",
    cls=Command,
    examples=[
        (
            "run-index finish docs/runlogs/RUN-20260105-0900-AAAA.md --corrects run_log_filepath_abs",
            "append the final record from a run log that was moved",
        ),
    ],
)
@_RUN_LOG
@click.option(
    "--corrects",
    multiple=True,
    type=click.Choice(_FIELDS),
    metavar="FIELD",
    help="A field that differs from the previous record; may be given several times.",
)
@machine_option
@click.pass_obj
def finish(reporter: Reporter, run_log: Path, corrects: tuple[str, ...], machine: str | None) -> int:
    """End a run: append its final record from its run log.

    The fields between the two `---` lines of the run log become the record; run_log_filepath_abs is the path of the
    file. If the index has the run already, the record adds to it, with last_updated_utc; --corrects must name what it
    changes. A run log that says nothing new changes nothing. Exits 5 if the record is refused.
    """
    repository = find_repository(reporter.settings.repo)
    result = finish_run(repository, run_log, corrects=corrects, machine_id=machine, now=reporter.settings.now)
    return print_append_result(reporter, result, run_index_log(repository).display_path)


COMMANDS = {"run-index start": start, "run-index finish": finish}
