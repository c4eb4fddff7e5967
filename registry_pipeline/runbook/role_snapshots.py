"""The rules of a sealed role registry: what its run records is remembered; a run without a record is compared anew."""

from __future__ import annotations

from registry_pipeline.canon import parse_utc, sha256_hex
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding, Severity
from registry_pipeline.model.roles import ROLE_REGISTRY
from registry_pipeline.model.verdict import SealedRun, SealReport
from registry_pipeline.roles.check import check_against
from registry_pipeline.roles.pack import ParsedPack, parse_pack
from registry_pipeline.roles.sealed import read_sealed_check
from registry_pipeline.roles.violation import Published, Violation, lowered, sorted_violations
from registry_pipeline.runbook.role_baselines import read_sealed_pack
from registry_pipeline.runbook.role_violations import not_checked, record_violations, waive
from registry_pipeline.sources.published_packs import read_commit_baseline

_TOOL = "role_registry append_only"


def check_role_registry(governed: Governed, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
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
        violations = _compare_unrecorded(governed, sealed, report, check.pack)
        if stamp is not None:
            violations, waived = waive(governed, violations, stamp, usual=False)
    reported = {Severity.INFO} if check.recorded else set(Severity)
    findings = tuple(each.finding for each in violations if each.finding.severity in reported)
    if stamp is None:
        return findings
    note = record_violations(governed, violations, waived, stamp, tool=_TOOL, job_id=_dagster_run(report))
    return findings if note is None else (*findings, finding("DIAGNOSTICS_NOT_RECORDED", report.path, detail=note))


def _dagster_run(report: SealReport) -> str | None:
    run_id = (report.run_json or {}).get("dagster_run_id")
    return run_id if isinstance(run_id, str) else None


def _compare_unrecorded(
    governed: Governed, sealed: SealedRun, report: SealReport, pack: ParsedPack
) -> tuple[Violation, ...]:
    compared: list[tuple[Violation, ...]] = []
    unknown: list[Violation] = []
    ref = sealed.inputs.previous(ROLE_REGISTRY)
    if ref is not None:
        try:
            compared.append(check_against(pack, read_sealed_pack(governed, ref)))
        except (NotFoundError, EvidenceError) as error:
            unknown.append(not_checked(pack.path, error))
    try:
        baseline = _git_baseline(governed, sealed, report, pack)
        if baseline is not None or ref is None:
            compared.append(check_against(pack, baseline))
    except NotFoundError as error:
        unknown.append(not_checked(pack.path, error))
    # One baseline that was compared with is enough for a run of an old version; none is no pass.
    return sorted_violations(*compared, map(lowered, unknown) if compared else unknown)


def _git_baseline(governed: Governed, sealed: SealedRun, report: SealReport, pack: ParsedPack) -> Published | None:
    """Return what git had published at the commit of the run, None where nothing was.

    Raises:
        NotFoundError: git cannot tell.
    """
    commit = (report.run_json or {}).get("git_commit")
    if not isinstance(commit, str):
        return None
    digest = sha256_hex(pack.data)
    path = next((each.path for each in sealed.inputs.files if each.sha256 == digest), governed.config.roles.pack)
    found = read_commit_baseline(governed.root, path, commit, pack.data, governed.config.roles.baseline).pack
    return None if found is None else Published(parse_pack(found.data, found.source), found.source)
