"""What a registry promises beyond its shape (SPEC 4): the rules of step 3 that look at what came before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from registry_pipeline.capture_table import ROLE_REGISTRY
from registry_pipeline.config import Repository
from registry_pipeline.errors import NotFoundError
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, has_errors, sorted_findings
from registry_pipeline.registries.base.check_run import check_run, more_needed_files, needed_files
from registry_pipeline.registries.base.delta import DELTA_LOG
from registry_pipeline.registries.base.reader import Previous
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.delta_log.check import check_delta_log
from registry_pipeline.registries.roles.check_snapshot import check_capture, check_role_registry
from registry_pipeline.registries.run_index.service import (
    OVERRIDES_LOG,
    RUN_INDEX,
    check_sealed_overrides_log,
    check_sealed_run_index,
)
from registry_pipeline.registries.run_registry.check_removed_runs import check_history
from registry_pipeline.runs.envelope import CaptureCheck
from registry_pipeline.runs.pointer_file import pointer_hash, read_report, run_folder
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.scan import explain_missing_run
from registry_pipeline.runs.sealed_run import SealedRun, SealReport, Verdict
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline.values import replace


def check_rules(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Return how a run whose seal holds breaks the rules of its own registry; most registries have none."""
    judge = _RULES.get(sealed.registry_id)
    return () if judge is None or report.verdict != "pass" else judge(repository, sealed, report)


def _history(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    rows = report.kept.get(spec_of("run_registry").artifact)
    if rows is None:
        return ()
    previous = sealed.inputs.previous("run_registry")
    before: bytes | None = None
    if previous is not None and run_folder(repository, previous).is_dir():
        before = read_sealed(repository, spec_of("run_registry"), previous).kept[spec_of("run_registry").artifact]
    return check_history(
        before,
        rows,
        repository.config.run_roots,
        lister=f"the run registry {'' if previous is None else previous.run_id}",
        why_left_out=partial(explain_missing_run, repository.root),
    )


def _growth(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    """Judge a delta log against its previous one; one that was altered since proves nothing, and is told as such."""
    log = report.kept.get(spec_of(DELTA_LOG).artifact)
    if log is None:
        return ()
    previous = sealed.inputs.previous(DELTA_LOG)
    created_utc = (report.run_json or {}).get("created_utc")
    return check_delta_log(
        log,
        None if previous is None else _sound_artifact(repository, previous),
        path=f"{report.path}/{spec_of(DELTA_LOG).artifact}",
        run_id=report.run_id,
        created_utc=str(created_utc),
        previous_run_id=None if previous is None else previous.run_id,
    )


def _sound_artifact(repository: Repository, ref: SealedRef) -> bytes | None:
    artifact = spec_of(DELTA_LOG).artifact
    report = read_report(repository, ref, (artifact,))
    sound = report.verdict == "pass" and report.root_sha256 == ref.manifest_sha256
    return report.kept.get(artifact) if sound else None


def _coordination(repository: Repository, sealed: SealedRun, report: SealReport) -> tuple[Finding, ...]:
    from registry_pipeline.registries.entries.service import check_coordination  # noqa: PLC0415 - its room is wide; few verbs need it

    return check_coordination(repository, sealed, report)


_RULES: Final[Mapping[str, Callable[[Repository, SealedRun, SealReport], tuple[Finding, ...]]]] = MappingProxyType(
    {
        "run_registry": _history,
        DELTA_LOG: _growth,
        ROLE_REGISTRY: check_role_registry,
        RUN_INDEX: check_sealed_run_index,
        OVERRIDES_LOG: check_sealed_overrides_log,
        "module_registry": _coordination,
        "route_registry": _coordination,
        "ability_registry": _coordination,
        "hook_registry": _coordination,
    }
)
"""The rules of each registry that has any; a report holds the bytes of the run's artifacts."""


def capture_checks(
    repository: Repository, now: datetime
) -> Mapping[str, Callable[[bytes, str, Previous | None], CaptureCheck]]:
    """Return the checks of sources that more than a schema decides about, by registry; `now` decides about waivers."""
    return {ROLE_REGISTRY: partial(check_capture, repository, now)}


def validate(repository: Repository, sealed: SealedRun) -> Verdict:
    """Judge a sealed run: seal, envelope, schema, and the registry's own rules (runbook step 3).

    The verdict is bound to the root that was recomputed and to the pointer file of this moment.
    """
    pointers = pointer_hash(repository)
    shown = f"{sealed.ref.run_root}/{sealed.ref.run_id}"
    report = read_judgeable(run_folder(repository, sealed.ref), shown)
    judged = check_run(report, REGISTRIES)
    findings = list(judged.findings)
    if report.root_sha256 not in (None, sealed.ref.manifest_sha256):
        expected, got = sealed.ref.manifest_sha256, report.root_sha256
        findings.append(finding("ROOT_MISMATCH", shown, expected=expected, got=got))
    findings += check_rules(repository, sealed, report)
    told = sorted_findings(findings)
    verdict = "fail" if judged.verdict == "pass" and has_errors(told) else judged.verdict
    return replace(judged, findings=told, verdict=verdict, pointer_sha256=pointers)


def spec_of(registry_id: str) -> RegistrySpec:
    """Return the row of a registry.

    Raises:
        NotFoundError: no registry has that name.
    """
    spec = REGISTRIES.get(registry_id)
    if spec is None:
        raise NotFoundError(f"no registry is called {registry_id!r}", "`registry-pipeline registries` lists them")
    return spec


def read_judgeable(path: Path | str, shown: str) -> SealReport:
    """Return what the verifier recomputes of a folder, with the bytes of all files that `check_run` judges."""
    return with_own_names(verify_folder(path, shown=shown, keep=needed_files(REGISTRIES)), path)


def with_own_names(report: SealReport, path: Path | str) -> SealReport:
    """Return a report with the bytes of the files to judge whose names only their folder knows.

    It is verified once more for them, where there are any: what is judged are the bytes of one reading.
    """
    more = more_needed_files(report, REGISTRIES)
    return verify_folder(path, shown=report.path, keep=needed_files(REGISTRIES) | more) if more else report
