"""The shared end of `activate`, `rollback` and `mark-bad`: render the report, print the moves, return the exit code."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from registry_pipeline.canonical import utc_text
from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.files.atomic_write import create_file, refuse_missing_folder
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.finding import Finding, Severity, has_errors
from registry_pipeline.pipeline.page_folder import refuse_evidence
from registry_pipeline.pipeline.rebuild import is_change_incomplete, render_after_change
from registry_pipeline.registries.base.seal_build import BuildRun, start_build_run
from registry_pipeline.runs.pointer_file import read_pointer_hash
from registry_pipeline.runs.sealed_run import Activation, Refusal
from registry_pipeline.signing.ssh import FIRST_LINE, NAMESPACE
from registry_pipeline.values import replace, value_type

_UNCHANGED: Final = {
    "activate": "the run is already active",
    "rollback": "each registry is already at that run",
    "mark_bad": "the run is already marked bad",
}
_MOST_SIGNATURE_BYTES: Final = 64 << 10
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def reason_options(command: _Decorated) -> _Decorated:
    """Add the required `--reason` and `--actor` to a command that changes the pointers."""
    reason = click.option(
        "--reason", required=True, metavar="TEXT", callback=_refuse_blank_reason, help="Why, for the activation record."
    )
    actor = click.option("--actor", metavar="NAME", help="Who, for the activation record; default: git's identity.")
    return reason(actor(command))


def dry_run_option(command: _Decorated) -> _Decorated:
    """Add `--dry-run` to a command that changes the pointers."""
    about = "Check everything and print what would change; write nothing."
    return click.option("--dry-run", is_flag=True, help=about)(command)


@value_type
class SigningOptions:
    """What a command that seals a record was asked to do about signatures."""

    sign: bool
    # Those that others made of the record.
    signatures: tuple[bytes, ...]
    # Where to write the record for them to sign, instead of changing anything.
    prepare: Path | None

    def start_run(self, repository: Repository, now: datetime) -> BuildRun:
        """Return the run that seals the record; raises as `start_build_run`."""
        run = start_build_run(repository, now, sign=self.sign, signatures=self.signatures)
        return replace(run, is_prepared=self.prepare is not None)


def sign_option(command: _Decorated) -> _Decorated:
    """Add `--sign` to a command that seals."""
    return click.option("--sign", is_flag=True, help="Sign with the SSH key that git is configured to sign with.")(
        command
    )


def signing_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add `--sign`, `--signature` and `--prepare`, as the argument `signing`, to a command with `--dry-run`."""

    @wraps(command)
    def call(*args: Any, sign: bool, signature: tuple[Path, ...], prepare: Path | None, **others: Any) -> int:
        if prepare is not None and (sign or signature):
            raise click.UsageError("--prepare writes what is to be signed: leave out --sign and --signature")
        signing = SigningOptions(sign, tuple(map(_read_signature, signature)), prepare)
        others["dry_run"] = others["dry_run"] or prepare is not None
        return command(*args, signing=signing, **others)

    path = click.Path(path_type=Path, dir_okay=False)
    about_signature = "A signature of the prepared record, made by `ssh-keygen -Y sign`; may be repeated."
    about_prepare = "Write the record to this file for others to sign, and change nothing."
    call = click.option("--prepare", type=path, metavar="FILE", help=about_prepare)(call)
    call = click.option("--signature", multiple=True, type=path, metavar="FILE", help=about_signature)(call)
    return sign_option(call)


def _read_signature(path: Path) -> bytes:
    try:
        data = read_regular_file(path, _MOST_SIGNATURE_BYTES)
    except OSError as error:
        raise click.UsageError(f"--signature {path} cannot be read: {error.strerror}") from None
    if not data.startswith(FIRST_LINE):
        raise click.UsageError(f"--signature {path} contains no SSH signature")
    return data


