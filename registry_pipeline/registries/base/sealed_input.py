"""Read sealed runs, verified on every read, for builders, checks and renderers."""

from __future__ import annotations

from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError
from registry_pipeline.registries.base.claims import find_artifacts
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.pointer_file import read_pointers, run_folder, verify_referenced_run
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, SealReport


def make_sealed_run(registry_id: str, ref: SealedRef, report: SealReport) -> SealedRun:
    """Return a folder that the caller has verified as a sealed run; it counts as reused, not as built now."""
    envelope = report.run_json or {}
    as_of = envelope.get("as_of_utc") or envelope.get("created_utc")
    return SealedRun(
        registry_id=registry_id,
        ref=ref,
        inputs=Inputs.from_json(envelope.get("inputs")),
        as_of_utc=as_of if isinstance(as_of, str) else "",
        reused=True,
    )


def read_sealed_report(repository: Repository, spec: RegistrySpec, ref: SealedRef) -> SealReport:
    """Return the verified report of a run with its artifacts; raise EvidenceError if it is not what `ref` names."""
    registry_id = spec.registry_id
    keep = {*spec.artifacts, *([] if ref.relpath is None else [ref.relpath])}
    report = verify_referenced_run(repository, ref, keep)
    # Only the folder names the artifacts of a registry of many files, so it is read twice.
    if spec.multi_file and report.verdict == "pass":
        report = verify_referenced_run(
            repository, ref, find_artifacts(spec, [entry.relpath for entry in report.entries])
        )
    if report.verdict != "pass":
        codes = ", ".join(sorted({f.code for f in report.findings}))
        raise EvidenceError(
            f"{registry_id}: the run {ref.run_id} does not verify ({codes}); it is not used",
            f"see `registry-pipeline verify {ref.run_id}`, then `registry-pipeline build {registry_id}`",
        )
    # A folder that was replaced by another valid one verifies, but is not the run of the reference.
    if report.root_sha256 != ref.manifest_sha256:
        raise EvidenceError(
            f"{registry_id}: the run {ref.run_id} has the root {report.root_sha256} instead of {ref.manifest_sha256}",
            f"the folder was replaced; run `registry-pipeline build {registry_id}` to make a new one",
        )
    return report


def read_active_run(repository: Repository, spec: RegistrySpec) -> SealedRun | None:
    """Return the active run of a registry, verified; raise EvidenceError if it does not verify.

    None if there is none, or if its folder is missing, as in a clone without the runs.
    """
    ref = read_pointers(repository).active(spec.registry_id)
    if ref is None or not run_folder(repository, ref).is_dir():
        return None
    return make_sealed_run(spec.registry_id, ref, read_sealed_report(repository, spec, ref))
