"""The one function that decides about a role pack, and the check of a pack that is about to be captured.

`roles check`, the build and `status` call `compare_pack`; a sealed run records its result, from which `verify`,
`activate` and the Dagster checks derive the same verdict. See docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from registry_pipeline.canonical import parse_utc, sha256_hex
from registry_pipeline.capture_table import ACTIVE_BASELINE, ROLE_REGISTRY
from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.base.reader import Previous
from registry_pipeline.registries.roles.baselines import (
    Baseline,
    configured_baseline,
    find_baseline,
    read_sealed_pack,
    with_publishers,
)
from registry_pipeline.registries.roles.check import check_against_baseline, find_pack_violations
from registry_pipeline.registries.roles.git_baseline import read_commit_baseline
from registry_pipeline.registries.roles.pack import ParsedPack, parse_pack
from registry_pipeline.registries.roles.record_violations import (
    FIRST_PUBLISH,
    apply_pack_waivers,
    not_checked,
    record_violations,
)
from registry_pipeline.registries.roles.report import Published, Violation, as_warning, sorted_violations
from registry_pipeline.registries.roles.sealed import comparison_record, read_sealed_check
from registry_pipeline.runs.envelope import CaptureCheck
from registry_pipeline.runs.pointer_file import read_pointers, run_folder
from registry_pipeline.runs.sealed_run import SealedRun, SealReport
from registry_pipeline.values import value_type


@value_type
class Comparison:
    """The violations of a pack against all its baselines.

    `baselines` are the packs that it was compared with; `tip` is the commit whose history the first of them has.
    """

    baselines: tuple[Published, ...]
    tip: str | None
    violations: tuple[Violation, ...]


def compare_pack(repository: Repository, pack: ParsedPack, names: Sequence[str], folder: Path) -> Comparison:
    """Compare a pack with each of the named baselines: it passes if it passes against all of them.

    A baseline that cannot be found or read is RR030. A file is looked up in `folder`.
    """
    groups: list[tuple[Violation, ...]] = []
    baselines: list[Published] = []
    tip: str | None = None
    for name in names:
        try:
            baseline = find_baseline(repository, name, pack, folder)
            groups.append(_compare(repository, pack, baseline))
        except (NotFoundError, EvidenceError) as error:
            groups.append(_uncompared(pack, error))
            continue
        tip = tip or baseline.tip
        baselines += [] if baseline.published is None else [baseline.published]
    violations = sorted_violations(*groups)
    if baselines:
        violations = tuple(each for each in violations if each.finding.code != FIRST_PUBLISH)
    return Comparison(tuple(baselines), tip, violations)


def _compare(repository: Repository, pack: ParsedPack, baseline: Baseline) -> tuple[Violation, ...]:
    """Compare, and if something published is violated, compare again knowing which commit published it."""
    violations = check_against_baseline(pack, baseline.published)
    wanted = {name for each in violations if each.finding.severity is not Severity.INFO for name in each.ids}
    published = with_publishers(repository, baseline, wanted)
    return violations if published is None else check_against_baseline(pack, published)


def _uncompared(pack: ParsedPack, error: NotFoundError | EvidenceError) -> tuple[Violation, ...]:
    """Return RR030 with the pack's own defects: which of them are new is not known, and RR030 fails the check."""
    own = find_pack_violations(pack)
    # Nothing can be published of a pack that declares nothing, so its defects are new.
    return (not_checked(pack.path, error), *(own if pack.snapshot is None else map(as_warning, own)))


