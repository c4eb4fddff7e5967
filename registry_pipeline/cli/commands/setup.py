"""`init` and `doctor`: set up a repository, and repair it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from registry_pipeline.cli.activation_output import sign_option
from registry_pipeline.cli.actor import find_actor
from registry_pipeline.cli.exit_codes import ExitCode, combine_exit_codes, exit_code_of
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Column, Page, Reporter
from registry_pipeline.cli.settings import Settings
from registry_pipeline.config import CONFIG_NAME, find_repository
from registry_pipeline.findings.finding import Severity, plural
from registry_pipeline.findings.line_ends import fold_line_end_damage
from registry_pipeline.git.repository import read_ignored_paths
from registry_pipeline.pipeline.adoption import Adoption, adopt_pointer_file, find_adoptable_file
from registry_pipeline.pipeline.doctor import DoctorDocument, RepairOptions, diagnose, repair
from registry_pipeline.pipeline.growth import Growth, Size
from registry_pipeline.pipeline.init import (
    COVERAGE_ADDENDUM_PATH,
    OPERATIONS_ADDENDUM_PATH,
    InitOutcome,
    initialize,
    is_tracking_undecided,
    prepare,
)
from registry_pipeline.pipeline.rebuild import is_change_incomplete
from registry_pipeline.pipeline.run_root_search import SearchResult
from registry_pipeline.pointers import recovery
from registry_pipeline.pointers.recovery import PENDING
from registry_pipeline.registries.base.seal_build import start_build_run
from registry_pipeline.registries.entries.service import initialise_entries
from registry_pipeline.stale_limits import ProposedLimit
from registry_pipeline.values import asdict, replace

_MAX_MONTHS: Final = 6


@command(
    "init",
    ("init", "set up the repository of the working directory"),
    ("-C ../other init --track-runs", "another repository, which tracks its run folders in git"),
    ("init --adopt", "take over the pointer file of an older tool"),
    ("init --entries", "also with the schemas and documents of registry entries"),
)
@click.option(
    "--track-runs/--local-runs",
    default=None,
    help="Let git track sealed runs and the pointer file, or ignore them. Asked on a terminal; else local.",
)
@click.option(
    "--adopt",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Take over the pointer file of an older tool; FILE if it is not found.",
)
@click.option(
    "--entries", is_flag=True, help="Write the schemas of registry entries, AGENTS.md and registry_coordination.md."
)
@click.option("--restart-chain", is_flag=True, help="Seal a new first activation record, because the chain is lost.")
@click.option("--reason", default="", metavar="TEXT", show_default=False, help="With --restart-chain: why.")
@click.option("--actor", metavar="NAME", help="With --restart-chain or --adopt: who; default: git's identity.")
def init_command(
    reporter: Reporter,
    track_runs: bool | None,
    adopt: str | None,
    entries: bool,
    restart_chain: bool,
    reason: str,
    actor: str | None,
) -> int:
    """Set up a repository, or a plain folder.

    Searches for run roots, which are folders with several run folders: those with a run.json, a meta.json or a date in
    the name. Writes registry-pipeline.toml, which names and explains what was found, the publish root, an empty pointer
    file, an operations and a coverage addendum for the operations of the registry layer, and git's rules: line endings
    of run folders are never converted, local state is ignored. The toml gets a random repository_id; if it exists
    without one, the line is added at the top. Nothing else that exists is changed, and a second call changes nothing.
    With --entries the two generated documents in .system/registry are written again where they differ.

    --track-runs can also be given later: it removes from .gitignore the lines that ignore sealed runs.

    --adopt takes over the pointer file of an older tool. Entries that cannot be used, because their run is missing,
    does not verify or has no pointer here, become "unknown"; the old file is kept in quarantine. The first activation
    record states this.

    --restart-chain is for activation records that are lost permanently: a new first record confirms the pointer file,
    states the loss and your reason, and retires the remaining records.
    """
    if restart_chain and adopt is not None:
        raise click.UsageError("--adopt contradicts --restart-chain")
    if restart_chain:
        return _restart_chain(reporter, reason, actor)
    if reason or (actor and adopt is None):
        raise click.UsageError("--reason and --actor need --restart-chain")
    root = reporter.settings.repo or Path.cwd()
    pointers = None if adopt is None else find_adoptable_file(root, adopt, reporter.settings.now)
    if track_runs is None:
        track_runs = _ask_for_tracking(reporter, root, pointers)
    outcome = initialize(root, track_runs=track_runs, now=reporter.settings.now, pointers=pointers)
    if entries:
        outcome = replace(outcome, created=(*outcome.created, *initialise_entries(outcome.repository)))
    adoption = None
    if adopt is not None:
        repository = outcome.repository
        run = start_build_run(repository, reporter.settings.now)
        adoption = adopt_pointer_file(repository, run, actor=find_actor(actor, repository.root))
    commands = _list_next_commands(reporter.settings, outcome)
    reporter.print_result(
        _outcome_to_json(outcome, adoption, commands),
        (),
        lambda page: _print_outcome(page, outcome, adoption, commands),
    )
    return 0


def _ask_for_tracking(reporter: Reporter, root: Path, pointers: str | None) -> bool | None:
    """Return the answer to whether git shall track the runs; None if there is nobody to ask or nothing to decide."""
    if reporter.settings.format != "text" or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    if not is_tracking_undecided(prepare(root, pointers)):
        return None
    click.echo(
        "Git can track the sealed runs and the pointer file, so that every clone has them.\n"
        "Or they are local to this machine, and git ignores them.",
        err=True,
    )
    return click.confirm("Track them in git?", default=False, err=True)


def _list_next_commands(settings: Settings, outcome: InitOutcome) -> tuple[str, ...]:
    """Return the commands that continue the set-up: a commit of what was written, and the first build."""
    if not outcome.created:
        return (settings.format_command("status"),)
    config = outcome.repository.config
    # Git cannot add an empty folder, and refuses to add what it ignores, by our rules or by the user's.
    files = [path for path in outcome.created if not path.endswith("/") and path != config.pointers]
    if outcome.track_runs:
        files += [config.pointers]
        files += [config.publish_root] if any(outcome.repository.publish_root.iterdir()) else []
    ignored = read_ignored_paths(outcome.repository.root, files) or frozenset()
    files = [path for path in files if path not in ignored]
    build = settings.format_command("build")
    if outcome.track_runs is None or not files:
        return (build,)
    add = settings.format_command("add", "--", *files, program="git")
    return (add, settings.format_command("commit", "-m", "Set up registry-pipeline", program="git"), build)


def _outcome_to_json(outcome: InitOutcome, adoption: Adoption | None, commands: Sequence[str]) -> dict[str, Any]:
    return {
        "root": str(outcome.repository.root),
        "created": list(outcome.created),
        "run_roots": [asdict(root) for root in outcome.search.roots],
        "run_roots_not_configured": [root.path for root in outcome.find_unlisted_roots()],
        "notes": list(outcome.notes),
        "track_runs": outcome.track_runs,
        "next_commands": list(commands),
        "adopted": None if adoption is None else adoption.to_json(),
    }


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

    commands = (reporter.settings.format_command("verify", "--active"), reporter.settings.format_command("build"))
    nothing_searched = InitOutcome(repository, (path,), SearchResult(), notes=(), track_runs=None)
    reporter.print_result(_outcome_to_json(nothing_searched, None, commands), (), print_text)
    return 0


def _print_outcome(page: Page, outcome: InitOutcome, adoption: Adoption | None, commands: Sequence[str]) -> None:
    root = outcome.repository.root
    page.line(f"{root} is set up already" if not outcome.created else f"{root} is set up")
    if CONFIG_NAME in outcome.created:
        _print_run_roots(page, outcome)
    elif outcome.find_unlisted_roots():
        page.line("not in `run_roots`, and so not registered; add those that contain runs:")
        for found in outcome.find_unlisted_roots():
            page.line(f"  {found.path}: {found.to_text()}")
    for note in outcome.notes:
        page.line(f"note: {note}")
    if outcome.created:
        page.line("written:")
        width = max(map(len, outcome.created))
        for path in outcome.created:
            page.line(f"  {path:{width}}  {_explain_file(outcome, path)}".rstrip())
    if adoption is not None:
        _print_adoption(page, adoption, outcome.repository.config.pointers)
    page.line("next:")
    for line in commands:
        page.line(f"  {line}")


def _print_run_roots(page: Page, outcome: InitOutcome) -> None:
    others = [root for root in outcome.search.roots if root.path != outcome.repository.config.publish_root]
    if not others:
        page.line("found no folder with several run folders: name yours under `run_roots` in registry-pipeline.toml")
        return
    page.line("found:")
    for root in others:
        page.line(f"  {root.path}: {root.to_text()}")
        if root.adapter is not None:
            keys = ", ".join(f"{name} from {key!r}" for name, key in root.adapter.fields().items())
            page.line(f"    {root.adapter.file} gives {keys}: check [[adapters]] in {CONFIG_NAME}")
        elif root.meta_json:
            page.line("    no usual key was found in meta.json: add [[adapters]] by hand to read it")


def _explain_file(outcome: InitOutcome, path: str) -> str:
    """Return why `init` wrote a file, or "" for a file of `--entries`."""
    config = outcome.repository.config
    ignored = "local state" if outcome.track_runs else "local state and sealed runs (see --track-runs)"
    reasons = {
        CONFIG_NAME: "the configuration, with a comment for each key",
        OPERATIONS_ADDENDUM_PATH: "the operations of registry-pipeline itself, for the operations catalog",
        COVERAGE_ADDENDUM_PATH: "how far these operations are enforced, for the coverage matrix",
        f"{config.publish_root}/": "for sealed runs",
        config.pointers: "which run of each registry is active: none yet",
        ".gitattributes": "git must not convert the line endings of sealed runs",
        ".gitignore": f"git ignores {ignored}",
    }
    return reasons.get(path, "")


def _print_adoption(page: Page, adoption: Adoption, pointers: str) -> None:
    if adoption.record is None:
        page.line(f"{pointers} was adopted before: it has activation records")
        return
    page.line(f"adopted {pointers} in {adoption.record}: {plural(adoption.kept, 'active run')}")
    for entry in adoption.cleared:
        page.line(f"  {entry.registry_id} is unknown now: {', '.join(entry.codes)}")
    if adoption.copy is not None:
        page.line(f"  the old file is kept in {adoption.copy}")


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
@sign_option
def doctor_command(
    reporter: Reporter, fix: bool, finish: bool, voided: tuple[str, ...], reason: str, actor: str | None, sign: bool
) -> int:
    """Show what is wrong, and repair it with --fix.

    Checks the pointer file, the chain, the active runs, archives, the leftovers of killed processes, and git's rules
    for line endings and ignored files; each finding names the command that repairs it. Also says how many folders and
    bytes a rebuild adds; --verbose and --json have them by month and registry, with the measured time of a scan.
    Without --fix nothing is written. --fix restores a pointer file that was rewound or edited to the state of the last
    record, keeps its old content in quarantine, and removes leftovers or moves them to quarantine. An interrupted
    change or a fork needs your decision: --finish or --void. Exits 3 on an error, 7 where git cannot read the
    repository.
    """
    if (finish or voided) and not fix:
        raise click.UsageError("--finish and --void change something: add --fix")
    if finish and voided:
        raise click.UsageError("--finish contradicts --void")
    if voided and not reason.strip():
        raise click.UsageError("--void needs a --reason")
    repository = find_repository(reporter.settings.repo)
    if fix:
        run = start_build_run(repository, reporter.settings.now, sign=sign)
        result = repair(repository, run, RepairOptions(find_actor(actor, repository.root), reason, finish, voided))
    else:
        result = diagnose(repository, reporter.settings.now)
    reporter.print_result(
        result.to_json(), (*result.refused, *result.findings), lambda page: _print_result(page, result, fix=fix)
    )
    missing = ExitCode.INCOMPLETE * is_change_incomplete(result.findings)
    return combine_exit_codes([exit_code_of(result.findings), ExitCode.REFUSED * bool(result.refused), missing])


def _format_limits(default: int, limits: Iterable[ProposedLimit]) -> Iterator[str]:
    """Yield the lines of the table `[stale_days]` with proposed limits."""
    yield from ("[stale_days]", f"default = {default}", "[stale_days.operations]")
    for limit in limits:
        comment = f"usually runs every {plural(limit.usual_gap_days, 'day')}; the limit is {limit.current_limit_days}"
        # A JSON text is a basic string of TOML.
        yield f"{json.dumps(limit.operation_id)} = {limit.limit_days}  # {comment}"


def _print_result(page: Page, result: DoctorDocument, *, fix: bool) -> None:
    for fixed in result.repairs:
        page.line(f"fixed {fixed.code} {fixed.path}: {fixed.done}", style="green")
    if result.refused:
        page.line("refused: the pointers are unchanged", style="bold red")
    page.findings((*result.refused, *result.findings))
    wrong = sum(finding.severity is not Severity.INFO for finding in fold_line_end_damage(result.findings))
    if result.proposed_limits:
        page.line(f"proposed for {CONFIG_NAME}: these operations are stale between two of their usual runs")
        for line in _format_limits(result.default_limit, result.proposed_limits):
            page.line(f"  {line}")
    if not wrong:
        page.line("nothing is wrong", style="bold green")
    elif not fix:
        page.line(f"{plural(wrong, 'finding')}; nothing was changed", style="bold")
    _print_growth(page, result.growth)


def _print_growth(page: Page, growth: Growth) -> None:
    """Print what a rebuild adds; with `--verbose` the newest months, and the newest one by registry."""
    months = list(growth.months)[-_MAX_MONTHS:]
    average = growth.average(months[-1]) if months else None
    if months and page.settings.verbosity > 0:
        columns = [Column("folders", right=True), Column("bytes", right=True), Column("scan", right=True)]
        rows = [(month, str(growth.count_rebuilds(month)), *_format_size(growth.months[month])) for month in months]
        page.table([Column("month"), Column("rebuilds", right=True), *columns], rows)
        page.line("scan: the time in which this command listed the folders and read the status of each file")
        newest = growth.sizes_of(months[-1])
        page.table([Column("registry"), *columns], [(name, *_format_size(newest[name])) for name in newest])
    if average is not None:
        folders, size, scan = _format_size(average)
        # The measured time differs from call to call.
        more = f", {scan} of scan time" if page.settings.verbosity > 0 else " (--verbose: by registry and month)"
        page.line(f"growth: each rebuild of {months[-1]} added {folders} folders, {size} bytes{more}")


def _format_size(size: Size) -> tuple[str, str, str]:
    return str(size.folders), str(size.bytes), f"{size.scan_seconds * 1000:.1f} ms"
