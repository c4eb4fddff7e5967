"""`run-index start`: a new run id, and a run log to fill in."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import machine_option
from registry_pipeline.cli.reporter import Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.registries.run_index.record import MAKERS
from registry_pipeline.registries.run_index.service import start_run


@click.command(
    "start",
    cls=Command,
    examples=[
        (
            "run-index start runlogs/night.md --artist ART-heron --genre GEN-ambient --machine C1",
            "mint a run id and write a run log to fill in",
        ),
    ],
)
@click.argument("run_log", metavar="RUNLOG", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--artist", required=True, metavar="ID", help="The artist of the lane.")
@click.option("--genre", required=True, metavar="ID", help="The genre of the lane.")
@click.option("--packet", metavar="ID", help="The scripture packet, where it is known.")
@click.option("--by", "maker", type=click.Choice(MAKERS), default="human", show_default=True, help="Who runs it.")
@machine_option
@click.pass_obj
def command(
    reporter: Reporter, run_log: Path, artist: str, genre: str, packet: str | None, maker: str, machine: str | None
) -> int:
    """Begin a run: mint its id and write its run log.

    The run log is Markdown that begins with the fields of the record; people and programs fill them in while the run
    goes on, and `run-index finish` appends the final record from it. The run index itself is not touched yet. A file
    that is there is never written over (exit 5).
    """
    if machine is None:
        raise click.UsageError("say on which machine this runs: --machine C1, C2 or other")
    repository = find_repository(reporter.settings.repo)
    now = reporter.settings.now
    fields = {
        "created_utc": utc_text(now),
        "created_by": maker,
        "machine_id": machine,
        "artist_id": artist,
        "genre_id": genre,
    } | ({} if packet is None else {"scripture_packet_id": packet})
    run_id = start_run(repository, run_log, fields, now=now, choose=secrets.choice)
    document = {"run_id": run_id, "run_log": str(run_log.absolute()), "changed_files": [str(run_log)]}
    reporter.answer(document, (), lambda page: page.line(f"{run_id}  {run_log}"))
    reporter.note(f"next: fill in {run_log}, then registry-pipeline run-index finish {run_log}")
    return 0
