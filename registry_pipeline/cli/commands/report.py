"""`report`: render the health report from the active runs, whenever it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.group import command
from registry_pipeline.cli.page_output import HTML, open_in_browser, page_options, refuse_contradiction
from registry_pipeline.cli.report_watch import watch_report
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.files.atomic_write import overwrite_file, refuse_missing_folder
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.page_folder import refuse_evidence, refuse_other_folder, write_pages
from registry_pipeline.pipeline.pages import INDEX, render_pages
from registry_pipeline.pipeline.rebuild import REPORT, make_report, read_report, render
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.system_health.build import REPORT as MARKDOWN
from registry_pipeline.registries.system_health.build import SUMMARY, describe_outdated_ages
from registry_pipeline.registries.system_health.page import PAGE
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId

# The file of the run folder that a file name asks for, and the one that a format prints.
_BY_SUFFIX: Final = {".html": PAGE, ".md": MARKDOWN, ".json": SUMMARY}
_BY_FORMAT: Final = {HTML: PAGE, "md": MARKDOWN}


@command(
    "report",
    ("report", "a new report, where it is, and a summary of it"),
    ("report --json", "the same as a document"),
    ("report --open", "also open its page in the browser"),
    ("report -o health.html", "also copy the page to a file"),
    ("report --format html", "print the page, for a pipe"),
    ("report --pages site", "seal nothing; write linked pages that CI can publish"),
)
@page_options(
    *_BY_FORMAT, output_help="Also copy the page (.html), the report (.md) or its summary (.json) to this file."
)
@click.option(
    "--pages",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a folder of unsealed pages instead: health, history, and each operation.",
)
@click.option("--watch", is_flag=True, help="Write -o FILE.html or --pages DIR, unsealed, after every change.")
@click.option(
    "--every",
    type=click.IntRange(1, 3600),
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks for a change.",
)
def report_command(
    reporter: Reporter,
    page_format: str | None,
    output: Path | None,
    open_page: bool,
    folder: Path | None,
    watch: bool,
    every: int,
) -> int:
    """Render the health report from the active runs.

    Seals a new run folder with a page for the browser, the report and its summary. No registry is built: the ages of
    operations are those of the active op_status_table. If a build would count other ages now, the output and the report
    say so. Refuses (exit 5) if no op_status_table or no drift_signals is active, and fails (exit 3) if one does not
    verify.

    `--format html` and `--format md` print the page or the report itself, unless -o writes a file.

    With `--pages` or `--watch` nothing is sealed. `--pages` writes index.html, history.html and a page for each
    operation to a folder, which is new, empty or one that it wrote before. `--watch` writes the file of -o or the
    folder of `--pages`, and again when a pointer or the name of a run folder changes, until Ctrl-C. While no report can
    be rendered, the page says why.
    """
    refuse_contradiction(reporter, page_format)
    if output is not None and output.suffix not in _BY_SUFFIX:
        raise click.UsageError(f"-o copies the page to .html, the report to .md, or its summary to .json: {output}")
    if folder is not None and (output is not None or page_format is not None):
        raise click.UsageError("--pages writes a folder, and nothing else: leave out -o and --format")
    if watch:
        return _watch(reporter, output, folder, every, open_page=open_page, page_format=page_format)
    if output is not None:
        refuse_missing_folder(output)
    repository, now = find_repository(reporter.settings.repo), reporter.settings.now
    if folder is not None:
        return _write_pages(reporter, repository, folder, open_page=open_page)
    sealed = render(repository, start_build_run(repository, now))
    # What is printed and copied is read back, verified.
    files = read_sealed_report(repository, catalog_of(repository).spec_of(REPORT), sealed.ref).kept
    if output is not None:
        name = _BY_SUFFIX[output.suffix]
        overwrite_file(output, verify_referenced_run(repository, sealed.ref, [name]).kept[name])
    document = {
        "run_id": sealed.ref.run_id,
        "run_root": sealed.ref.run_root,
        "root_sha256": sealed.ref.manifest_sha256,
        "page": f"{sealed.ref.path}/{PAGE}",
        "report": f"{sealed.ref.path}/{MARKDOWN}",
        "summary": f"{sealed.ref.path}/{SUMMARY}",
        "output": None if output is None else str(output),
        "pages": None,
        **_describe_summary(json.loads(files[SUMMARY]), now),
    }
    if page_format is not None and output is None:
        name = _BY_FORMAT[page_format]
        reporter.print_bytes(verify_referenced_run(repository, sealed.ref, [name]).kept[name])
    else:
        reporter.print_result(document, (), lambda page: _print_report(page, document))
    if open_page:
        open_in_browser(reporter, repository.path(document["page"]))
    return 0


def _write_pages(reporter: Reporter, repository: Repository, folder: Path, *, open_page: bool) -> int:
    refuse_other_folder(repository, folder)
    run = start_build_run(repository, reporter.settings.now)
    sources = read_report(repository, run)
    pages = render_pages(repository, sources)
    write_pages(folder, pages)
    summary = json.loads(make_report(repository, run, sources).artifacts.files[SUMMARY])
    document = {
        **dict.fromkeys(("run_id", "run_root", "root_sha256", "report", "summary", "output")),
        "page": str(folder / INDEX),
        "pages": {"folder": str(folder), "files": len(pages)},
        **_describe_summary(summary, reporter.settings.now),
    }
    reporter.print_result(document, (), lambda page: _print_report(page, document))
    if open_page:
        open_in_browser(reporter, folder / INDEX)
    return 0


def _watch(
    reporter: Reporter,
    output: Path | None,
    folder: Path | None,
    every: int,
    *,
    open_page: bool,
    page_format: str | None,
) -> int:
    if (output is None and folder is None) or (output is not None and output.suffix != ".html"):
        raise click.UsageError("--watch writes -o FILE.html or --pages DIR")
    if reporter.settings.format != "text" or page_format is not None:
        raise click.UsageError("--watch prints a line of text for each change, and has no other format")
    repository = find_repository(reporter.settings.repo)
    if folder is not None:
        refuse_other_folder(repository, folder)
    elif output is not None:
        refuse_missing_folder(output)
        refuse_evidence(repository, output)
    return watch_report(reporter, folder, output, every, open_page=open_page)


def _describe_summary(summary: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the part of the document that is in the summary."""
    return {
        "generated_utc": summary["generated_utc"],
        "health_state": summary["health_state"],
        "health_conditions": summary["health_conditions"],
        "counts": summary["counts"],
        "system_drift": summary["system_drift"],
        "inputs": [_describe_input(name, ref, now) for name, ref in summary["input_sources"].items()],
        "outdated_ages": summary.get("outdated_ages", []),
    }


