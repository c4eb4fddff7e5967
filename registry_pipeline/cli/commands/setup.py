"""`init` and `doctor`: set up a repository, and repair it."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.cli.actor import find_actor
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, exit_code_of
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import Severity, plural
from registry_pipeline.findings.line_ends import fold_line_end_damage
from registry_pipeline.pipeline.doctor import DoctorDocument, RepairOptions, diagnose, repair
from registry_pipeline.pipeline.init import InitOutcome, initialize
from registry_pipeline.pipeline.rebuild import is_change_incomplete
from registry_pipeline.pointers import recovery
from registry_pipeline.pointers.recovery import PENDING
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.entries.service import initialise_entries
from registry_pipeline.values import replace


@command(
    "init",
    ("init", "set up the repository of the working directory"),
    ("-C ../other init --track-runs", "another repository, which tracks its run folders in git"),
    ("init --entries", "also with the schemas and documents of registry entries"),
)
@click.option("--track-runs", is_flag=True, help="Let git track run folders and the pointer file; else ignore them.")
@click.option(
    "--entries", is_flag=True, help="Write the schemas of registry entries, AGENTS.md and registry_coordination.md."
)
@click.option("--restart-chain", is_flag=True, help="Seal a new first activation record, because the chain is lost.")
@click.option("--reason", default="", metavar="TEXT", show_default=False, help="With --restart-chain: why.")
@click.option("--actor", metavar="NAME", help="With --restart-chain: who; default: git's identity.")
def init_command(
    reporter: Reporter, track_runs: bool, entries: bool, restart_chain: bool, reason: str, actor: str | None
) -> int:
    """Set up a repository, or a plain folder.

    Writes registry-pipeline.toml, the publish root, an empty pointer file, an operations and a coverage addendum for
    the operations of the registry layer, and git's rules: line endings of run folders are never converted, local
    state is ignored. The toml gets a random repository_id; if it exists without one, the line is added at the top.
    Nothing else that exists is changed, and a second call changes nothing. With --entries the two generated documents
    in .system/registry are written again where they differ.

    --restart-chain is for activation records that are lost permanently: a new first record confirms the pointer file,
    states the loss and your reason, and retires the remaining records.
    """
    if restart_chain:
        return _restart_chain(reporter, reason, actor)
    if reason or actor:
        raise click.UsageError("--reason and --actor need --restart-chain")
    outcome = initialize(reporter.settings.repo or Path.cwd(), track_runs=track_runs, now=reporter.settings.now)
    if entries:
        outcome = replace(outcome, created=(*outcome.created, *initialise_entries(outcome.repository)))
    document = {"root": str(outcome.repository.root), "created": list(outcome.created)}
    reporter.print_result(document, (), lambda page: _print_outcome(page, outcome))
    return 0


def _restart_chain(reporter: Reporter, reason: str, actor: str | None) -> int:
    if not reason.strip():
        raise click.UsageError("--restart-chain needs a --reason")
    repository = find_repository(reporter.settings.repo)
    run = start_build_run(repository, reporter.settings.now)
    activation = recovery.restart_chain(repository, run, actor=find_actor(actor, repository.root), reason=reason)
    path = activation.record.path

    def print_text(page: Page) -> None:
        page.line(f"the activation chain starts again with {path}")
        page.line("next: registry-pipeline verify --active, then registry-pipeline build")

    reporter.print_result({"root": str(repository.root), "created": [path]}, (), print_text)
    return 0


def _print_outcome(page: Page, outcome: InitOutcome) -> None:
    if not outcome.created:
        page.line(f"{outcome.repository.root} is set up already")
        return
    page.line(f"{outcome.repository.root} is set up; written:")
    for path in outcome.created:
        page.line(f"  {path}")
    page.line("next: registry-pipeline build")


@command(
    "doctor",
    ("doctor", "what is wrong, with the command that repairs it"),
    ("doctor --fix", "repair what needs no decision"),
    ("doctor --fix --finish", "also complete an interrupted change"),
    ("doctor --fix --void --reason 'not wanted'", "void the interrupted change instead"),
)
@click.option("--fix", is_flag=True, help="Repair what needs no decision; without it nothing is written.")
@click.option("--finish", is_flag=True, help="Complete the pending record, if its runs still verify.")
@click.option(
    "--void",
    "voided",
    multiple=True,
    is_flag=False,
    flag_value=PENDING,
    metavar="[RECORD]",
    help="Void the pending record, or the branch of a fork to which RECORD belongs.",
)
@click.option("--reason", default="", metavar="TEXT", show_default=False, help="Why, for the record of --void.")
@click.option("--actor", metavar="NAME", help="Who, for the record of --void; default: git's identity.")
def doctor_command(
    reporter: Reporter, fix: bool, finish: bool, voided: tuple[str, ...], reason: str, actor: str | None
) -> int:
    """Show what is wrong, and repair it with --fix.

    Checks the pointer file, the chain, the active runs, the leftovers of killed processes, and git's rules for line
    endings and ignored files; each finding names the command that repairs it. Without --fix nothing is written. --fix
    restores a pointer file that was rewound or edited to the state of the last record, keeps its old content in
    quarantine, and removes leftovers or moves them to quarantine. An interrupted change or a fork needs your
    decision: --finish or --void. Exits 3 on an error, 7 where git cannot read the repository.
    """
    if (finish or voided) and not fix:
        raise click.UsageError("--finish and --void change something: add --fix")
    if finish and voided:
        raise click.UsageError("--finish contradicts --void")
    if voided and not reason.strip():
        raise click.UsageError("--void needs a --reason")
    repository = find_repository(reporter.settings.repo)
    if fix:
        run = start_build_run(repository, reporter.settings.now)
        result = repair(repository, run, RepairOptions(find_actor(actor, repository.root), reason, finish, voided))
    else:
        result = diagnose(repository, reporter.settings.now)
    reporter.print_result(
        result.to_json(), (*result.refused, *result.findings), lambda page: _print_result(page, result, fix=fix)
    )
    missing = ExitCode.INCOMPLETE * is_change_incomplete(result.findings)
    return combine_exit_codes([exit_code_of(result.findings), ExitCode.REFUSED * bool(result.refused), missing])


def _print_result(page: Page, result: DoctorDocument, *, fix: bool) -> None:
    for fixed in result.repairs:
        page.line(f"fixed {fixed.code} {fixed.path}: {fixed.done}", style="green")
    if result.refused:
        page.line("refused: the pending record is unchanged", style="bold red")
    page.findings((*result.refused, *result.findings))
    wrong = sum(finding.severity is not Severity.INFO for finding in fold_line_end_damage(result.findings))
    if not wrong:
        page.line("nothing is wrong", style="bold green")
    elif not fix:
        page.line(f"{plural(wrong, 'finding')}; nothing was changed", style="bold")
