"""`run-index failed-uniqueness`: runs with a FAIL of a uniqueness check."""

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
    "failed-uniqueness",
    cls=Command,
    examples=[
        ("run-index failed-uniqueness", "every run whose current record has a FAIL"),
        ("run-index failed-uniqueness --artist ART-heron --since 2026-01-01 --json", "those of an artist since a day"),
    ],
)
@lane_options
@span_options
@view_options
@scan_option
@format_options
@click.pass_obj
def command(reporter: Reporter, /, **options: Any) -> int:
    """List runs that failed a uniqueness check.

    Whether uniqueness_hook, uniqueness_scene or uniqueness_scripture is FAIL in the record; `check` tells which of them
    passed the gate without an override.
    """
    return list_records(reporter, options, failed=True)
