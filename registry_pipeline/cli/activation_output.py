"""How `activate`, `rollback` and `mark-bad` end: render the report, print what moved, choose the exit code."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import Repository
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.git.repository import read_identity
from registry_pipeline.pipeline.render import is_report_missing, render_after_change
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.runs.pointer_file import pointer_hash
from registry_pipeline.runs.sealed_run import Activation, Refusal

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def reason_options(command: _Decorated) -> _Decorated:
    """Add `--reason` and `--actor` to a verb that changes the pointers."""
    reason = click.option(
        "--reason", required=True, metavar="TEXT", callback=_not_blank, help="Why, for the activation record."
    )
    actor = click.option("--actor", metavar="NAME", help="Who, for the activation record; default: as git knows you.")
    return reason(actor(command))


def _not_blank(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.UsageError("--reason needs a text")
    return value


def print_change(
    reporter: Reporter,
    repository: Repository,
    run: BuildRun | None,
    done: Activation | Refusal | None,
    *,
    action: str,
    nothing: str,
    told: Iterable[Finding] = (),
) -> int:
    """Render the report where a pointer changed, answer, and return the exit code.

    `nothing` is the sentence for a change that was not needed, `told` are findings beside those of the change.
    """
    changed = isinstance(done, Activation) and run is not None
    report, missing = render_after_change(repository, run) if changed and run is not None else (None, ())
    findings = tuple(dict.fromkeys((*(done.findings if done is not None else ()), *told, *missing)))
    moved = done if isinstance(done, Activation) else None
    document: dict[str, Any] = {
        "action": action,
        "moves": [] if moved is None else [move.to_json() for move in moved.moves],
        "activation_run_id": None if moved is None else moved.record.run_id,
        "pointer_sha256": pointer_hash(repository) if moved is None else moved.pointer_sha256,
        "report_run_id": None if report is None else report.ref.run_id,
        "findings": [finding.to_json() for finding in findings],
    }
    reporter.answer(document, findings, lambda page: _tell(page, done, findings, nothing))
    if isinstance(done, Refusal):
        return refusal_code(done)
    return ExitCode.REPORT_NOT_RENDERED if is_report_missing(findings) else ExitCode.FINE


def refusal_code(refusal: Refusal) -> ExitCode:
    """Return 3 where the pointer file or the chain is invalid, 5 where a gate refused the runs."""
    invalid = any(f.severity is Severity.ERROR and f.code.startswith(("POINTER_", "CHAIN_")) for f in refusal.findings)
    return ExitCode.EVIDENCE_INVALID if invalid else ExitCode.REFUSED


def _tell(page: Page, done: Activation | Refusal | None, findings: tuple[Finding, ...], nothing: str) -> None:
    if done is None:
        page.line(f"{nothing}; nothing moved")
    elif isinstance(done, Refusal):
        page.line("refused: no pointer moved", style="bold red")
    else:
        for move in done.moves:
            before = "nothing" if move.from_ref is None else move.from_ref.run_id
            page.line(f"{move.registry_id}: {before} -> {'nothing' if move.to_ref is None else move.to_ref.run_id}")
        page.line(f"recorded in {done.record.run_id}")
    page.findings(findings)


ACTOR_VARIABLE: Final = "REGISTRY_PIPELINE_ACTOR"


def find_actor(told: str | None, root: Path, environ: Mapping[str, str] | None = None) -> str:
    """Return who acts: what was told, else the environment's, else git's `name <email>`, else the login name.

    A login name that the system does not know either is its number: an activation always names somebody.
    """
    variables = os.environ if environ is None else environ
    for name in (told, variables.get(ACTOR_VARIABLE), read_identity(root)):
        if name is not None and name.strip():
            return name.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
