"""`verify`: judge run folders from their bytes, and the pointers from what they name."""

from __future__ import annotations

import os

import click

from registry_pipeline.cli.exit_codes import ExitCode, combined
from registry_pipeline.cli.fail_on import fail_on_option, holds
from registry_pipeline.cli.group import Verb
from registry_pipeline.cli.naming import find_named, is_path
from registry_pipeline.cli.progress import progress
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.config import Governed, find_governed
from registry_pipeline.query.verification import Verification, verification
from registry_pipeline.runbook import FoundRun, active_runs, all_runs, verify_runs
from registry_pipeline.runbook.status import observe, read_operations


@click.command(
    "verify",
    cls=Verb,
    examples=[
        ("verify --all", "every run folder, the pointer file and the chain"),
        ("verify latest", "the newest run; a run id or its beginning, or a root's, will do"),
        ("verify .codex/RUNS/2026-03-01__120000__run_registry_build", "a folder by its path, anywhere"),
        ("verify --active --format github", "what is in force, as annotations of a workflow"),
    ],
)
@click.argument("words", metavar="[RUN|PATH]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every run folder; one without a seal is listed, and is no failure.")
@click.option("--active", is_flag=True, help="The active runs, and the pointer file and chain that name them.")
@click.option("--pointers", is_flag=True, help="The pointer file and the chain, and that what they name is there.")
@click.option("--only", type=click.Choice(["seal"]), help="Judge the seal alone, not envelope and schema.")
@click.option("--require-sealed", is_flag=True, help="With --all: a folder without a seal fails.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; default: as many as there are processors.")
@fail_on_option
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917 - one parameter an option, as click has it
    reporter: Reporter,
    words: tuple[str, ...],
    every: bool,
    active: bool,
    pointers: bool,
    only: str | None,
    require_sealed: bool,
    jobs: int | None,
    fail_on: frozenset[str],
) -> int:
    """Verify sealed runs, byte for byte.

    Every file is read and hashed; nothing that was remembered is trusted. A PATH is a folder anywhere, taken
    literally; a bare word is `latest`, a run id or its beginning, or the beginning of a ROOT_SHA256. A run that
    names a registry is judged by its envelope and schemas too. Exits 3 on any error; a folder that is named must be
    sealed.
    """
    if not (words or every or active or pointers):
        raise click.UsageError("name a run, or say --all, --active or --pointers")
    whole = every or active or pointers
    needed = whole or bool(fail_on - {"warning"}) or not all(map(is_path, words))
    governed = find_governed(reporter.settings.repo) if needed else None
    named = [find_named(governed, word) for word in words]
    listed = _listed(governed, named, every=every, active=active)
    with progress(reporter, "run folders", len(named) + len(listed)) as shown:
        processes = jobs or os.cpu_count() or 1
        every_run = verify_runs([*named, *listed], jobs=processes, only_seal=only is not None, on_done=shown.done)
        verdicts = list(every_run)
    findings = observe(governed, reporter.settings.now)[2] if governed is not None and whole else ()
    told = verification(verdicts[: len(named)], verdicts[len(named) :], findings, require_sealed=require_sealed)
    reporter.answer(told.to_json(), told.all_findings(), lambda page: _tell(page, told))
    counts, drift = read_operations(governed, {}) if governed is not None and fail_on else (None, None)
    failing = holds(fail_on, told.all_findings(), counts, drift)
    return combined([ExitCode.EVIDENCE_INVALID * (not told.passed), ExitCode.ASKED_TO_FAIL * failing])


def _listed(governed: Governed | None, named: list[FoundRun], *, every: bool, active: bool) -> list[FoundRun]:
    """Return the runs that --all or --active adds to those that were named."""
    if governed is None or not (every or active):
        return []
    taken = {run.path for run in named}
    return [run for run in (all_runs(governed) if every else active_runs(governed)) if run.path not in taken]


def _tell(page: Page, told: Verification) -> None:
    for verdict in told.results:
        if verdict.verdict != "pass":
            page.line(f"{verdict.verdict}  {verdict.path}", style="dim" if verdict.verdict == "unsealed" else "bold")
        page.findings(f for f in verdict.findings if verdict.verdict != "unsealed" or f in verdict.errors())
    page.findings(told.findings)
    counts = told.counts()
    page.line(
        f"{'pass' if told.passed else 'FAIL'}: {counts['runs']} runs, {counts['pass']} sealed and sound, "
        f"{counts['fail']} failing, {counts['partial']} partial, {counts['unsealed']} unsealed; "
        f"{counts['errors']} errors, {counts['warnings']} warnings",
        style="bold green" if told.passed else "bold red",
    )
