"""`verify`: judge run folders from their bytes, and the pointers from what they name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from registry_pipeline.canonical import is_sha256
from registry_pipeline.cli.exit_codes import ExitCode, code_of, combined, fail_on_option, holds
from registry_pipeline.cli.group import Command
from registry_pipeline.cli.progress import progress
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.cli.run_argument import find_named, is_path
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pipeline.inspect import evidence_pathspecs
from registry_pipeline.pipeline.status import observe, read_operations
from registry_pipeline.pipeline.verify import (
    Baseline,
    CheckedRun,
    Lineage,
    check_moved_runs,
    check_runs,
    compare_baseline,
    verify_inputs,
)
from registry_pipeline.pipeline.verify_document import Verification, verification
from registry_pipeline.pointers.chain import ChainState, check_anchor
from registry_pipeline.pointers.find_runs import FoundRun, active_runs, all_runs
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.tracked_files import check_tracked_files
from registry_pipeline.runs.reference import PointerFile
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import replace, value_type


def _hash(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_sha256(value):
        raise click.UsageError(f"--expect {value!r} is not 64 lower-case hexadecimal digits")
    return value


@click.command(
    "verify",
    cls=Command,
    examples=[
        ("verify --all", "every run folder, the pointer file and the chain"),
        ("verify latest", "the newest run; a run id or its beginning, or a root's, will do"),
        ("verify .codex/RUNS/2026-03-01__120000__run_registry_build", "a folder by its path, anywhere"),
        ("verify --active --format github", "what is in force, as annotations of a workflow"),
        ("verify --chain", "every activation record, and the pointer file against the last"),
        ("verify latest --inputs", "the newest run and all that it rests on, to the end"),
        ("verify --all --require-sealed --baseline main", "nothing unsealed, altered, or gone since main"),
    ],
)
@click.argument("words", metavar="[RUN|PATH]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every run folder; one without a seal is listed, and is no failure.")
@click.option("--active", is_flag=True, help="The active runs, and the pointer file and chain that name them.")
@click.option("--pointers", is_flag=True, help="The pointer file and the chain, and that what they name is there.")
@click.option("--chain", is_flag=True, help="The activation chain, and the pointer file against its last record.")
@click.option("--expect", metavar="HASH", callback=_hash, help="With --chain: what `anchor` printed is in the chain.")
@click.option("--inputs", is_flag=True, help="The runs that these were built from, and those in turn, to the end.")
@click.option("--baseline", metavar="REF", help="That no run folder of a git commit is gone or has another root.")
@click.option("--only", type=click.Choice(["seal"]), help="Judge the seal alone, not envelope and schema.")
@click.option("--require-sealed", is_flag=True, help="With --all: a folder without a seal fails.")
@click.option("--strict", is_flag=True, help="With --all: a run that is marked bad fails.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes; default: as many as there are processors.")
@fail_on_option
@click.pass_obj
def command(reporter: Reporter, /, **options: Any) -> int:
    """Verify sealed runs, byte for byte.

    Every file is read and hashed; nothing that was remembered is trusted. A PATH is a folder anywhere, taken
    literally; a bare word is `latest`, a run id or its beginning, or the beginning of a ROOT_SHA256. A run that
    names a registry is judged by its envelope and schemas too. --baseline compares the roots that the folders claim
    with those that git has; add --all to read their bytes. Exits 3 on any error, 7 where there is nothing to verify
    or to compare with, git cannot read the repository, or a role pack could not be checked; a folder that is named
    must be sealed and not marked bad.
    """
    asked = _Asked(**options)
    asked.refuse_contradictions()
    repository = find_repository(reporter.settings.repo) if asked.needs_repository else None
    named = [find_named(repository, word) for word in asked.words]
    runs = [*named, *_listed(repository, named, every=asked.every, active=asked.active)]
    judged, lineage = _judge(reporter, repository, asked, runs)
    verdicts = [each.verdict for each in judged]
    baseline = _compare(repository, asked.baseline)
    state, pointers, findings = _chain(reporter, repository, asked)
    missing = _missing(asked, verdicts, state, pointers)
    told = verification(
        verdicts[: len(named)],
        verdicts[len(named) :],
        (*findings, *(() if baseline is None else baseline.findings)),
        require_sealed=asked.require_sealed,
        marked_bad=None if state is None else state.marked_bad,
        strict=asked.strict,
        inputs=() if lineage is None else lineage.findings,
        compared=({} if lineage is None else {"inputs_walked": lineage.walked})
        | ({} if baseline is None else {"baseline_runs": baseline.compared}),
    )
    told = replace(told, verified=bool(named) or baseline is not None or len(missing) < asked.subjects)
    reporter.answer(told.to_json(), told.all_findings(), lambda page: _tell(page, told, len(named), missing))
    if told.verdict == "none" and reporter.settings.format == "github":
        reporter.note(_nothing(missing))  # no finding, and so no annotation
    counts, drift = read_operations(repository, {}) if repository is not None and asked.fail_on else (None, None)
    failing = holds(asked.fail_on, told.all_findings(), counts, drift)
    nothing = ExitCode.NOT_FOUND * (told.verdict == "none")
    return combined([code_of(told.all_findings()), nothing, ExitCode.ASKED_TO_FAIL * failing])


@value_type
class _Asked:
    """The options, as click names them."""

    words: tuple[str, ...]
    every: bool
    active: bool
    pointers: bool
    chain: bool
    expect: str | None
    inputs: bool
    baseline: str | None
    only: str | None
    require_sealed: bool
    strict: bool
    jobs: int | None
    fail_on: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether the pointer file and the chain are told, too."""
        return self.every or self.active or self.pointers

    @property
    def subjects(self) -> int:
        """How many of the options are given that name something to verify."""
        return self.every + self.active + self.pointers + self.chain

    @property
    def needs_repository(self) -> bool:
        """Whether folders named by their paths are not all that is asked for."""
        beside = self.chain or self.inputs or self.baseline is not None or bool(self.fail_on - {"warning"})
        return self.whole or beside or not all(map(is_path, self.words))

    def refuse_contradictions(self) -> None:
        """Raise a usage error where nothing is asked for, or one option without the other that it needs."""
        if not (self.words or self.whole or self.chain) and self.baseline is None:
            raise click.UsageError("name a run, or say --all, --active, --pointers, --chain or --baseline REF")
        if self.expect and not self.chain:
            raise click.UsageError("--expect needs --chain")
        if self.inputs and not (self.words or self.every or self.active):
            raise click.UsageError("--inputs needs the runs to begin with: name one, or say --all or --active")
        if self.require_sealed and not self.every:
            raise click.UsageError("--require-sealed needs --all; a folder that is named must be sealed anyway")


