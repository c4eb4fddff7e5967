"""`show`: one run folder, its seal, what it was built from, and who put it in force."""

from __future__ import annotations

from typing import Final

import click

from registry_pipeline.canonical import short
from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.cli.run_argument import find_named, repository_of
from registry_pipeline.pipeline.runs import RunDocument
from registry_pipeline.pipeline.status import read_run_document

_ENVELOPE: Final = (
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
        ("show latest --json", "the same with the whole of run.json"),
    ],
)
@click.argument("word", metavar="RUN|PATH")
@click.pass_obj
def command(reporter: Reporter, word: str) -> int:
    """Show one run and who put it in force.

    Its envelope, the state of its seal (verified now), its inputs and files, and the activations that name it. RUN
    is `latest`, a run id or its beginning, or the beginning of a ROOT_SHA256; a PATH is a folder anywhere. Exits 3
    if the run does not verify.
    """
    repository = repository_of(reporter, [word])
    told = read_run_document(repository, find_named(repository, word))
    reporter.answer(told.to_json(), told.verdict.findings, lambda page: _tell(page, told))
    return ExitCode.FINE if told.verdict.passed else ExitCode.EVIDENCE_INVALID


def _tell(page: Page, told: RunDocument) -> None:
    verdict, envelope = told.verdict, told.report.run_json or {}
    page.line(verdict.path, style="bold")
    page.line(f"  {'verdict':<19} {verdict.verdict}")
    page.line(f"  {'root':<19} {verdict.root_sha256 or 'not known'}")
    page.line(f"  {'registry':<19} {verdict.registry_id or '-'}")
    if told.active_for:
        page.line(f"  {'active for':<19} {', '.join(told.active_for)}")
    for key in _ENVELOPE:
        if envelope.get(key) is not None:
            page.line(f"  {key.replace('_', ' '):<19} {_value(envelope[key])}")
    for each in told.inputs.registries:
        page.line(f"  {each.role:<19} {each.ref.run_id} {short(each.ref.manifest_sha256)}")
    for file in told.inputs.files:
        page.line(f"  {'source':<19} {file.path} {short(file.sha256)}")
    for entry in told.activations:
        action = entry.record.action.replace("_", " ")
        page.line(f"  {action:<19} {entry.created_utc} by {entry.record.actor}: {entry.record.reason}")
    page.line()
    columns = [Column("file"), Column("bytes", right=True), Column("sha256")]
    if told.report.entries:
        page.table(columns, ([e.relpath, str(e.bytes), short(e.sha256)] for e in told.report.entries))
    page.findings(verdict.findings)


def _value(value: object) -> str:
    """Return a value of the envelope as people read it; the builder is its name and version."""
    if isinstance(value, dict):
        return " ".join(str(each) for each in value.values())
    return str(value)
