"""`activate`: put one sealed run in force, with a reason."""

from __future__ import annotations

from typing import Any

import click

from registry_pipeline.cli.actor import find_actor
from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.group import Verb
from registry_pipeline.cli.naming import find_named
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import Governed, find_governed
from registry_pipeline.errors import RefusedError
from registry_pipeline.model.finding import Finding
from registry_pipeline.model.verdict import Activation, Refusal, SealedRun
from registry_pipeline.runbook import activate, pointer_hash, render, start_build_run
from registry_pipeline.runbook.proposal import propose


@click.command(
    "activate",
    cls=Verb,
    examples=[
        ("activate run_registry latest --reason 'reviewed'", "the newest run of that registry"),
        ("activate drift_signals 2026-03-01__120000__drift_signals_build --reason 'reviewed'", "a run by its id"),
    ],
)
@click.argument("registry_id", metavar="REGISTRY")
@click.argument("word", metavar="RUN")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the activation record.")
@click.option("--actor", metavar="NAME", help="Who, for the activation record; default: as git knows you.")
@click.option(
    "--allow-mixed", is_flag=True, help="Move even if active registries then rest on runs that are not active."
)
@click.pass_obj
def command(reporter: Reporter, registry_id: str, word: str, reason: str, actor: str | None, allow_mixed: bool) -> int:
    """Put RUN in force for REGISTRY.

    It is verified anew, the pointer moves, and a sealed record says who did it and why. RUN is `latest`, a run id
    or its beginning, or the beginning of a ROOT_SHA256. Refused (exit 5) are a run that does not verify, one older
    than the active run, and one that would leave a mixed set; then nothing changes. Where the pointer moved, the
    health report is rendered anew.
    """
    if not reason.strip():
        raise click.UsageError("--reason needs a text")
    governed = find_governed(reporter.settings.repo)
    proposed = propose(governed, registry_id, find_named(governed, word, registry_id))
    if isinstance(proposed, Refusal):
        return _answer(reporter, governed, proposed, None, ())
    run = start_build_run(governed, reporter.settings.now)
    who = find_actor(actor, governed.root)
    done = activate(governed, run, [proposed], actor=who, reason=reason, allow_mixed=allow_mixed)
    report: SealedRun | None = None
    if isinstance(done, Activation):
        try:
            report = render(governed, run)
        except RefusedError as error:
            reporter.note(f"no report: {error.message}")
    against = proposed[1].findings if isinstance(done, Refusal) else ()
    return _answer(reporter, governed, done, report, against)


def _answer(
    reporter: Reporter,
    governed: Governed,
    done: Activation | Refusal | None,
    report: SealedRun | None,
    against: tuple[Finding, ...],
) -> int:
    findings = (*(done.findings if done is not None else ()), *against)
    moved = done if isinstance(done, Activation) else None
    document: dict[str, Any] = {
        "action": "activate",
        "moves": [] if moved is None else [move.to_json() for move in moved.moves],
        "activation_run_id": None if moved is None else moved.record.run_id,
        "pointer_sha256": pointer_hash(governed) if moved is None else moved.pointer_sha256,
        "report_run_id": None if report is None else report.ref.run_id,
        "findings": [finding.to_json() for finding in findings],
    }
    reporter.answer(document, findings, lambda page: _tell(page, done, findings))
    return ExitCode.REFUSED if isinstance(done, Refusal) else ExitCode.FINE


def _tell(page: Page, done: Activation | Refusal | None, findings: tuple[Finding, ...]) -> None:
    if done is None:
        page.line("it is active already; nothing moved")
    elif isinstance(done, Refusal):
        page.line("refused: no pointer moved", style="bold red")
    else:
        for move in done.moves:
            before = "nothing" if move.from_ref is None else move.from_ref.run_id
            page.line(f"{move.registry_id}: {before} -> {'nothing' if move.to_ref is None else move.to_ref.run_id}")
        page.line(f"recorded in {done.record.run_id}")
    page.findings(findings)
