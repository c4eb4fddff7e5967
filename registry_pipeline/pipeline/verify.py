"""Finding run folders by what people call them, and judging many of them."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from registry_pipeline.canonical import json_line, short
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError
from registry_pipeline.files.path_policy import path_codes
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.chain import ChainState
from registry_pipeline.pointers.find_runs import FoundRun, found_run
from registry_pipeline.pointers.record import ACCEPTED_REMOVED
from registry_pipeline.registries.base.check_run import check_run, needed_files
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.run_registry.check_removed_runs import check_baseline
from registry_pipeline.registries.validation import spec_of, with_own_names
from registry_pipeline.runs.authenticated import read_stated_root
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.pointer_file import is_folder_name, read_pointers
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import explain_missing_run, read_committed_runs, read_run_folders
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.runs.verify import verify_folders
from registry_pipeline.values import value_type


def verify_runs(
    runs: Sequence[FoundRun],
    *,
    jobs: int = 1,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Judge folders in their order: seal, envelope and schema, or the seal alone. `on_done` gets the count so far."""
    for judged in check_runs(runs, jobs=jobs, only_seal=only_seal, on_done=on_done):
        yield judged.verdict


def check_runs(
    runs: Sequence[FoundRun],
    *,
    jobs: int = 1,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Iterator[CheckedRun]:
    """Judge folders as `verify_runs` does, and tell what each records that it was built from."""
    keep = frozenset[str]() if only_seal else needed_files(REGISTRIES)
    places = [(run.path, run.shown) for run in runs]
    reports = verify_folders(places, jobs=jobs, keep=keep, on_done=on_done)
    for run, first in zip(runs, reports, strict=True):
        report = first if only_seal else with_own_names(first, run.path)
        verdict = check_run(report, REGISTRIES, only_seal=only_seal)
        yield CheckedRun(verdict, Inputs.from_json((report.run_json or {}).get("inputs")))


def verify_inputs(
    repository: Repository,
    runs: Sequence[FoundRun],
    judged: Sequence[CheckedRun],
    *,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Lineage:
    """Judge all that runs rest on, to the end; `judged` are the verdicts on `runs`, which are not read again."""
    known = {(run.run_root, run.run_id): each for run, each in zip(runs, judged, strict=True)}

    def judge(ref: SealedRef) -> CheckedRun | None:
        found = known.get((ref.run_root, ref.run_id))
        if found is None and is_folder_name(ref.run_id) and not path_codes(ref.run_root):
            here = found_run(repository, ref.run_root, ref.run_id)
            found = next(check_runs([here], only_seal=only_seal)) if os.path.lexists(here.path) else None
        if on_done is not None:
            on_done(next(count))
        return found

    count = itertools.count(1)
    return check_lineage(judged, judge)


def check_moved_runs(repository: Repository, chain: ChainState) -> tuple[Finding, ...]:
    """Return a finding for each run that a standing record moved a pointer to and that is gone or was sealed again.

    The root is that of manifest.json on the disk; `verify --all` compares the bytes of the files with it. A run whose
    removal was accepted is a warning.
    """
    moved = {
        move.to_ref: sealed.ref.run_id
        for sealed in reversed(chain.records)
        for move in sealed.record.moves
        if move.to_ref is not None and is_folder_name(move.to_ref.run_id) and not path_codes(move.to_ref.run_root)
    }
    findings: list[Finding] = []
    for ref, record in moved.items():
        path = f"{ref.run_root}/{ref.run_id}"
        root = read_stated_root(repository.path(path))
        if not os.path.lexists(repository.path(path)):
            accepted = _is_removal_accepted(repository, chain, ref)
            severity, detail = (Severity.WARNING, f"{record}, accepted since,") if accepted else (None, record)
            findings.append(finding("CHAIN_RUN_MISSING", path, severity=severity, detail=detail))
        elif root != ref.manifest_sha256:
            got = root or "no manifest that can be read"
            findings.append(finding("CHAIN_RUN_RESEALED", path, expected=ref.manifest_sha256, got=got, detail=record))
    return sorted_findings(findings)


def _is_removal_accepted(repository: Repository, chain: ChainState, gone: SealedRef) -> bool:
    """Whether a removal was accepted and the run registry that is active does not list the run any more."""
    if not any(sealed.record.verdicts.get(ACCEPTED_REMOVED) for sealed in chain.records):
        return False
    ref = read_pointers(repository).active("run_registry")
    try:
        lines = b"" if ref is None else read_sealed(repository, spec_of("run_registry"), ref).kept[ref.relpath or ""]
    except EvidenceError:
        return False
    key = json_line(f"{gone.run_root}::{gone.run_id}").strip()
    return ref is not None and key not in lines


@value_type
class Baseline:
    """A comparison with a git commit: its id, how many of its run folders were compared, and what is not as it was."""

    commit: str
    compared: int
    findings: tuple[Finding, ...]


def compare_baseline(repository: Repository, revision: str) -> Baseline:
    """Compare the run folders that a git commit has with those that are there, by the roots that they claim.

    Raises:
        NotFoundError: there is nothing to compare with: no git, no such commit, or no run folder in it (exit 7).
    """
    run_roots = repository.config.run_roots
    committed = read_committed_runs(repository.root, revision, run_roots)
    now = {(run.run_root, run.run_id): run.claimed_root for run in read_run_folders(repository.root, run_roots).runs}
    lister = f"the commit {short(committed.commit)}"
    findings = check_baseline(committed.roots, now, lister, partial(explain_missing_run, repository.root))
    return Baseline(committed.commit, len(committed.roots), findings)


@value_type
class CheckedRun:
    """A run folder as it is now: the verdict on it, and what it records that it was built from."""

    verdict: Verdict
    inputs: Inputs


@value_type
class Lineage:
    """What is wrong with recorded inputs, each told at the run.json that names it, and how many runs they were."""

    findings: tuple[Finding, ...]
    walked: int


def check_lineage(runs: Iterable[CheckedRun], judge: Callable[[SealedRef], CheckedRun | None]) -> Lineage:
    """Judge every snapshot that the runs rest on, of either role, and every one that those rest on.

    Args:
        runs: The runs to begin with.
        judge: Verifies the folder that a reference names, from its bytes; None where there is none. Asked once a
            folder.
    """
    met: dict[tuple[str, str], CheckedRun | None] = {}
    findings: list[Finding] = []
    waiting = deque(runs)
    while waiting:
        run = waiting.popleft()
        for named in run.inputs.registries:
            key = named.ref.run_root, named.ref.run_id
            if key not in met:
                found = met[key] = judge(named.ref)
                waiting.extend([] if found is None else [found])
            findings += _check_input(f"{run.verdict.path}/run.json", named, met[key])
    return Lineage(sorted_findings(findings), len(met))


def _check_input(path: str, named: InputRegistry, found: CheckedRun | None) -> Iterator[Finding]:
    told = f"{named.role} {named.registry_id} {named.ref.run_root}/{named.ref.run_id}"
    if found is None:
        yield finding("INPUT_REF_MISSING", path, detail=told)
        return
    expected, got = named.ref.manifest_sha256, found.verdict.root_sha256
    if got not in (None, expected):
        yield finding("INPUT_ROOT_MISMATCH", path, expected=expected, got=got, detail=told)
    if not found.verdict.passed:
        codes = sorted({f.code for f in found.verdict.errors()}) or [found.verdict.verdict]
        detail = f"{told} ({', '.join(codes)})"
        yield finding("INPUT_NOT_VERIFIED", path, detail=detail, run_id=named.ref.run_id)
