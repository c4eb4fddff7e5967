"""Reading sealed runs, verified on read: what builders, checks and renderers are given."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from registry_pipeline.canon import sha256_hex
from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.model.attribution import artifacts_in
from registry_pipeline.model.envelope import Inputs
from registry_pipeline.model.refs import PointerFile, SealedRef
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.model.verdict import SealedRun, SealReport
from registry_pipeline.seal.verify import verify_folder
from registry_pipeline.validate.pointers import parse_pointer_file
from registry_pipeline.validate.run import more_needed_files, needed_files


def spec_of(registry_id: str) -> RegistrySpec:
    """Return the row of a registry.

    Raises:
        NotFoundError: no registry has that name.
    """
    spec = REGISTRIES.get(registry_id)
    if spec is None:
        raise NotFoundError(f"no registry is called {registry_id!r}", "`registry-pipeline registries` lists them")
    return spec


def read_pointer_bytes(governed: Governed) -> bytes | None:
    """Return the pointer file's bytes, or None where there is none."""
    try:
        return governed.pointer_path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotFoundError(f"{governed.config.pointers} cannot be read: {error.strerror}", "mend it") from None


def pointer_hash(governed: Governed) -> str | None:
    """Return the hash of the pointer file as it is now, None where there is none."""
    data = read_pointer_bytes(governed)
    return None if data is None else sha256_hex(data)


def read_pointers(governed: Governed) -> PointerFile:
    """Return the pointers as the file states them; findings about the file are the business of `inspect`."""
    return parse_pointer_file(read_pointer_bytes(governed), governed.config.pointers)[0]


def run_folder(governed: Governed, ref: SealedRef) -> Path:
    """Return the folder that a reference names, whether it is there or not."""
    return governed.path(ref.run_root) / ref.run_id


def sealed_run(registry_id: str, ref: SealedRef, report: SealReport) -> SealedRun:
    """Return a verified folder as the sealed run that it is."""
    envelope = report.run_json or {}
    as_of = envelope.get("as_of_utc") or envelope.get("created_utc")
    return SealedRun(
        registry_id=registry_id,
        ref=ref,
        inputs=Inputs.from_json(envelope.get("inputs")),
        as_of_utc=as_of if isinstance(as_of, str) else "",
        reused=True,
    )


def read_report(governed: Governed, ref: SealedRef, keep: Collection[str] = ()) -> SealReport:
    """Return what the verifier recomputes of a referenced folder, with the bytes of the files named in `keep`."""
    shown = f"{ref.run_root}/{ref.run_id}"
    return verify_folder(governed.path(shown), shown=shown, keep=keep)


def read_judgeable(path: Path | str, shown: str) -> SealReport:
    """Return what the verifier recomputes of a folder, with the bytes of all files that `check_run` judges."""
    return with_own_names(verify_folder(path, shown=shown, keep=needed_files(REGISTRIES)), path)


def with_own_names(report: SealReport, path: Path | str) -> SealReport:
    """Return a report with the bytes of the files to judge whose names only their folder knows.

    It is verified once more for them, where there are any: what is judged are the bytes of one reading.
    """
    more = more_needed_files(report, REGISTRIES)
    return verify_folder(path, shown=report.path, keep=needed_files(REGISTRIES) | more) if more else report


def read_sealed(governed: Governed, spec: RegistrySpec, ref: SealedRef) -> SealReport:
    """Return the verified folder of a registry with its artifacts' bytes; of many files, those that a schema judges.

    Raises:
        EvidenceError: it does not verify, or has another root than the reference names (exit 3).
    """
    registry_id = spec.registry_id
    keep = {*spec.artifacts, *([] if ref.relpath is None else [ref.relpath])}
    report = read_report(governed, ref, keep)
    if spec.many_files and report.verdict == "pass":
        report = read_report(governed, ref, artifacts_in(spec, [entry.relpath for entry in report.entries]))
    if report.verdict != "pass":
        codes = ", ".join(sorted({f.code for f in report.findings}))
        raise EvidenceError(
            f"{registry_id}: the run {ref.run_id} does not verify ({codes}); nothing is built on it",
            f"see `registry-pipeline verify {ref.run_id}`, then `registry-pipeline build {registry_id}`",
        )
    if report.root_sha256 != ref.manifest_sha256:
        raise EvidenceError(
            f"{registry_id}: the run {ref.run_id} has the root {report.root_sha256} and not {ref.manifest_sha256}",
            f"the folder is not the one that was named; `registry-pipeline build {registry_id}` makes a new one",
        )
    return report


def active_run(governed: Governed, spec: RegistrySpec) -> SealedRun | None:
    """Return the run that the pointer file names for a registry, verified, or None where nothing is active.

    An active run whose folder is absent (a clone without the runs) counts as none.

    Raises:
        EvidenceError: the active run does not verify.
    """
    ref = read_pointers(governed).active(spec.registry_id)
    if ref is None or not run_folder(governed, ref).is_dir():
        return None
    return sealed_run(spec.registry_id, ref, read_sealed(governed, spec, ref))
