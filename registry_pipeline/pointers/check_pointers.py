"""Check the parsed pointer file against the registry table, the run folders and the chain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Repository
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import CODES, finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.plan import (
    can_be_active,
    find_inconsistent_inputs,
)
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.envelope import Inputs, is_foreign
from registry_pipeline.runs.pointer_file import has_registry_id
from registry_pipeline.runs.reference import Pointer, PointerFile, RunIdentity, SealedRef
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import replace, value_type

_ADOPT: Final = "run `registry-pipeline init --adopt` to take over the file of an older tool, or correct it"


@value_type
class _Entry:
    """One entry of the pointer file, and its location for findings."""

    path: str
    location: str
    pointer: Pointer

    def finding(self, code: str, key: str, *, severity: Severity | None = None, **words: Any) -> Finding:
        words = {"registry": self.pointer.registry_id} | words
        return finding(code, self.path, location=f"{self.location}{key}", severity=severity, **words)


def check_pointers(
    pointer_file: PointerFile,
    *,
    repository: Repository,
    specs: Mapping[str, RegistrySpec],
    verdict_of: Callable[[SealedRef], Verdict | None],
    inputs_of: Callable[[SealedRef], Inputs | None],
    now: datetime,
    marked_bad: Mapping[str, str],
    accepted_foreign: Collection[RunIdentity] = (),
) -> tuple[Finding, ...]:
    """Return the findings about parsed pointers; the runs of pointers that are not `true` are not checked.

    `verdict_of` returns the verdict on a run in a configured run root, None if its folder is missing. `inputs_of`
    returns its recorded inputs, if there are any. No activation may be later than `now`.
    """
    findings: list[Finding] = []
    active: dict[str, SealedRun] = {}
    entries = _list_entries(pointer_file, repository.config.pointers)
    for registry_id, entry in entries.items():
        spec, ref = specs.get(registry_id), entry.pointer.ref
        findings += _check_registry_and_time(entry, spec, now)
        if ref is not None and ref.run_root not in repository.config.run_roots:
            expected = ", ".join(repository.config.run_roots)
            code, key = "POINTER_RUN_ROOT", "/active_ref/run_root"
            findings.append(entry.finding(code, key, expected=expected, got=ref.run_root))
        elif ref is not None and entry.pointer.known is True:
            verdict = verdict_of(ref)
            findings += _check_active(entry, ref, spec, verdict, marked_bad)
            if verdict is not None:
                findings += _check_origin(entry, ref, verdict, repository.config.repository_id, accepted_foreign)
                active[registry_id] = SealedRun(registry_id, ref, inputs_of(ref) or Inputs(), "")
    for edge in find_inconsistent_inputs(active, specs):
        words: dict[str, Any] = {"upstream": edge.upstream_id, "rebuilt": edge.upstream_id, "got": edge.recorded.run_id}
        expected_run = None if edge.active is None else edge.active.run_id
        entry = entries[edge.registry_id]
        findings.append(entry.finding("POINTER_INPUTS_MIXED", "/active_ref", expected=expected_run, **words))
    return sorted_findings(findings)


def _list_entries(pointer_file: PointerFile, path: str) -> dict[str, _Entry]:
    """Return each pointer with its location in the document; without one, its number in the parsed file."""
    document = pointer_file.document.get("pointers")
    numbers = {p.registry_id: number for number, p in enumerate(pointer_file.pointers)}
    if isinstance(document, list):
        numbers |= {entry["registry_id"]: number for number, entry in enumerate(document) if has_registry_id(entry)}
    return {p.registry_id: _Entry(path, f"/pointers/{numbers[p.registry_id]}", p) for p in pointer_file.pointers}


def advise_on_file(findings: Iterable[Finding], *, has_records: bool) -> tuple[Finding, ...]:
    """Return findings of `parse_pointer_file` with the advice for a file with or without activation records."""
    # The last record can only restore a file that has one. An empty file must not replace a recorded state.
    restorable = CODES["POINTER_SHAPE"].hint
    if has_records:
        return tuple(replace(f, hint=restorable) if f.code == "POINTER_FILE_MISSING" else f for f in findings)
    return tuple(replace(f, hint=_ADOPT) if f.hint == restorable else f for f in findings)


def _check_registry_and_time(entry: _Entry, spec: RegistrySpec | None, now: datetime) -> Iterator[Finding]:
    """Yield a finding for a registry that cannot have an active run, and for an activation later than `now`."""
    pointer = entry.pointer
    if not can_be_active(spec) and (spec is None or pointer.known is True):
        # Without an active run this may be a registry of a later version.
        severity = None if pointer.known is True else Severity.WARNING
        yield entry.finding("POINTER_UNKNOWN_REGISTRY", "/registry_id", severity=severity, got=pointer.registry_id)
    asof = parse_utc(pointer.asof_utc)
    if asof is not None and asof > now:
        yield entry.finding("POINTER_ASOF", "/active_asof_utc", got=pointer.asof_utc, detail="in the future")


def _check_active(
    entry: _Entry,
    ref: SealedRef,
    spec: RegistrySpec | None,
    verdict: Verdict | None,
    marked_bad: Mapping[str, str],
) -> Iterator[Finding]:
    """Yield the findings about an active run, apart from its origin; `verdict` is None if its folder is missing."""
    if ref.run_id in marked_bad:
        yield entry.finding("POINTER_MARKED_BAD", "/active_ref/run_id", got=ref.run_id, detail=marked_bad[ref.run_id])
    artifacts = _list_artifacts(spec, ref, verdict)
    is_seal_file = ref.relpath is not None and ref.relpath in (*SEAL_FILES, "run.json")
    if spec is not None and can_be_active(spec) and (is_seal_file or ref.relpath not in (artifacts or (None,))):
        expected = " or ".join(artifacts) or "null"
        yield entry.finding("POINTER_NOT_PAYLOAD", "/active_ref/relpath", expected=expected, got=ref.relpath)
    if verdict is None:
        yield entry.finding("POINTER_RUN_MISSING", "/active_ref/run_id", got=ref.path)
        return
    if not verdict.passed:
        codes = sorted({f.code for f in verdict.errors()}) or [verdict.verdict]
        yield entry.finding("POINTER_SEAL_INVALID", "/active_ref", got=ref.run_id, detail=", ".join(codes))
    if verdict.root_sha256 not in (None, ref.manifest_sha256):
        expected, got = ref.manifest_sha256, verdict.root_sha256
        yield entry.finding("POINTER_ROOT_MISMATCH", "/active_ref/manifest_sha256", expected=expected, got=got)
    if verdict.registry_id not in (None, entry.pointer.registry_id):
        expected, got = entry.pointer.registry_id, verdict.registry_id
        yield entry.finding("POINTER_REGISTRY_RUN_MISMATCH", "/active_ref/run_id", expected=expected, got=got)
    elif verdict.registry_id is None and verdict.passed and ref.relpath is not None:
        # The folder contains no artifact of any registry, so relpath names a missing file.
        yield entry.finding("POINTER_NOT_PAYLOAD", "/active_ref/relpath", got=ref.relpath)


def _check_origin(
    entry: _Entry, ref: SealedRef, verdict: Verdict, own: str | None, accepted_foreign: Collection[RunIdentity]
) -> Iterator[Finding]:
    """Yield a finding for a run with another repository_id than `own`, which may be None; a warning if accepted."""
    stated = verdict.repository_id
    if is_foreign(stated, own):
        accepted = ref.identity in accepted_foreign
        severity = Severity.WARNING if accepted else None
        detail = f"{'an' if accepted else 'no'} activation record of this repository accepts it"
        words = {"detail": detail, "run_id": ref.run_id}
        yield entry.finding("POINTER_FOREIGN", "/active_ref", severity=severity, expected=own, got=stated, **words)
    elif own is None and stated is not None:
        # The id of this repository was removed: a run states one only if its repository had one.
        yield entry.finding("POINTER_ORIGIN_UNKNOWN", "/active_ref", got=stated)


def _list_artifacts(spec: RegistrySpec | None, ref: SealedRef, verdict: Verdict | None) -> tuple[str, ...]:
    """Return the artifacts that a reference may name: those of the registry, or the one that the run captured."""
    if spec is None:
        return ()
    if not spec.is_one_capture or ref.relpath is None:
        return spec.artifacts
    # The file name of a captured source differs from run to run.
    captured = ref.relpath if verdict is None else verdict.artifact
    return spec.artifacts if captured is None else (captured,)
