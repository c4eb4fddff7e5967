"""`report`: render the health report from the active runs, whenever it is asked for."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.files.atomic_write import overwrite_file, refuse_missing_folder
from registry_pipeline.findings.finding import plural
from registry_pipeline.pipeline.rebuild import REPORT, render
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.system_health.build import REPORT as MARKDOWN
from registry_pipeline.registries.system_health.build import SUMMARY, describe_outdated_ages
from registry_pipeline.registries.system_health.page import PAGE
from registry_pipeline.runs.pointer_file import verify_referenced_run
from registry_pipeline.runs.reference import RunId

# The file of the run folder that a file name asks for.
_BY_SUFFIX: Final = {".html": PAGE, ".md": MARKDOWN, ".json": SUMMARY}


@command(
    "report",
    ("report", "a new report, where it is, and a summary of it"),
    ("report --json", "the same as a document"),
    ("report --open", "also open its page in the browser"),
    ("report -o health.html", "also copy the page to a file"),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also copy the page (.html), the report (.md) or its summary (.json) to this file.",
)
@click.option("--open", "open_page", is_flag=True, help="Also open the page in the browser.")
def report_command(reporter: Reporter, output: Path | None, open_page: bool) -> int:
    """Render the health report from the active runs.

    Every call seals a new run folder with a page for the browser, the report and its summary. No registry is built: the
    ages of operations are those of the active op_status_table. If a build would count other ages now, the output and
    the report say so. Refuses (exit 5) if no op_status_table or no drift_signals is active, and fails (exit 3) if one
    does not verify.
    """
    if output is not None and output.suffix not in _BY_SUFFIX:
        raise click.UsageError(f"-o copies the page to .html, the report to .md, or its summary to .json: {output}")
    if output is not None:
        refuse_missing_folder(output)
    repository, now = find_repository(reporter.settings.repo), reporter.settings.now
    sealed = render(repository, start_build_run(repository, now))
    # What is printed and copied is read back, verified.
    files = read_sealed_report(repository, catalog_of(repository).spec_of(REPORT), sealed.ref).kept
    if output is not None:
        name = _BY_SUFFIX[output.suffix]
        overwrite_file(output, verify_referenced_run(repository, sealed.ref, [name]).kept[name])
    summary = json.loads(files[SUMMARY])
    document = {
        "run_id": sealed.ref.run_id,
        "run_root": sealed.ref.run_root,
        "root_sha256": sealed.ref.manifest_sha256,
        "page": f"{sealed.ref.path}/{PAGE}",
        "report": f"{sealed.ref.path}/{MARKDOWN}",
        "summary": f"{sealed.ref.path}/{SUMMARY}",
        "output": None if output is None else str(output),
        "generated_utc": summary["generated_utc"],
        "health_state": summary["health_state"],
        "health_conditions": summary["health_conditions"],
        "counts": summary["counts"],
        "system_drift": summary["system_drift"],
        "inputs": [_describe_input(name, ref, now) for name, ref in summary["input_sources"].items()],
        "outdated_ages": summary.get("outdated_ages", []),
    }
    reporter.print_result(document, (), lambda page: _print_report(page, document))
    if open_page and not webbrowser.open(repository.path(document["page"]).as_uri()):
        reporter.note(f"no browser could be started: open {document['page']}")
    return 0


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
    page.line(f"rendered    {document['page']}")
    if document["output"] is not None:
        page.line(f"written     {document['output']}")
    if document["outdated_ages"]:
        table = next((row["run_id"] for row in inputs if row["registry_id"] == "op_status_table"), None)
        text = describe_outdated_ages(len(document["outdated_ages"]), table)
        page.line(f"outdated    {text}", style="yellow")