def _judge(
    reporter: Reporter, repository: Repository | None, asked: _Asked, runs: list[FoundRun]
) -> tuple[list[CheckedRun], Lineage | None]:
    """Judge the runs, and what they were built from where that is asked for."""
    only_seal = asked.only is not None
    with progress(reporter, "run folders", len(runs)) as shown:
        processes = asked.jobs or os.cpu_count() or 1
        judged = list(check_runs(runs, jobs=processes, only_seal=only_seal, on_done=shown.done))
    if repository is None or not asked.inputs:
        return judged, None
    with progress(reporter, "recorded inputs") as shown:
        return judged, verify_inputs(repository, runs, judged, only_seal=only_seal, on_done=shown.done)


def _chain(
    reporter: Reporter, repository: Repository | None, asked: _Asked
) -> tuple[ChainState | None, PointerFile | None, tuple[Finding, ...]]:
    """Return the chain, the pointers if they were read, and the findings that the options ask for.

    For paths alone the chain is that of the repository around the working directory.
    """
    if repository is None:
        try:
            return read_chain_state(find_repository(reporter.settings.repo)), None, ()
        except RegistryPipelineError:
            return None, None, ()  # a folder can be verified where no repository is
    pointers: PointerFile | None = None
    findings: tuple[Finding, ...] = ()
    if asked.whole:
        _, seen, findings = observe(repository, reporter.settings.now)
        state, pointers = seen.chain, seen.pointer_file
    else:
        state = read_chain_state(repository)
        if asked.chain:
            findings = (*state.findings, *check_tracked_files(repository, evidence_pathspecs(repository.config)))
    if asked.chain or asked.every:
        findings = (*findings, *check_moved_runs(repository, state))
    anchored = check_anchor(state, asked.expect, repository.config.pointers) if asked.expect else ()
    return state, pointers, (*findings, *anchored)


