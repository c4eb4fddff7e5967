"""`doctor`: show what is wrong with the repository, and repair it on request."""

from __future__ import annotations

import click

from registry_pipeline.cli.activation_output import find_actor
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, exit_code_of
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import find_repository
from registry_pipeline.findings.finding import Severity
from registry_pipeline.findings.wording import plural
from registry_pipeline.pipeline.doctor import DoctorDocument, RepairOptions, diagnose, repair
from registry_pipeline.pipeline.render import is_report_missing
from registry_pipeline.pointers.recovery import PENDING
from registry_pipeline.registries.base.seal_build import start_build_run


@click.command(
    "doctor",
    cls=Command,
    examples=[
        ("doctor", "what is wrong, with the command that repairs it"),
        ("doctor --fix", "repair what needs no decision"),
        ("doctor --fix --finish", "also complete an interrupted change"),
        ("doctor --fix --void --reason 'not wanted'", "void the interrupted change instead"),
    ],
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
@click.pass_obj
def command(
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
    missing = ExitCode.REPORT_NOT_RENDERED * is_report_missing(result.findings)
    return combine_exit_codes([exit_code_of(result.findings), ExitCode.REFUSED * bool(result.refused), missing])


def _print_result(page: Page, result: DoctorDocument, *, fix: bool) -> None:
    for fixed in result.repairs:
        page.line(f"fixed {fixed.code} {fixed.path}: {fixed.done}", style="green")
    if result.refused:
        page.line("refused: the pending record is unchanged", style="bold red")
    page.findings((*result.refused, *result.findings))
    wrong = sum(finding.severity is not Severity.INFO for finding in result.findings)
    if not wrong:
        page.line("nothing is wrong", style="bold green")
    elif not fix:
        page.line(f"{plural(wrong, 'finding')}; nothing was changed", style="bold")
