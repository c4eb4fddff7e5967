"""Verify many run folders, the runs that they were built from, and a baseline in git (`verify`)."""

from __future__ import annotations

import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from registry_pipeline.canonical import short
from registry_pipeline.config import Repository
from registry_pipeline.files.path_policy import SEAL_FILES, path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, count_findings, has_errors, sorted_findings
from registry_pipeline.parallel import map_in_processes
from registry_pipeline.pointers.find_runs import FoundRun, find_run_at, make_found_run
from registry_pipeline.registries.base.check_run import check_run, find_needed_files
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.sealed_input import find_registry
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.run_registry.archives import read_archived_runs
from registry_pipeline.registries.run_registry.build import compare_runs_with_baseline
from registry_pipeline.registries.validation import complete_report
from registry_pipeline.runs.archive import keep_report, verify_runs
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.pointer_file import is_folder_name
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import read_committed_runs, read_run_folders
from registry_pipeline.runs.sealed_run import SealReport, Verdict
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import asdict, field, replace, value_type

if TYPE_CHECKING:
    from registry_pipeline.pointers.anchors import AnchorCheck
    from registry_pipeline.signing.ssh import CheckedSignature


@value_type
class CheckedRun:
    """The verdict on a run folder, and the inputs that its run.json records (none if it cannot be read)."""

    verdict: Verdict
    inputs: Inputs


@value_type
class Lineage:
    """The findings about recorded inputs, each at the run.json that names the input; `walked` counts the inputs."""

    findings: tuple[Finding, ...]
    walked: int


