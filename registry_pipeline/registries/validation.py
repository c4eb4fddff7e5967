"""Validate sealed runs: seal, envelope, schemas, and the rules of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.registries.base.check_run import check_run, find_more_needed_files, find_needed_files
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.seal_build import has_present_schema
from registry_pipeline.registries.base.sealed_input import (
    VERIFIED,
    find_artifacts,
    list_likely_artifacts,
    read_sealed_report,
)
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.runs.pointer_file import read_pointer_hash, read_pointers, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, SealReport, Verdict
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import replace


def validate(repository: Repository, sealed: SealedRun, *, activated: SealedRef | None = None) -> Verdict:
    """Verify a sealed run, apply all checks and the rules of its registry, and return the verdict.

    `activated` is the run of the registry that a record of the chain activated last. If it is active, and is `sealed`
    itself or the run that `sealed` follows, its lines are not validated again with the same schema.

    A folder with another root than `sealed`, or an error of a rule, makes a pass a fail. The verdict has the hash of
    the pointer file as it was before the validation.
    """
    # The pointer file is hashed first: if it changes during the validation, the verdict must not match it.
    pointers = read_pointer_hash(repository)
    path = sealed.ref.path
    report, specs = _find_known_report(repository, sealed), catalog_of(repository).registries
    if report is None:
        report = verify_with_artifacts(run_folder(repository, sealed.ref), path, specs, sealed.registry_id)
    verdict = check_run(report, specs, known_lines=_read_known_lines(repository, sealed, activated))
    findings = list(verdict.findings)
    # A valid seal with another root means that the folder was replaced since it was sealed.
    if report.root_sha256 not in (None, sealed.ref.manifest_sha256):
        expected, got = sealed.ref.manifest_sha256, report.root_sha256
        findings.append(finding("ROOT_MISMATCH", path, expected=expected, got=got))
    findings += check_rules(repository, sealed, report)
    result = "fail" if verdict.verdict == "pass" and has_errors(findings) else verdict.verdict
    if result == "pass" and _has_all_artifacts(repository, sealed.registry_id, report):
        repository.keep(VERIFIED, report, sealed.ref)
    return replace(verdict, findings=sorted_findings(findings), verdict=result, pointer_sha256=pointers)


def _find_known_report(repository: Repository, sealed: SealedRun) -> SealReport | None:
    """Return the report of a reused run that this build has verified already, if `check_run` needs nothing more."""
    report = repository.recall(VERIFIED, sealed.ref)
    # A new run is verified for its activation. A reused one is not activated.
    if report is None or not sealed.reused or (report.run_json or {}).get("registry_id") != sealed.registry_id:
        return None
    return report if _has_all_artifacts(repository, sealed.registry_id, report) else None


def _has_all_artifacts(repository: Repository, registry_id: str, report: SealReport) -> bool:
    spec = catalog_of(repository).spec_of(registry_id)
    artifacts = find_artifacts(spec, [entry.relpath for entry in report.entries])
    return set(artifacts) <= report.kept.keys()


def _read_known_lines(
    repository: Repository, sealed: SealedRun, activated: SealedRef | None
) -> Mapping[str, bytes | None]:
    """Return the lines of the active run by artifact, if they satisfy the same schemas; None for those of `sealed`.

    Nothing unless `sealed` is the active run, or follows it.
    """
    spec = catalog_of(repository).registries.get(sealed.registry_id)
    previous = sealed.inputs.previous(sealed.registry_id)
    # A pointer can be edited by hand. Only what a record activated has been validated.
    if spec is None or activated is None or activated not in (previous, sealed.ref):
        return {}
    if read_pointers(repository).active(spec.registry_id) != activated:
        return {}
    try:
        report = read_sealed_report(repository, spec, activated)
    except EvidenceError:
        return {}
    known = {name: data for name, data in report.kept.items() if has_present_schema(report, name, spec)}
    if activated != sealed.ref:
        return known
    return {name: None for name in known if name.endswith(".jsonl")}


def check_rules(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return the findings of the registry's own rules; none if it has no rules or the seal does not verify."""
    spec = catalog_of(repository).registries.get(sealed.registry_id)
    # Rules read artifacts, and the bytes of a run that does not verify prove nothing.
    if spec is None or spec.rules is None or report.verdict != "pass":
        return ()
    return tuple(spec.rules(repository, sealed, report))


def verify_with_artifacts(
    path: Path | str, shown: str, specs: Mapping[str, RegistrySpec], registry_id: str = ""
) -> SealReport:
    """Verify a run folder and keep the bytes of all files that `check_run` reads; `shown` is its path in findings.

    With the registry that the run belongs to, a run of many files is read once instead of twice.
    """
    spec, keep = specs.get(registry_id), find_needed_files(specs)
    if spec is not None and spec.multi_file:
        keep |= list_likely_artifacts(spec, path)
    return complete_report(verify_folder(path, display_path=shown, keep=keep), path, specs=specs)


def complete_report(
    report: SealReport, path: Path | str, run_id: str | None = None, *, specs: Mapping[str, RegistrySpec]
) -> SealReport:
    """Return `report` if it has the bytes of all files that `check_run` reads, else that of a second verification.

    `run_id` is the name of the run if the folder at `path` does not have it.
    """
    # Verified again with these, so that all bytes come from one reading.
    more = find_more_needed_files(report, specs)
    if not more:
        return report
    keep = find_needed_files(specs) | more | report.kept.keys()
    return verify_folder(path, display_path=report.path, expect_run_id=run_id, keep=keep)
