"""`verify` and `anchor`: verify runs and pointers, and print the hash that proves the activation records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from registry_pipeline.canonical import is_sha256
from registry_pipeline.cli.completion import complete_run
from registry_pipeline.cli.exit_codes import (
    FAIL_ON_CONDITIONS,
    ConditionResult,
    ExitCode,
    check_conditions,
    combine_exit_codes,
    exit_code_of,
    fail_on_option,
    has_failed,
)
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Page, Reporter, draw_progress
from registry_pipeline.cli.run_argument import find_named_run, find_repository_for, is_path
from registry_pipeline.cli.verify_options import VerifyOptions
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.display import list_some
from registry_pipeline.findings.finding import Finding, plural
from registry_pipeline.pipeline.verify import (
    CheckedRun,
    Lineage,
    Verification,
    check_committed_runs,
    check_paths,
    combine_verdicts,
    verify_inputs,
)
from registry_pipeline.pointers.find_runs import FoundRun, list_active_runs, list_all_runs, list_archived_runs
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.runs.reference import PointerFile
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import replace

if TYPE_CHECKING:
    from registry_pipeline.pointers.anchors import AnchorCheck
    from registry_pipeline.pointers.chain import ChainState
    from registry_pipeline.pointers.signatures import SignatureCheck

_MAX_FOLDERS: Final = 20


def _refuse_malformed_hash(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_sha256(value):
        raise click.UsageError(f"--expect {value!r} is not 64 lower-case hexadecimal digits")
    return value


@command(
    "verify",
    ("verify --all", "every run folder, the pointer file and the chain"),
    ("verify latest", "the newest run; a run id or a root, or its beginning, names another"),
    ("verify .codex/RUNS/2026-03-01__120000__run_registry_build", "a folder by its path, anywhere"),
    ("verify --active --format github", "the active runs, as annotations of a workflow"),
    ("verify --chain", "every activation record, and the pointer file against the last"),
    ("verify --chain --signed --allowed-signers signers", "also who signed them"),
    ("verify latest --inputs", "the newest run and all its inputs, recursively"),
    ("verify --all --require-sealed --baseline main", "nothing unsealed, altered or removed since main"),
)
@click.argument("names", metavar="[RUN|PATH]...", nargs=-1, shell_complete=complete_run)
@click.option(
    "--all", "all_folders", is_flag=True, help="Every run folder, and `archives`; an unsealed one is listed and passes."
)
@click.option("--active", is_flag=True, help="The active runs, and the pointer file and chain that name them.")
@click.option("--pointers", is_flag=True, help="The pointer file, the chain, and that the runs that they name exist.")
@click.option("--chain", is_flag=True, help="The activation chain, and the pointer file against its last record.")
@click.option("--expect", metavar="HASH", callback=_refuse_malformed_hash, help="With --chain: the output of `anchor`.")
@click.option("--anchors", is_flag=True, help="With --chain: every anchor of [anchors] against the chain.")
@click.option("--signed", is_flag=True, help="Also the signatures of the records or runs, and what [signing] wants.")
@click.option(
    "--allowed-signers",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --signed or --anchors: who may sign; default: `allowed_signers` of [signing], or git's setting.",
)
@click.option(
    "--authorities",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --anchors: whose time stamps count (PEM); default: `authorities` of [anchors].",
)
@click.option("--inputs", is_flag=True, help="Also the runs that these were built from, recursively.")
@click.option("--baseline", metavar="REF", help="No run folder of this git commit is missing or has another root.")
@click.option("--only", type=click.Choice(["seal"]), help="Verify only the seal, not envelope and schema.")
@click.option("--require-sealed", is_flag=True, help="With --all: a folder without a seal fails.")
@click.option("--strict", is_flag=True, help="With --all: a run that is marked bad fails.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Number of processes; default: one per processor.")
@fail_on_option(*FAIL_ON_CONDITIONS)
def verify_command(reporter: Reporter, /, **options: Any) -> int:
    """Verify sealed runs, byte for byte.

    Reads and hashes every file and trusts no cached result. A PATH is a folder, or an archive of folders (.tar.gz, .tgz
    or .tar), anywhere, taken literally; any other word is `latest`, a run id or its beginning, or the beginning of a
    ROOT_SHA256, and else a folder here. Without a repository the output says what is not checked. The run of a registry
    is also checked against its envelope and schemas. --baseline compares the roots that the folders claim with those in
    git; add --all to read their bytes. A named folder must be sealed and not marked bad. Exits 3 on any error, 7 where
    there is nothing to verify or to compare with, git cannot read the repository, or a role pack or an archive could
    not be checked.
    """
    request = VerifyOptions(**options)
    request.refuse_contradictions()
    repository = _find_repository(reporter, request)
    # (1) Verify the runs, and meanwhile the chain and the pointer file; then the runs that they were built from.
    named = [find_named_run(repository, name) for name in request.names]
    runs = [*named, *_list_unnamed_runs(repository, named, request)]
    checked, (chain, pointers, findings) = _check_runs_and_chain(reporter, repository, request, runs)
    lineage = _check_inputs(reporter, repository, request, runs, checked)
    named_verdicts, listed_verdicts = (
        [run.verdict for results in part for run in results] for part in (checked[: len(named)], checked[len(named) :])
    )
    compared = {} if lineage is None else {"inputs_walked": lineage.walked}
    # (2) Compare with the baseline.
    baseline_findings: tuple[Finding, ...] = ()
    if repository is not None and request.baseline is not None:
        compared["baseline_runs"], baseline_findings = check_committed_runs(repository, request.baseline)
    # (3) Check the signatures of what was verified.
    verdicts = [*named_verdicts, *listed_verdicts]
    signatures: SignatureCheck | None = None
    if request.signed and repository is not None and chain is not None:
        from registry_pipeline.cli.verify_chain import check_signatures  # noqa: PLC0415 - as below

        signatures = check_signatures(repository, chain, request, runs, checked)
        findings = (*findings, *signatures.findings)
        compared |= {"signed": len(signatures.signed), "unsigned": len(signatures.unsigned)}
    anchors: AnchorCheck | None = None
    if request.anchors and repository is not None and chain is not None:
        from registry_pipeline.pointers.anchors import check_anchors  # noqa: PLC0415 - few commands need it

        anchors = check_anchors(repository, chain, request.allowed_signers, request.authorities)
        findings = (*findings, *anchors.findings)
    subjects = _find_subjects(request, verdicts, chain, pointers, signatures)
    missing = [noun for noun, exists in subjects.items() if not exists]
    # (4) Put the results together.
    result = combine_verdicts(
        named_verdicts,
        listed_verdicts,
        (*findings, *baseline_findings),
        require_sealed=request.require_sealed,
        marked_bad=None if chain is None else chain.marked_bad,
        strict=request.strict,
        inputs=() if lineage is None else lineage.findings,
    )
    is_verified = bool(named) or "baseline_runs" in compared or len(missing) < len(subjects)
    # Who asks for signatures is not answered by what is valid without them.
    is_verified = is_verified and "signature" not in missing
    not_checked = _ONLY_IN_A_REPOSITORY if chain is None else ()
    signed = {} if signatures is None else signatures.signed
    result = replace(result, compared=compared, verified=is_verified, not_checked=not_checked)
    result = replace(result, signed=signed, anchors=anchors)
    all_findings = result.all_findings()
    conditions = _check_conditions(repository, request, all_findings)
    reporter.print_result(
        result.to_json,
        all_findings,
        lambda page: _print_result(page, result, len(named_verdicts), missing),
        conditions=conditions,
        checked=_list_checked(repository, request, result),
        nothing_checked=_explain_nothing_verified(missing) if result.verdict == "none" else "",
    )
    if reporter.settings.format == "github":  # both are no findings, and so no annotations
        if result.verdict == "none":
            reporter.note(_explain_nothing_verified(missing))
        if result.not_checked:
            reporter.note(_explain_not_checked(result))
    nothing = ExitCode.NOT_FOUND * (result.verdict == "none")
    failed_on = ExitCode.FAIL_ON * has_failed(conditions)
    return combine_exit_codes([exit_code_of(all_findings), nothing, failed_on])


# What a result leaves out if no repository was found.
_ONLY_IN_A_REPOSITORY: Final = ("pointer file", "activation chain", "marks of bad runs", "recorded inputs")


def _find_repository(reporter: Reporter, request: VerifyOptions) -> Repository | None:
    """Return the repository; None if only paths are named, or folders where there is no repository."""
    if request.needs_repository:
        return find_repository(reporter.settings.repo)
    return None if all(map(is_path, request.names)) else find_repository_for(reporter, request.names)


def _list_unnamed_runs(repository: Repository | None, named: list[FoundRun], request: VerifyOptions) -> list[FoundRun]:
    """Return the runs that `--all` or else `--active` lists, without those that are named."""
    if repository is None or not (request.all_folders or request.active):
        return []
    named_paths = {Path(run.path) for run in named}
    runs = list_active_runs(repository)
    if request.all_folders:
        runs = [*list_all_runs(repository), *list_archived_runs(repository)]
    return [run for run in runs if not named or Path(run.path) not in named_paths]


def _check_runs_and_chain(
    reporter: Reporter, repository: Repository | None, request: VerifyOptions, runs: list[FoundRun]
) -> tuple[list[tuple[CheckedRun, ...]], tuple[ChainState | None, PointerFile | None, tuple[Finding, ...]]]:
    """Return the results of the runs, then those of `check_chain_and_pointers`."""
    with draw_progress(reporter, "run folders", len(runs)) as bar:
        processes = request.jobs or os.cpu_count() or 1
        only_seal = request.only is not None
        results = check_paths(runs, repository, jobs=processes, only_seal=only_seal, on_done=bar.set_done)
        # The first result starts the processes. What the chain needs is imported while they work.
        checked = list(islice(results, 1))
        from registry_pipeline.cli.verify_chain import check_chain_and_pointers  # noqa: PLC0415

        chain_results = check_chain_and_pointers(reporter.settings, repository, request)
        checked += results
    return checked, chain_results


def _check_inputs(
    reporter: Reporter,
    repository: Repository | None,
    request: VerifyOptions,
    runs: list[FoundRun],
    checked: list[tuple[CheckedRun, ...]],
) -> Lineage | None:
    if repository is None or not request.inputs:
        return None
    with draw_progress(reporter, "recorded inputs") as bar:
        results = [result for results in checked for result in results]
        only_seal = request.only is not None
        return verify_inputs(repository, runs, results, only_seal=only_seal, on_done=bar.set_done)


def _find_subjects(
    request: VerifyOptions,
    verdicts: Sequence[Verdict],
    chain: ChainState | None,
    pointers: PointerFile | None,
    signatures: SignatureCheck | None,
) -> dict[str, bool]:
    """Return a noun for each option that says what to verify, and whether anything exists that it names."""
    has_signatures = signatures is not None and bool(signatures.signed or signatures.findings)
    has_sealed = any(verdict.verdict in ("pass", "fail") for verdict in verdicts)
    has_active = pointers is not None and bool(pointers.active_refs())
    has_records = chain is not None and bool(chain.records or chain.voided)
    subjects = (
        (request.all_folders, has_sealed, "sealed run folder"),
        (request.active, has_active, "active run"),
        (request.pointers, has_active, "pointer to an active run"),
        (request.chain, has_records, "activation record"),
        (request.signed, has_signatures, "signature"),
    )
    return {noun: exists for is_requested, exists, noun in subjects if is_requested}


def _check_conditions(
    repository: Repository | None, request: VerifyOptions, findings: Sequence[Finding]
) -> tuple[ConditionResult, ...]:
    operations, drift = None, None
    if repository is not None and request.fail_on:
        from registry_pipeline.pipeline.status import read_operations  # noqa: PLC0415 - few commands need it

        operations, drift = read_operations(repository, {})
    return check_conditions(request.fail_on, findings, operations, drift)


def _list_checked(repository: Repository | None, request: VerifyOptions, result: Verification) -> dict[str, str]:
    """Return the paths that were verified, each with the reason if it was skipped, otherwise ""."""
    checked = {run.path: run.verdict if run.verdict in ("unsealed", "partial") else "" for run in result.results}
    if repository is not None and (request.includes_pointers or request.chain):
        checked[repository.config.pointers] = ""
    if request.baseline is not None:
        checked[f"--baseline {request.baseline}"] = ""
    return checked | dict.fromkeys(result.not_checked, "only a repository shows it")


def _explain_nothing_verified(missing: Sequence[str]) -> str:
    hint = "`registry-pipeline build` seals and activates the first runs; see `registry-pipeline status`"
    return f"none: nothing was verified: there is no {' and no '.join(missing)} -> {hint}"


def _explain_not_checked(result: Verification) -> str:
    return f"not checked, because only a repository shows it: {', '.join(result.not_checked)}"


def _print_folders(page: Page, name: str, verdicts: Sequence[Verdict]) -> None:
    """Print a line for each folder with the verdict `name`, or one line for more than twenty of them."""
    paths = [verdict.path for verdict in verdicts]
    if len(paths) > _MAX_FOLDERS and page.settings.verbosity <= 0:
        paths = [f"{len(paths)} folders: {list_some(paths, ', ')} (--verbose lists all)"]
    for path in paths:
        page.line(f"{name:<8}  {path}", style="dim" if name == "unsealed" else "bold")


def _select_findings(verdict: Verdict) -> Sequence[Finding]:
    """Return the findings to print: of an unsealed folder only errors, because its line says the rest."""
    return verdict.errors() if verdict.verdict == "unsealed" else verdict.findings


def _print_result(page: Page, result: Verification, named_count: int, missing: Sequence[str]) -> None:
    """Print each folder that was named or does not pass, the findings, then the totals.

    A named folder is followed by its findings; those of the others are printed together.
    """
    named = result.results[:named_count]
    # An archive can contain thousands of runs: those without findings then have one line together.
    clean = [verdict for verdict in named if verdict.verdict == "pass" and not verdict.findings]
    folds = len(clean) > _MAX_FOLDERS
    for verdict in named:
        if folds and verdict.verdict == "pass" and not verdict.findings:
            continue
        _print_folders(page, verdict.verdict, [verdict])
        page.findings(_select_findings(verdict))
    if folds:
        _print_folders(page, "pass", clean)
    listed = result.results[named_count:]
    for name in ("unsealed", "partial", "fail"):
        _print_folders(page, name, [verdict for verdict in listed if verdict.verdict == name])
    page.findings([*(f for verdict in listed for f in _select_findings(verdict)), *result.findings])
    for path, signers in result.signed.items():
        page.line(f"signed    {path} by {', '.join(signer.shown for signer in signers)}")
    counts = result.counts()
    if "signed" in counts:
        page.line(f"signed    {counts['signed']}, and {counts['unsigned']} unsigned")
    if result.anchors is not None:
        _print_anchors(page, result.anchors)
    if "inputs_walked" in counts:
        page.line(f"inputs    {plural(counts['inputs_walked'], 'run')} followed, recursively")
    if "baseline_runs" in counts:
        page.line(f"baseline  {plural(counts['baseline_runs'], 'run folder')} of the commit compared by claimed root")
    if result.not_checked:
        page.line(_explain_not_checked(result))
    if result.verdict == "none":
        page.line(_explain_nothing_verified(missing), style="bold yellow")
        return
    runs = (
        f"{plural(counts['runs'], 'run')}, {counts['pass']} sealed and valid, {counts['fail']} failing, "
        f"{counts['partial']} partial, {counts['unsealed']} unsealed; "
    )
    # An error that says that something could not be checked is neither a pass nor damage.
    code = exit_code_of(result.all_findings())
    word, style = {
        ExitCode.FINE: ("pass", "bold green"),
        ExitCode.NOT_FOUND: ("not checked", "bold yellow"),
    }.get(ExitCode(code), ("FAIL", "bold red"))
    page.line(
        f"{word}: {runs if result.results else ''}"
        f"{plural(counts['errors'], 'error')}, {plural(counts['warnings'], 'warning')}",
        style=style,
    )


def _print_anchors(page: Page, check: AnchorCheck) -> None:
    """Print how much of the chain the anchors of each kind cover, the one that covers most, and open requests."""
    for kind in check.kinds:
        covered = check.covered(kind)
        where = f"a {kind.replace('_', ' ')}"
        if covered:
            anchor = next(anchor for anchor, number in check.anchors if anchor.kind == kind and number == covered)
            by = f", signed by {anchor.signer}" if anchor.signer else ""
            where = f"the {kind.replace('_', ' ')} {anchor.place}, {anchor.created_utc}{by}"
        page.line(f"anchored  {covered} of {plural(check.records, 'record')} by {where}")
    for place in check.waiting:
        page.line(f"waiting for an answer: {place}")


@command(
    "anchor",
    ("anchor", "the hash of the last activation record"),
    ("anchor --json", "the same with the record's name and the length of the chain"),
)
@click.option("--write", is_flag=True, help="Also write it to each place that [anchors] names.")
@click.option("--accept-voided", is_flag=True, help="Write although the record of an older anchor was voided.")
def anchor_command(reporter: Reporter, write: bool, accept_voided: bool) -> int:
    """Print the hash of the last activation record.

    Keep it where nobody who can write to the repository can change it: in a ticket, a mail, another repository. The
    chain shows every edit of a record, but not that all of it was rewritten, or that its end was removed and the
    older pointer file restored; `verify --chain --expect HASH` shows both. Exits 3 if the chain is invalid.

    --write makes anchors as `[anchors]` in the toml says: a signed git tag, a line of a file elsewhere, a request for
    an RFC 3161 time stamp. `verify --chain --anchors` compares all of them with the chain. While an older tag or line
    names a record that is missing or voided, nothing is written (exit 5): look first, then add --accept-voided.
    """
    if accept_voided and not write:
        raise click.UsageError("--accept-voided is for --write")
    from registry_pipeline.pointers.anchors import write_anchors  # noqa: PLC0415 - not for `verify`

    repository = find_repository(reporter.settings.repo)
    chain = read_chain_state(repository)
    if not chain.refuses and chain.head is None:
        raise NotFoundError("there is no activation record yet", "the first `registry-pipeline build` writes one")
    # An invalid chain is not anchored.
    head = None if chain.refuses else chain.head
    findings = chain.findings if head is None else ()
    written: list[str] = []
    if head is not None and write:
        written = write_anchors(repository, chain, head, reporter.settings.now, accept_voided=accept_voided)
    document: dict[str, Any] = {
        "root_sha256": None if head is None else head.ref.manifest_sha256,
        "head": None if head is None else head.ref.to_json(),
        "created_utc": None if head is None else head.created_utc,
        "records": len(chain.records),
        "written": written,
        "findings": [finding.to_json() for finding in findings],
    }

    def print_text(page: Page) -> None:
        if head is not None:
            page.line(head.ref.manifest_sha256)
        for place in document["written"]:
            page.line(f"written  {place}")
        page.findings(findings)

    reporter.print_result(document, findings, print_text)
    return ExitCode.INVALID_EVIDENCE if head is None else ExitCode.FINE
