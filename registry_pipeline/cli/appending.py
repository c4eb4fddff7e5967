"""What the verbs that append to a log have in common: where the records come from, and how the outcome is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.records import counted, counts_of, verdict_of
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.errors import NotFoundError
from registry_pipeline.run_index.append import Appended

_MOST: Final = 1 << 30
_SHOWN: Final = 20


def read_batch(source: Path | None, record: str | None) -> tuple[bytes, str]:
    """Return the text of a batch, and how findings name it.

    Raises:
        NotFoundError: the file cannot be read.
    """
    if (source is None) == (record is None):
        raise click.UsageError("name a FILE of JSON lines, or - for standard input, or say --record JSON")
    if record is not None:
        return record.encode("utf-8", "surrogateescape"), "--record"
    if str(source) == "-":
        return sys.stdin.buffer.read(_MOST), "standard input"
    try:
        return Path(str(source)).read_bytes(), str(source)
    except OSError as error:
        raise NotFoundError(f"{source} cannot be read: {error.strerror}", "name a file of JSON lines") from None


def tell_appended(reporter: Reporter, done: Appended, shown: str) -> int:
    """Print what an append did; return its exit code."""
    counts = {"added": len(done.added), "already_there": len(done.repeated)} | counts_of(done.findings)
    document = {
        "verdict": verdict_of(done.findings),
        "findings": [each.to_json() for each in done.findings],
        "counts": counts,
        "changed_files": list(done.changed_files),
        "records": [dict(record) for record in done.added],
    }
    reporter.answer(document, done.findings, lambda page: _tell(page, done, shown))
    return int(ExitCode.REFUSED if done.refused else ExitCode.FINE)


def _tell(page: Page, done: Appended, shown: str) -> None:
    page.findings(done.findings)
    if done.refused:
        page.line(f"refused: nothing was appended to {shown}", style="bold red")
        return
    for record in done.added[:_SHOWN]:
        told = record.get("run_id") if record["record_type"] == "RUN" else record["override_id"]
        page.line(f"appended  {told}")
    if len(done.added) > _SHOWN:
        page.line(f"and {len(done.added) - _SHOWN} more")
    already = f", {len(done.repeated)} there already" if done.repeated else ""
    page.line(f"{counted(len(done.added), 'record')} appended to {shown}{already}", style="bold green")