def check_capture(
    repository: Repository, now: datetime, data: bytes, path: str, previous: Previous | None = None
) -> CaptureCheck:
    """Check a pack that is about to be captured: against the usual baseline, and against the active snapshot.

    `previous` is the active snapshot as the build read it, None if none is active or it does not verify.
    """
    pack = parse_pack(data, path)
    if pack.snapshot is None:
        own = (each.finding for each in find_pack_violations(pack))
        return CaptureCheck(tuple(each for each in own if each.severity is Severity.ERROR))
    default_path = configured_baseline(repository)
    verified = previous is not None and bool(previous.files)
    comparison = compare_pack(repository, pack, _names(default_path, active=verified), repository.root)
    ref = None if verified or comparison.baselines else read_pointers(repository).active(ROLE_REGISTRY)
    if ref is not None and run_folder(repository, ref).is_dir():
        # The active snapshot was altered. So this is no first publish, and what was published is not known. One whose
        # folder is absent, as in a clone without the runs, counts as none.
        comparison = compare_pack(repository, pack, _names(default_path, active=True), repository.root)
    violations, waived = apply_pack_waivers(repository, comparison.violations, now, default_path=True)
    record = comparison_record(pack, comparison.baselines, violations, waived)
    return CaptureCheck((), tuple(each.finding for each in violations), record)


def _names(default_path: str, *, active: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys((default_path, ACTIVE_BASELINE))) if active else (default_path,)


_TOOL = "role_registry append_only"


def check_role_registry(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of a sealed role registry beside those that its own files give, and remember all of them.

    Its own files give the verdict (`check_sealed_run`). Only a run of a version that recorded no comparison is compared
    here, with what its run.json names: the snapshot that was active then, and git's pack at its commit.
    """
    check = read_sealed_check(report)
    if check.pack is None:
        return ()
    stamp = parse_utc((report.run_json or {}).get("created_utc"))
    violations, waived = check.violations, check.waived
    if not check.recorded:
        violations = _compare_unrecorded(repository, sealed, report, check.pack)
        if stamp is not None:
            violations, waived = apply_pack_waivers(repository, violations, stamp, default_path=False)
    reported = {Severity.INFO} if check.recorded else set(Severity)
    findings = tuple(each.finding for each in violations if each.finding.severity in reported)
    if stamp is None:
        return findings
    note = record_violations(repository, violations, waived, stamp, tool=_TOOL, job_id=_dagster_run(report))
    return findings if note is None else (*findings, finding("DIAGNOSTICS_NOT_RECORDED", report.path, detail=note))


def _dagster_run(report: SealReport) -> str | None:
    run_id = (report.run_json or {}).get("dagster_run_id")
    return run_id if isinstance(run_id, str) else None


def _compare_unrecorded(
    repository: Repository, sealed: SealedRun, report: SealReport, pack: ParsedPack
) -> tuple[Violation, ...]:
    compared: list[tuple[Violation, ...]] = []
    unknown: list[Violation] = []
    ref = sealed.inputs.previous(ROLE_REGISTRY)
    if ref is not None:
        try:
            compared.append(check_against_baseline(pack, read_sealed_pack(repository, ref)))
        except (NotFoundError, EvidenceError) as error:
            unknown.append(not_checked(pack.path, error))
    try:
        baseline = _git_baseline(repository, sealed, report, pack)
        if baseline is not None or ref is None:
            compared.append(check_against_baseline(pack, baseline))
    except NotFoundError as error:
        unknown.append(not_checked(pack.path, error))
    # One baseline that was compared with is enough for a run of an old version; none is no pass.
    return sorted_violations(*compared, map(as_warning, unknown) if compared else unknown)


def _git_baseline(repository: Repository, sealed: SealedRun, report: SealReport, pack: ParsedPack) -> Published | None:
    """Return what git had published at the commit of the run, None where nothing was.

    Raises:
        NotFoundError: git cannot tell.
    """
    commit = (report.run_json or {}).get("git_commit")
    if not isinstance(commit, str):
        return None
    digest = sha256_hex(pack.data)
    path = next((each.path for each in sealed.inputs.files if each.sha256 == digest), repository.config.roles.pack)
    found = read_commit_baseline(repository.root, path, commit, pack.data, repository.config.roles.baseline).pack
    return None if found is None else Published(parse_pack(found.data, found.source), found.source)