def _refuse_blank_reason(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.UsageError("--reason needs a text")
    return value


def print_change(
    reporter: Reporter,
    repository: Repository,
    run: BuildRun | None,
    outcome: Activation | Refusal | None,
    *,
    action: str,
    dry_run: bool = False,
    signing: SigningOptions,
    other_findings: Iterable[Finding] = (),
) -> int:
    """Render the health report after a change, print the outcome, and return the exit code: 0, 3, 5 or 8.

    `outcome` is None if nothing had to change; then, and after a refusal, nothing is rendered. `run` is None for a
    refusal before any run was started. `action` is the `action` of the document. With `dry_run` nothing was changed,
    and nothing is rendered; the exit code is that of the change.
    """
    prepare = signing.prepare
    if dry_run and isinstance(outcome, Activation) and prepare is None and has_errors(outcome.findings):
        # Nobody else is to sign, so the change would be refused.
        outcome = Refusal(outcome.findings)
    planned = outcome if isinstance(outcome, Activation) else None
    if prepare is not None and planned is not None:
        refuse_evidence(repository, prepare)
        _create_prepared_file(prepare, planned.document)
        # What it lacks are the signatures that it is prepared for.
        outcome = replace(planned, findings=tuple(f for f in planned.findings if f.severity is not Severity.ERROR))
    activation = None if dry_run else planned
    report, missing = (None, ()) if activation is None or run is None else render_after_change(repository, run)
    findings = tuple(dict.fromkeys((*(outcome.findings if outcome is not None else ()), *other_findings, *missing)))
    document: dict[str, Any] = {
        "dry_run": dry_run,
        "action": action,
        "moves": [] if planned is None else [move.to_json() for move in planned.moves],
        "activation_run_id": None if activation is None else activation.record.run_id,
        "pointer_sha256": read_pointer_hash(repository) if activation is None else activation.pointer_sha256,
        "report_run_id": None if report is None else report.ref.run_id,
        "findings": [finding.to_json() for finding in findings],
    }

    def print_text(page: Page) -> None:
        if outcome is None:
            page.line(f"{_UNCHANGED[action]}; no pointer moved")
        elif isinstance(outcome, Refusal):
            page.line("refused: no pointer moved", style="bold red")
        else:
            _print_moves(page, outcome, dry_run=dry_run)
        page.findings(findings)
        if prepare is not None and planned is not None:
            _print_next_steps(page, prepare, planned.document)
        elif dry_run:
            page.line("dry run: nothing was written")

    reporter.print_result(document, findings, print_text)
    if isinstance(outcome, Refusal):
        return exit_code_of_refusal(outcome)
    return ExitCode.INCOMPLETE if is_change_incomplete(findings) else ExitCode.FINE


def _create_prepared_file(path: Path, document: bytes) -> None:
    refuse_missing_folder(path)
    # A link that leads nowhere is something, too.
    if os.path.lexists(path):
        raise RefusedError(f"{path} exists, and --prepare replaces no file", "name another file, or remove this one")
    create_file(path, document)


def _print_moves(page: Page, activation: Activation, *, dry_run: bool) -> None:
    for move in activation.moves:
        before, after = ("nothing" if ref is None else ref.run_id for ref in (move.from_ref, move.to_ref))
        page.line(f"{move.registry_id}: {before} -> {after}")
    page.line(f"{'would be recorded' if dry_run else 'recorded'} in {activation.record.run_id}")


def _print_next_steps(page: Page, prepare: Path, document: bytes) -> None:
    """Print how to sign a prepared record, and how to make its change."""
    # The record has the time and the actor, so the command that seals it must have the same.
    moment, actor = utc_text(page.settings.now), shlex.quote(json.loads(document)["actor"])
    page.line(f"prepared {prepare}; no pointer moved")
    page.line(f"  each signer:  ssh-keygen -Y sign -n {NAMESPACE} -f KEY {shlex.quote(str(prepare))}")
    page.line(f"  then:         the same command, with --now {moment} --actor {actor} --signature SIGNATURE")
    page.line("                instead of --prepare; repeat --signature for each")


def exit_code_of_refusal(refusal: Refusal) -> ExitCode:
    """Return 3 if an error of the pointer file or the chain is the reason, else 5."""
    invalid = any(f.severity is Severity.ERROR and f.code.startswith(("POINTER_", "CHAIN_")) for f in refusal.findings)
    return ExitCode.INVALID_EVIDENCE if invalid else ExitCode.REFUSED
