"""`run-index list`: the runs of a lane, in a span of days."""

from __future__ import annotations

from typing import Any

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.log_commands import (
    format_options,
    lane_options,
    list_records,
    scan_option,
    span_options,
    view_options,
)
from registry_pipeline.cli.reporter import Reporter


@click.command(
    "list",
    cls=Command,
    examples=[
        ("run-index list --artist ART-heron --genre GEN-ambient", "the runs of a lane, newest first"),
        ("run-index list --since 2026-01-05 --until 2026-01-11 --order-by run_id", "a week, both days included"),
        ("run-index list --view superseded -n 5 --json", "records that a later one replaced"),
        ("run-index list --format csv -n 20", "twenty of them for a spreadsheet"),
    ],
)
@lane_options
@span_options
@view_options
@scan_option
@format_options
@click.pass_obj
def command(reporter: Reporter, /, **options: Any) -> int:
    """List runs of the index.

    By lane (artist and genre) and by days, which are UTC and count whole; an instant is taken as it is. What a record
    states as created_utc decides. --format parquet writes text columns and lists, with -o into a file.
    """
    return list_records(reporter, options)
