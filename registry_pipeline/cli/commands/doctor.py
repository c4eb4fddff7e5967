"""`doctor`: what is wrong around the evidence, and mending it when asked to."""

from __future__ import annotations

import click

from registry_pipeline.cli.activation_output import find_actor
from registry_pipeline.cli.exit_codes import ExitCode, code_of, combined
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.findings.finding import Severity
from registry_pipeline.pipeline.doctor import DoctorDocument, RepairOptions, diagnose, repair
from registry_pipeline.pipeline.render import is_report_missing
from registry_pipeline.pointers.recovery import PENDING
from registry_pipeline.registries.base.seal_build import start_build_run


@click.command(
    "doctor",
    cls=Command,
    examples=[
        ("doctor", "what is wrong, each with the command that mends it"),
        ("doctor --fix", "mend what needs no decision"),
        ("doctor --fix --finish", "complete a change that was interrupted, too"),
        ("doctor --fix --void --reason 'not wanted'", "take that change out instead"),
    ],
)
@click.option("--fix", is_flag=True, help="Mend what needs no decision; without it nothing is written.")
@click.option("--finish", is_flag=True, help="Put the pending record in force, if its runs still verify.")
@click.option(
    "--void",
    "voided",
    multiple=True,
    is_flag=False,
    flag_value=PENDING,
    metavar="[RECORD]",
    help="Take out the pending record, or the branch of a fork to which RECORD belongs.",
)
@click.option("--reason", default="", metavar="TEXT", show_default=False, help="Why, for the record of --void.")
@click.option("--actor", metavar="NAME", help="Who, for the record of --void; default: as git knows you.")
@click.pass_obj
def command(
    reporter: Reporter, fix: bool, finish: bool, voided: tuple[str, ...], reason: str, actor: str | None
) -> int:
    """Tell what is wrong, and mend it with --fix.

    Looks at the pointer file, the chain, the active runs, what killed processes left, and git's rules for line ends
    and ignored files; each finding names the command that mends it. Nothing is written without --fix. With it, a
    pointer file that was rewound or edited gets back the state of the last record (what it said is kept in
    quarantine), and leftovers are removed or moved to quarantine. A change that was sealed and not put in force, or
    a fork, is settled as told by --finish or --void, and never by itself. Exits 3 on an error, 7 where git cannot
    read the repository.
    """
    _refuse_contradictions(fix=fix, finish=finish, voided=voided, reason=reason)
    repository = find_repository(reporter.settings.repo)
    told = (
        _mended(reporter, repository, finish, voided, reason, actor)
        if fix
        else diagnose(repository, reporter.settings.now)
    )
    reporter.answer(told.to_json(), (*told.refused, *told.findings), lambda page: _tell(page, told, fix=fix))
    missing = ExitCode.REPORT_NOT_RENDERED * is_report_missing(told.findings)
    return combined([code_of(told.findings), ExitCode.REFUSED * bool(told.refused), missing])


def _refuse_contradictions(*, fix: bool, finish: bool, voided: tuple[str, ...], reason: str) -> None:
    if (finish or voided) and not fix:
        raise click.UsageError("--finish and --void change something: say --fix too")
    if finish and voided:
        raise click.UsageError("--finish contradicts --void")
    if voided and not reason.strip():
        raise click.UsageError("--void needs a --reason")


def _mended(
    reporter: Reporter, repository: Repository, finish: bool, voided: tuple[str, ...], reason: str, actor: str | None
) -> DoctorDocument:
    run = start_build_run(repository, reporter.settings.now)
    return repair(repository, run, RepairOptions(find_actor(actor, repository.root), reason, finish, voided))


def _tell(page: Page, told: DoctorDocument, *, fix: bool) -> None:
    for each in told.mended:
        page.line(f"mended {each.code} {each.path}: {each.done}", style="green")
    if told.refused:
        page.line("refused: the pending record stays as it is", style="bold red")
    page.findings((*told.refused, *told.findings))
    wrong = [finding for finding in told.findings if finding.severity is not Severity.INFO]
    if not wrong:
        page.line("nothing is wrong", style="bold green")
    elif not fix:
        page.line(f"{len(wrong)} findings; nothing was changed", style="bold")