def check_paths(
    runs: Sequence[FoundRun],
    repository: Repository | None,
    *,
    jobs: int = 1,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Iterator[tuple[CheckedRun, ...]]:
    """Verify run folders and archives with `jobs` processes, and yield the results of each, in their order.

    A folder has one result, an archive has one for each of its runs. `only_seal` leaves out envelope and schema.
    `on_done` is called with the number of paths verified so far.
    """
    specs = catalog_of(repository).registries
    keep = frozenset[str]() if only_seal else find_needed_files(specs)
    check = partial(_check_found_run, specs=specs, keep=keep, only_seal=only_seal)
    results = map_in_processes(check, runs, jobs)
    for done, (run, checked) in enumerate(zip(runs, results, strict=True), 1):
        if on_done is not None:
            on_done(done)
        yield (_make_plain_result(run, checked),) if isinstance(checked, str) else checked


def check_runs(
    runs: Sequence[FoundRun],
    repository: Repository | None,
    *,
    jobs: int = 1,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Iterator[CheckedRun]:
    """Yield the results of `check_paths` one by one."""
    for checked in check_paths(runs, repository, jobs=jobs, only_seal=only_seal, on_done=on_done):
        yield from checked


def _has_plain_result(run: FoundRun, report: SealReport, specs: Mapping[str, RegistrySpec]) -> bool:
    """Return whether a folder is valid, belongs to no registry, and states nothing that a result contains."""
    if report.verdict != "pass" or report.findings or (report.path, report.run_id) != (run.shown, run.run_id):
        return False
    run_json = report.run_json or {}
    if "inputs" in run_json or "repository_id" in run_json:
        return False
    return find_registry(run_json, [entry.relpath for entry in report.entries], specs)[0] is None


def _make_plain_result(run: FoundRun, root_sha256: str) -> CheckedRun:
    return CheckedRun(Verdict(run.shown, run.run_id, None, "pass", root_sha256, ()), _NO_INPUTS)


_NO_INPUTS: Final = Inputs()


def _check_found_run(
    run: FoundRun, *, specs: Mapping[str, RegistrySpec], keep: Collection[str], only_seal: bool
) -> tuple[CheckedRun, ...] | str:
    """Return the results of a folder or archive; only the root if `_make_plain_result` knows the rest."""
    if run.run_root is None:
        complete = keep_report if only_seal else partial(complete_report, specs=specs)
        reports = verify_runs(run.path, display_path=run.shown, keep=keep, complete=complete)
    else:
        # A pointer or an input names a folder, never an archive.
        report = verify_folder(run.path, display_path=run.shown, keep=keep)
        # Most folders of a repository. To send a root takes a tenth of sending a result from another process.
        if report.root_sha256 is not None and _has_plain_result(run, report, specs):
            return report.root_sha256
        reports = (report if only_seal else complete_report(report, run.path, specs=specs),)
    return tuple(
        CheckedRun(
            check_run(report, specs, only_seal=only_seal), Inputs.from_json((report.run_json or {}).get("inputs"))
        )
        for report in reports
    )


def verify_inputs(
    repository: Repository,
    runs: Sequence[FoundRun],
    checked_runs: Sequence[CheckedRun],
    *,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Lineage:
    """Verify the runs that `runs` were built from, and those in turn, each once; `checked_runs` are those of `runs`."""
    by_path = {checked.verdict.path: checked for checked in checked_runs}
    known = {(run.run_root, run.run_id): by_path[run.shown] for run in runs if run.run_root is not None}
    archived_runs = read_archived_runs(repository).runs
    archives: dict[str, dict[str, CheckedRun]] = {}

    def check_archived(ref: SealedRef) -> CheckedRun | None:
        archived = archived_runs.get((ref.run_root, ref.run_id))
        if archived is None:
            return None
        if archived.archive not in archives:
            found = find_run_at(repository.path(archived.archive), archived.archive)
            results = check_runs([found], repository, only_seal=only_seal)
            archives[archived.archive] = {result.verdict.path: result for result in results}
        by_path = archives[archived.archive]
        # An archive of one run, or that cannot be read, has one result with its own path.
        return by_path.get(f"{archived.archive}/{ref.path}") or by_path.get(archived.archive)

    count = itertools.count(1)

    def check(ref: SealedRef) -> CheckedRun | None:
        checked = known.get((ref.run_root, ref.run_id))
        # A reference is what a file states: look only at names that a run folder can have.
        if checked is None and is_folder_name(ref.run_id) and not path_codes(ref.run_root):
            run = make_found_run(repository, ref.run_root, ref.run_id)
            exists = os.path.lexists(run.path)
            checked = next(check_runs([run], repository, only_seal=only_seal)) if exists else check_archived(ref)
        if on_done is not None:
            on_done(next(count))
        return checked

    return check_lineage(checked_runs, check)


def check_lineage(runs: Iterable[CheckedRun], check: Callable[[SealedRef], CheckedRun | None]) -> Lineage:
    """Check the recorded inputs of the runs, and theirs in turn; `check` returns None for a missing folder."""
    # Breadth first over a graph in which many runs share their inputs: each folder is verified once.
    checked: dict[tuple[str, str], CheckedRun | None] = {}
    findings: list[Finding] = []
    queue = deque(runs)
    while queue:
        run = queue.popleft()
        for recorded in run.inputs.registries:
            key = recorded.ref.run_root, recorded.ref.run_id
            if key not in checked:
                checked[key] = upstream = check(recorded.ref)
                if upstream is not None:
                    queue.append(upstream)
            findings += _check_input(f"{run.verdict.path}/run.json", recorded, checked[key])
    return Lineage(sorted_findings(findings), len(checked))


def _check_input(path: str, recorded: InputRegistry, checked: CheckedRun | None) -> Iterator[Finding]:
    name = f"{recorded.role} {recorded.registry_id} {recorded.ref.path}"
    if checked is None:
        yield finding("INPUT_REF_MISSING", path, detail=name)
        return
    expected, got = recorded.ref.manifest_sha256, checked.verdict.root_sha256
    # Without a root the folder does not verify, which is the next finding.
    if got not in (None, expected):
        yield finding("INPUT_ROOT_MISMATCH", path, expected=expected, got=got, detail=name)
    if not checked.verdict.passed:
        codes = sorted({f.code for f in checked.verdict.errors()}) or [checked.verdict.verdict]
        yield finding("INPUT_NOT_VERIFIED", path, detail=f"{name} ({', '.join(codes)})", run_id=recorded.ref.run_id)


def check_committed_runs(repository: Repository, revision: str) -> tuple[int, tuple[Finding, ...]]:
    """Return the number of run folders in a git commit, and a finding for each that is missing or has another root.

    The roots are those that the folders state; nothing is verified.

    Raises:
        NotFoundError: no git, no such commit, or no run folder in it (exit 7).
    """
    from registry_pipeline.registries.run_registry.read import explain_missing_folder  # noqa: PLC0415 - a baseline only

    run_roots = repository.config.run_roots
    committed = read_committed_runs(repository.root, revision, run_roots)
    runs = read_run_folders(repository, run_roots).runs
    present: dict[tuple[str, str], str | None] = {}
    archived = read_archived_runs(repository)
    present |= {key: run.root_sha256 for key, run in archived.runs.items()}
    present |= {(run.run_root, run.run_id): run.claimed_root for run in runs}
    source = f"the commit {short(committed.commit)}"
    explain = partial(explain_missing_folder, repository, archived)
    return len(committed.roots), compare_runs_with_baseline(committed.roots, present, source, explain)


# Of the document of `verify`. Since 0.2 the verdict may be `none`.
SCHEMA_VERSION: Final = "0.2"


@value_type
class Verification:
    """The result of `verify`: the verdict on each folder, and the findings that belong to no single folder."""

    results: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    # What else was checked, with numbers: recorded inputs, runs of a baseline.
    compared: Mapping[str, int] = field(default_factory=dict)
    # Whether anything existed that the options name.
    verified: bool = True
    # What only a repository could show, if there is none.
    not_checked: tuple[str, ...] = ()
    # The signers of each record or run that is signed, by its path.
    signed: Mapping[str, tuple[CheckedSignature, ...]] = field(default_factory=dict)
    # The anchors of the chain, None if they were not compared.
    anchors: AnchorCheck | None = None

    @property
    def verdict(self) -> Literal["pass", "fail", "none"]:
        """`fail` if there is an error, `none` if nothing was verified, otherwise `pass`."""
        if has_errors(self.all_findings()):
            return "fail"
        return "pass" if self.verified else "none"

    def all_findings(self) -> tuple[Finding, ...]:
        """Return the findings of the folders, then the others."""
        return (*itertools.chain.from_iterable([verdict.findings for verdict in self.results]), *self.findings)

    def counts(self) -> dict[str, int]:
        """Return the numbers of folders by verdict and of findings by severity."""
        verdicts = Counter(verdict.verdict for verdict in self.results)
        by_verdict = {name: verdicts[name] for name in ("pass", "fail", "unsealed", "partial")}
        return {"runs": len(self.results)} | by_verdict | count_findings(self.all_findings()) | dict(self.compared)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `verify --json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict,
            "results": [verdict.to_json() for verdict in self.results],
            "findings": [finding.to_json() for finding in self.findings],
            "counts": self.counts(),
            "not_checked": list(self.not_checked),
            "signatures": [
                {"path": path, "signers": [asdict(signer) for signer in signers]}
                for path, signers in self.signed.items()
            ],
            "anchors": [] if self.anchors is None else self.anchors.to_json(),
            "waiting": [] if self.anchors is None else list(self.anchors.waiting),
        }


def combine_verdicts(
    named: Iterable[Verdict],
    listed: Iterable[Verdict],
    findings: Iterable[Finding],
    *,
    require_sealed: bool,
    marked_bad: Mapping[str, str] | None = None,
    strict: bool = False,
    inputs: Sequence[Finding] = (),
) -> Verification:
    """Return the result for folders that the user named and for folders that `--all` or `--active` listed.

    A named folder must be sealed and not marked bad. A listed one must be sealed only if `require_sealed`, and may be
    marked bad, with a warning, unless `strict`. `marked_bad` is the reason by run id. `inputs` are findings about
    recorded inputs: each fails the run whose run.json it names. Of `findings` those of a folder are not repeated.
    """
    bad = marked_bad or {}
    listed_severity = Severity.ERROR if strict else Severity.WARNING
    # Who names a folder asks about its seal. `--all` also lists folders that nobody has sealed yet.
    results = [_add_marked_bad_finding(_require_seal(verdict), bad, Severity.ERROR) for verdict in named]
    results += [
        _add_marked_bad_finding(_require_seal(verdict) if require_sealed else verdict, bad, listed_severity)
        for verdict in listed
    ]
    if inputs:
        results = [
            _add_findings_to_verdict(verdict, [f for f in inputs if f.path == f"{verdict.path}/run.json"])
            for verdict in results
        ]
    # With `--all` a finding of an active run comes twice: from its folder and from its pointer.
    others = (*inputs, *findings)
    paths = {f.path for f in others}
    reported = {f for verdict in results for f in verdict.findings if f.path in paths}
    return Verification(tuple(results), tuple(f for f in others if f not in reported))


def _add_marked_bad_finding(verdict: Verdict, marked_bad: Mapping[str, str], severity: Severity) -> Verdict:
    if verdict.run_id not in marked_bad:
        return verdict
    detail = marked_bad[verdict.run_id]
    return _add_findings_to_verdict(
        verdict, [finding("RUN_MARKED_BAD", verdict.path, severity=severity, detail=detail)]
    )


def _require_seal(verdict: Verdict) -> Verdict:
    """Make the findings of an unsealed folder errors, and add an error to one with a valid MANIFEST.sha256 only."""
    if verdict.verdict == "partial" and not verdict.errors():  # a list of hashes, and all of them match
        expected, got = " and ".join(SEAL_FILES), f"only {SEAL_FILES[1]}"
        return _add_findings_to_verdict(verdict, [finding("PARTIAL", verdict.path, expected=expected, got=got)])
    if verdict.verdict != "unsealed":
        return verdict
    return replace(verdict, findings=tuple(replace(f, severity=Severity.ERROR) for f in verdict.findings))


def _add_findings_to_verdict(verdict: Verdict, findings: Sequence[Finding]) -> Verdict:
    if not findings:
        return verdict
    # `unsealed` and `partial` stay: they say more than `fail`.
    outcome = "fail" if verdict.verdict == "pass" and has_errors(findings) else verdict.verdict
    return replace(verdict, findings=sorted_findings((*verdict.findings, *findings)), verdict=outcome)
