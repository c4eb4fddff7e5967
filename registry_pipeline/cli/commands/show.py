"""`show`: show one run folder, its seal, its inputs, and who activated it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.cli.run_argument import find_named_run, find_repository_for
from registry_pipeline.pipeline.runs import RunDocument
from registry_pipeline.pipeline.status import read_run_document

_ENVELOPE_KEYS: Final = (
    "created_utc",
    "as_of_utc",
    "operation_id",
    "git_commit",
    "working_tree_state",
    "builder",
    "dagster_run_id",
)


@click.command(
    "show",
    cls=Command,
    examples=[
        ("show latest", "the newest run"),
        ("show latest --json", "the same with all of run.json"),
    ],
)
@click.argument("word", metavar="RUN|PATH")
@click.pass_obj
def command(reporter: Reporter, word: str) -> int:
    """Show one run and who activated it.

    Shows its envelope, the state of its seal (verified now), its inputs and files, and the activations that name it.
    RUN is `latest`, a run id or its beginning, or the beginning of a ROOT_SHA256; a PATH is a folder anywhere. Exits
    3 if the run does not verify.
    """
    repository = find_repository_for(reporter, [word])
    run = read_run_document(repository, find_named_run(repository, word))
    reporter.print_result(run.to_json(), run.verdict.findings, lambda page: _print_run(page, run))
    return ExitCode.FINE if run.verdict.passed else ExitCode.INVALID_EVIDENCE


def _print_run(page: Page, run: RunDocument) -> None:
    page.line(run.verdict.path, style="bold")
    for label, value in _facts(run):
        page.line(f"  {label:<19} {value}")
    page.line()
    columns = [Column("file"), Column("bytes", right=True), Column("sha256")]
    if run.report.entries:
        page.table(columns, ([e.relpath, str(e.bytes), short(e.sha256)] for e in run.report.entries))
    page.findings(run.verdict.findings)


def _facts(run: RunDocument) -> Iterator[tuple[str, str]]:
    verdict, envelope = run.verdict, run.report.run_json or {}
    yield "verdict", verdict.verdict
    yield "root", verdict.root_sha256 or "not known"
    yield "registry", verdict.registry_id or "-"
    if run.active_for:
        yield "active for", ", ".join(run.active_for)
    for key in _ENVELOPE_KEYS:
        value = envelope.get(key)
        if value is not None:
            # The builder is an object: its name and version.
            yield key.replace("_", " "), " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
    for registry in run.inputs.registries:
        yield registry.role, f"{registry.ref.run_id} {short(registry.ref.manifest_sha256)}"
    for file in run.inputs.files:
        yield "source", f"{file.path} {short(file.sha256)}"
    for entry in run.activations:
        action = entry.record.action.replace("_", " ")
        yield action, f"{entry.created_utc} by {entry.record.actor}: {entry.record.reason}"
