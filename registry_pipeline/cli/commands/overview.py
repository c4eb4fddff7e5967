"""`overview`: show the health of several repositories, as a table or on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.cli.exit_codes import exit_code_of
from registry_pipeline.cli.group import command
from registry_pipeline.cli.page_output import (
    HTML,
    make_temporary_file,
    open_in_browser,
    page_options,
    refuse_contradiction,
)
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.files.atomic_write import overwrite_file, refuse_missing_folder
from registry_pipeline.pipeline.overview import RepositoryRow, read_overview
from registry_pipeline.pipeline.overview_page import (
    COLUMNS,
    describe_health,
    find_next_step,
    list_cells,
    list_reasons,
    order_by_severity,
    render_overview_markdown,
    render_overview_page,
)
from registry_pipeline.pipeline.page_folder import refuse_evidence

_Render = Callable[[Sequence[RepositoryRow], datetime, Path | None], bytes]
_BY_SUFFIX: Final[Mapping[str, _Render]] = {
    ".html": render_overview_page,
    ".md": lambda rows, now, _folder: render_overview_markdown(rows, now),
    ".json": lambda rows, now, _folder: json_document(_make_document(rows, now)),
}
_NUMBERS: Final = ("stale", "drifting")


@command(
    "overview",
    ("overview . ../other", "a row for each repository, the worst first"),
    ("overview . ../other -o health.html", "also one page for the browser, which links to theirs"),
    ("overview . ../other --json", "the same as a document"),
)
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@page_options(HTML, "md", output_help="Also write a page (.html), a report (.md) or the document (.json) to this file.")
def overview_command(
    reporter: Reporter, folders: tuple[Path, ...], page_format: str | None, output: Path | None, open_page: bool
) -> int:
    """Show the health of several repositories on one page.

    Each repository has a row: its health state, since when its runs are active and by whom, stale and drifting
    operations, findings, the newest run folder and the head of the chain. As `status` does, it verifies the active runs
    and the chain of each. Writes nothing into them.

    A repository that cannot be read has a row that says why, and the command exits 7; an error in the evidence of any
    of them exits 3, which counts more.

    `--format html` and `--format md` print a page or a report, unless -o writes a file. Neither is sealed.
    """
    refuse_contradiction(reporter, page_format)
    if reporter.settings.repo is not None:
        raise click.UsageError("overview names every repository as DIR: leave out -C")
    if output is not None and output.suffix not in _BY_SUFFIX:
        raise click.UsageError(f"-o writes a page to .html, a report to .md, or the document to .json: {output}")
    if output is not None:
        refuse_missing_folder(output)
    now = reporter.settings.now
    rows = read_overview(folders, now)
    findings = [finding for row in rows for finding in row.findings]
    if output is not None:
        for repository in (row.repository for row in rows if row.repository is not None):
            refuse_evidence(repository, output)
        overwrite_file(output, _BY_SUFFIX[output.suffix](rows, now, output.parent))
    if page_format is not None and output is None:
        reporter.print_bytes(_BY_SUFFIX[f".{page_format}"](rows, now, None))
    else:
        document = {**_make_document(rows, now), "output": None if output is None else str(output)}
        checked = {str(row.root): "" for row in rows}
        reporter.print_result(document, findings, lambda page: _print_overview(page, rows, output), checked=checked)
    if open_page:
        page = output if output is not None and output.suffix == ".html" else make_temporary_file("overview.html")
        if page != output:
            overwrite_file(page, render_overview_page(rows, now, None))
        open_in_browser(reporter, page)
    return exit_code_of(findings)


def _make_document(rows: Sequence[RepositoryRow], now: datetime) -> dict[str, Any]:
    return {
        "schema_version": "0.1",
        "generated_utc": utc_text(now),
        "repositories": [row.to_json() for row in rows],
        "findings": [finding.to_json() for row in rows for finding in row.findings],
    }


def _print_overview(page: Page, rows: Sequence[RepositoryRow], output: Path | None) -> None:
    ordered = order_by_severity(rows)
    page.line(describe_health(rows), style="bold")
    page.table([Column(title, right=title in _NUMBERS) for title in COLUMNS], map(list_cells, ordered))
    for row in ordered:
        reasons = list_reasons(row)
        if reasons:
            page.line(f"  {row.name}: {'; '.join(reasons)} -> {find_next_step(row)}")
    if output is not None:
        page.line(f"written  {output}")
