"""The pointer file judged: what it says, and whether the store agrees (SPEC 2.3, 5).

`parse_pointer_file` needs the bytes alone and takes any bytes. `check_pointers` compares what they say with the
registry table and with the run folders, which the caller verifies. An entry whose state or reference is broken is
told and left out of the parsed file, so that nothing is read through it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Repository
from registry_pipeline.files.path_policy import SEAL_FILES
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, sorted_findings
from registry_pipeline.pointers.consistency import ActiveRun, InconsistentInput, can_be_active, find_inconsistent_inputs
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import Inputs, is_foreign
from registry_pipeline.runs.pointer_file import names_registry
from registry_pipeline.runs.reference import Pointer, PointerFile, RunIdentity, SealedRef
from registry_pipeline.runs.sealed_run import Verdict
from registry_pipeline.values import replace, value_type

"""Bytes; a pointer file has some four hundred for each registry."""


@value_type
class _Place:
    """One entry of the pointer file, as `check_pointers` names it in findings."""

    shown: str
    location: str
    pointer: Pointer

    def tell(self, code: str, key: str, *, expected: object = None, got: object = None, **words: str) -> Finding:
        place = f"{self.location}{key}"
        return finding(code, self.shown, location=place, expected=expected, got=got, severity=None, **words)


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
    """Return what the parsed pointers get wrong about the registry table and the run folders.

    Only a pointer that is `true` is in force, so only its run is verified. Findings of the file's own form come from
    `parse_pointer_file`.

    Args:
        pointer_file: The parsed pointer file.
        governed: The repository, for its run roots and the pointer file's path.
        specs: The registry table.
        verdict_of: Verifies the run that a reference names; None where its folder is not there. Asked only for runs
            directly under a configured run root.
        inputs_of: The recorded inputs of such a run; None where it records none.
        now: The present; an activation cannot be later.
        marked_bad: Run id to reason of the runs marked bad.
        accepted_foreign: The runs of other repositories that the chain shows as accepted.
    """
    found: list[Finding] = []
    active: dict[str, ActiveRun] = {}
    places = _places(pointer_file, repository.config.pointers)
    for registry_id, place in places.items():
        spec, ref = specs.get(registry_id), place.pointer.ref
        found += [*_check_registry(place, spec), *_check_moment(place, now)]
        if ref is not None and ref.run_root not in repository.config.run_roots:
            expected = ", ".join(repository.config.run_roots)
            found.append(place.tell("POINTER_RUN_ROOT", "/active_ref/run_root", expected=expected, got=ref.run_root))
        elif ref is not None and place.pointer.known is True:
            verdict = verdict_of(ref)
            found += _check_active(place, ref, spec, verdict, marked_bad)
            if verdict is not None:
                found += _check_origin(place, ref, verdict, repository.config.repository_id, accepted_foreign)
                active[registry_id] = ActiveRun(ref, inputs_of(ref) or Inputs(), None)
    found += [_mixed(places[edge.registry_id], edge) for edge in find_inconsistent_inputs(active, specs)]
    return sorted_findings(found)


def _places(pointer_file: PointerFile, shown: str) -> dict[str, _Place]:
    """Return each pointer with its place in the document; one that was only moved in memory goes by its order."""
    entries = pointer_file.document.get("pointers")
    numbers = {p.registry_id: number for number, p in enumerate(pointer_file.pointers)}
    if isinstance(entries, list):
        numbers |= {entry["registry_id"]: number for number, entry in enumerate(entries) if names_registry(entry)}
    return {p.registry_id: _Place(shown, f"/pointers/{numbers[p.registry_id]}", p) for p in pointer_file.pointers}


def _check_registry(place: _Place, spec: RegistrySpec | None) -> Iterator[Finding]:
    """A pointer in force needs a registry that has one; a registry of a later version may be named as unknown."""
    known = place.pointer.known
    if not can_be_active(spec) and (spec is None or known is True):
        told = place.tell("POINTER_UNKNOWN_REGISTRY", "/registry_id", got=place.pointer.registry_id)
        yield told if known is True else replace(told, severity=Severity.WARNING)


def _check_moment(place: _Place, now: datetime) -> Iterator[Finding]:
    asof = parse_utc(place.pointer.asof_utc)
    if asof is not None and asof > now:
        yield place.tell("POINTER_ASOF", "/active_asof_utc", got=place.pointer.asof_utc, detail="in the future")


def _check_active(
    place: _Place,
    ref: SealedRef,
    spec: RegistrySpec | None,
    verdict: Verdict | None,
    marked_bad: Mapping[str, str],
) -> Iterator[Finding]:
    if ref.run_id in marked_bad:
        yield place.tell("POINTER_MARKED_BAD", "/active_ref/run_id", got=ref.run_id, detail=marked_bad[ref.run_id])
    payload = _payload(spec, ref, verdict)
    is_seal_file = ref.relpath is not None and ref.relpath in (*SEAL_FILES, "run.json")
    if spec is not None and can_be_active(spec) and (is_seal_file or ref.relpath not in (payload or (None,))):
        expected = " or ".join(payload) or "null"
        yield place.tell("POINTER_NOT_PAYLOAD", "/active_ref/relpath", expected=expected, got=ref.relpath)
    if verdict is None:
        yield place.tell("POINTER_RUN_MISSING", "/active_ref/run_id", got=f"{ref.run_root}/{ref.run_id}")
        return
    if not verdict.passed:
        codes = sorted({f.code for f in verdict.errors()}) or [verdict.verdict]
        yield place.tell("POINTER_SEAL_INVALID", "/active_ref", got=ref.run_id, detail=", ".join(codes))
    if verdict.root_sha256 not in (None, ref.manifest_sha256):
        expected, got = ref.manifest_sha256, verdict.root_sha256
        yield place.tell("POINTER_ROOT_MISMATCH", "/active_ref/manifest_sha256", expected=expected, got=got)
    if verdict.registry_id not in (None, place.pointer.registry_id):
        expected, got = place.pointer.registry_id, verdict.registry_id
        yield place.tell("POINTER_REGISTRY_RUN_MISMATCH", "/active_ref/run_id", expected=expected, got=got)
    elif verdict.registry_id is None and verdict.passed and ref.relpath is not None:
        # No artifact of any registry is in the folder: what the reference names is not there.
        yield place.tell("POINTER_NOT_PAYLOAD", "/active_ref/relpath", got=ref.relpath)


def _check_origin(
    place: _Place, ref: SealedRef, verdict: Verdict, own: str | None, accepted_foreign: Collection[RunIdentity]
) -> Iterator[Finding]:
    """Yield the finding on an active run of another repository: an error unless the chain shows that it is accepted."""
    stated = verdict.repository_id
    if is_foreign(stated, own):
        accepted = ref.identity in accepted_foreign
        told = place.tell(
            "POINTER_FOREIGN",
            "/active_ref",
            expected=own,
            got=stated,
            detail=f"{'an' if accepted else 'no'} activation record of this repository accepts it",
            registry=place.pointer.registry_id,
            run_id=ref.run_id,
        )
        yield replace(told, severity=Severity.WARNING) if accepted else told
    elif own is None and stated is not None:
        # A run without an id is older than the id and was accepted so; an id without a repository's was taken away.
        yield place.tell("POINTER_ORIGIN_UNKNOWN", "/active_ref", got=stated)


def _payload(spec: RegistrySpec | None, ref: SealedRef, verdict: Verdict | None) -> tuple[str, ...]:
    """Return the artifacts that a reference may name; a captured file has the name that its folder gives it."""
    if spec is None or not spec.is_one_capture or ref.relpath is None:
        return () if spec is None else spec.artifacts
    held = ref.relpath if verdict is None else verdict.artifact
    return spec.artifacts if held is None else (held,)


def _mixed(place: _Place, edge: InconsistentInput) -> Finding:
    expected = None if edge.active is None else edge.active.run_id
    words = {"detail": edge.upstream_id, "registry": edge.upstream_id}
    return place.tell("POINTER_INPUTS_MIXED", "/active_ref", expected=expected, got=edge.recorded.run_id, **words)