def _missing(
    asked: _Asked, verdicts: Sequence[Verdict], state: ChainState | None, pointers: PointerFile | None
) -> tuple[str, ...]:
    """Return what the options ask for and the repository has none of, a noun for each such option."""
    has_sealed = any(each.verdict in ("pass", "fail") for each in verdicts)
    has_active = pointers is not None and any(pointers.active(p.registry_id) is not None for p in pointers.pointers)
    has_records = state is not None and bool(state.records or state.voided)
    nouns = (
        (asked.every and not has_sealed, "sealed run folder"),
        (asked.active and not has_active, "active run"),
        (asked.pointers and not has_active, "pointer to an active run"),
        (asked.chain and not has_records, "activation record"),
    )
    return tuple(noun for is_missing, noun in nouns if is_missing)


def _nothing(missing: tuple[str, ...]) -> str:
    first = "`registry-pipeline build` seals and activates the first runs; see `registry-pipeline status`"
    return f"none: nothing was verified: there is no {' and no '.join(missing)} -> {first}"


def _compare(repository: Repository | None, revision: str | None) -> Baseline | None:
    return None if repository is None or revision is None else compare_baseline(repository, revision)


def _listed(repository: Repository | None, named: list[FoundRun], *, every: bool, active: bool) -> list[FoundRun]:
    """Return the runs that --all or --active adds to those that were named."""
    if repository is None or not (every or active):
        return []
    taken = {run.path for run in named}
    return [run for run in (all_runs(repository) if every else active_runs(repository)) if run.path not in taken]


def _tell(page: Page, told: Verification, named: int, missing: tuple[str, ...]) -> None:
    """Write a line for each folder that was named or does not pass, with its findings; then the sum."""
    for number, verdict in enumerate(told.results):
        if number < named or verdict.verdict != "pass":
            page.line(f"{verdict.verdict:<8}  {verdict.path}", style="dim" if verdict.verdict == "unsealed" else "bold")
        page.findings(f for f in verdict.findings if verdict.verdict != "unsealed" or f in verdict.errors())
    page.findings(told.findings)
    counts = told.counts()
    if "inputs_walked" in counts:
        page.line(f"inputs    {_counted(counts['inputs_walked'], 'run')} walked, to the end")
    if "baseline_runs" in counts:
        compared = _counted(counts["baseline_runs"], "run folder")
        page.line(f"baseline  {compared} of the commit compared, by the roots that they claim")
    if told.verdict == "none":
        page.line(_nothing(missing), style="bold yellow")
        return
    passed = told.verdict == "pass"
    runs = (
        f"{_counted(counts['runs'], 'run')}, {counts['pass']} sealed and sound, {counts['fail']} failing, "
        f"{counts['partial']} partial, {counts['unsealed']} unsealed; "
    )
    page.line(
        f"{'pass' if passed else 'FAIL'}: {runs if told.results else ''}"
        f"{_counted(counts['errors'], 'error')}, {_counted(counts['warnings'], 'warning')}",
        style="bold green" if passed else "bold red",
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