def _describe_input(registry_id: str, ref: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    # The name of a run has the time of its build; older tools may have used other names.
    run_id = RunId.parse(ref["run_id"])
    built = None if run_id is None else run_id.stamp
    return {
        "registry_id": registry_id,
        "run_id": ref["run_id"],
        "manifest_sha256": ref["manifest_sha256"],
        "built_utc": None if built is None else utc_text(built),
        "age_days": None if built is None else (now - built).days,
    }


def _print_report(page: Page, document: Mapping[str, Any]) -> None:
    counts, inputs = document["counts"], document["inputs"]
    page.line(document["health_state"], style="bold")
    for condition in document["health_conditions"]:
        page.line(f"  {condition['reason']}")
    page.line(
        f"operations  {counts['total_ops']}: {counts['observed']} observed, {counts['stale']} stale, "
        f"{counts['drifting']} drifting, {counts['unobserved']} unobserved, {counts['coverage_below_c3']} below C3"
    )
    for number, row in enumerate(inputs):
        built = "" if row["built_utc"] is None else f", built {row['built_utc']} ({plural(row['age_days'], 'day')} ago)"
        page.line(f"{'active      ' if number == 0 else ' ' * 12}{row['registry_id']}: {row['run_id']}{built}")
    if document["pages"] is None:
        page.line(f"rendered    {document['page']}")
    else:
        page.line(f"written     {document['page']} and {plural(document['pages']['files'] - 1, 'other page')}")
    if document["output"] is not None:
        page.line(f"written     {document['output']}")
    if document["outdated_ages"]:
        table = next((row["run_id"] for row in inputs if row["registry_id"] == "op_status_table"), None)
        text = describe_outdated_ages(len(document["outdated_ages"]), table)
        page.line(f"outdated    {text}", style="yellow")
