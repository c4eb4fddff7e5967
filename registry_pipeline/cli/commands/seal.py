"""`seal`: seal run folders that other programs wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter, draw_progress
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import count_findings, plural
from registry_pipeline.pipeline.unsealed_runs import SealRequest, SealResult, find_folders, seal_runs


@command(
    "seal",
    ("seal .codex/RUNS/2026-02-05__050000__op-d01", "show whether this folder can be sealed, and its root hash"),
    ("seal --write .codex/RUNS/2026-02-05__050000__op-d01", "seal it"),
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--write/--dry-run", help="Write the seal files; default: show what would be sealed, and write nothing.")
def seal_command(reporter: Reporter, paths: tuple[Path, ...], write: bool) -> int:
    """Seal run folders that other programs wrote.

    Adds manifest.json and MANIFEST.sha256 to each folder and changes nothing else in it; `verify` then passes. Without
    --write nothing is written. A PATH is a folder directly under a run root, or a run root: all of its folders without
    a complete seal.

    A folder needs a run.json with `run_id`, its own name, and `created_utc`. Refused is a folder with a link, an empty
    directory, an unreadable file or a file that changes meanwhile, one that has a seal file, and a run of a registry,
    which only `build` seals. A folder that a killed `seal` left with manifest.json alone is finished. Each folder is
    sealed completely or not at all. Exits 5 if a folder is refused, 1 if the disk refused one; the others are sealed.
    """
    repository = find_repository(reporter.settings.repo)
    request = find_folders(repository, paths)
    total = len(request.folders)
    with draw_progress(reporter, "sealing" if write else "reading", total) as progress:
        results = seal_runs(repository, request.folders, write=write, on_done=progress.set_done)
    findings = tuple(finding for result in results for finding in result.findings)
    states = Counter(result.state for result in results)
    document = {
        "dry_run": not write,
        "results": [result.to_json() for result in results],
        "counts": {
            **{state: states[state] for state in ("sealable", "sealed", "refused")},
            "already_sealed": request.already_sealed,
            **count_findings(findings),
        },
    }
    next_command = reporter.settings.format_command("seal", "--write", *map(str, paths))
    reporter.print_result(document, findings, lambda page: _print_results(page, request, results, next_command))
    codes = {finding.code for finding in findings}
    return combine_exit_codes(
        [ExitCode.REFUSED * bool(states["refused"]), ExitCode.UNEXPECTED * ("SEAL_NOT_WRITTEN" in codes)]
    )


def _print_results(page: Page, request: SealRequest, results: Sequence[SealResult], next_command: str) -> None:
    accepted = [result for result in results if result.state != "refused"]
    if accepted:
        columns = [Column("state"), Column("files", right=True), Column("bytes", right=True), Column("root")]
        page.table([*columns, Column("folder", below=True)], map(_format_row, accepted))
    page.findings(finding for result in results for finding in result.findings)
    states = Counter(result.state for result in results)
    parts = [
        *([f"{plural(states['sealable'], 'folder')} can be sealed"] if states["sealable"] else []),
        *([f"{plural(states['sealed'], 'folder')} sealed"] if states["sealed"] else []),
        *([f"{plural(states['refused'], 'folder')} refused"] if states["refused"] else []),
        *(
            [f"{plural(request.already_sealed, 'folder')} with both seal files already"]
            if request.already_sealed
            else []
        ),
        *([] if states["sealed"] else ["nothing was written"]),
    ]
    page.line("; ".join(parts), style="bold")
    if states["sealable"]:
        page.line(f"next: {next_command}")
    elif states["sealed"]:
        page.line(f"next: {page.settings.format_command('build')}")


def _format_row(result: SealResult) -> list[str]:
    state = f"{result.state} (finishes an interrupted seal)" if result.finished else result.state
    return [state, str(result.files), str(result.bytes), short(result.root_sha256 or ""), result.path]
