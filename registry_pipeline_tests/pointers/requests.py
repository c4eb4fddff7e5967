"""Runs, verdicts and requests for the plan: `run("op_status_table", 2, run_registry=1)`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.pointers.plan import ActivationRequest, ActivationState, Candidate
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.reference import Pointer, PointerFile, SealedRef, empty_pointer_file, pointer_file_bytes
from registry_pipeline.runs.sealed_run import SealedRun, Verdict
from registry_pipeline.values import replace

RUNS = ".codex/RUNS"
NOW = "2026-02-20T12:00:00Z"
HEAD = SealedRef("2026-02-01__000000__pointer_activation", RUNS, "POINTER_ACTIVATION_v0_1.json", "ab" * 32)
UPSTREAM = {
    "run_registry": (),
    "expected_versions": (),
    "op_status_table": ("run_registry",),
    "drift_signals": ("run_registry", "op_status_table", "expected_versions"),
    "system_health_report": ("run_registry", "drift_signals"),
}


def spec(registry_id: str, **fields: Any) -> RegistrySpec:
    common: dict[str, Any] = {"kind": "built", "title": "", "artifacts": ("A.json",), "schemas": (), "version": "0.1"}
    return RegistrySpec(registry_id=registry_id, operation_id=None, tag=None, **(common | fields))


SPECS = {name: spec(name, pointer=name != "system_health_report", depends_on=deps) for name, deps in UPSTREAM.items()}
SPECS["threshold_registry_db"] = spec("threshold_registry_db", kind="external", artifacts=())


def ref(registry_id: str, day: int) -> SealedRef:
    digest = hashlib.sha256(f"{registry_id} {day}".encode()).hexdigest()
    return SealedRef(f"2026-02-{day:02d}__000000__{registry_id}_build", RUNS, "A.json", digest)


def run(registry_id: str, day: int, **upstream: int) -> SealedRun:
    inputs = Inputs(tuple(InputRegistry(name, "upstream", ref(name, made)) for name, made in upstream.items()))
    as_of_utc = f"2026-02-{day:02d}T00:00:00Z"
    return SealedRun(registry_id, ref(registry_id, day), inputs=inputs, as_of_utc=as_of_utc)


def passed(sealed: SealedRun) -> Verdict:
    place = f"{sealed.ref.run_root}/{sealed.ref.run_id}"
    return Verdict(place, sealed.ref.run_id, sealed.registry_id, "pass", sealed.ref.manifest_sha256, ())


def candidate(sealed: SealedRun, **changes: Any) -> Candidate:
    return Candidate(sealed, replace(passed(sealed), **changes))


def pointers_to(runs: Iterable[SealedRun], **foreign: Any) -> PointerFile:
    empty = empty_pointer_file("2026-02-01T00:00:00Z")
    pointers = tuple(Pointer(r.registry_id, r.ref, known=True, asof_utc=r.as_of_utc, notes="") for r in runs)
    file = PointerFile(dict(foreign) | dict(empty.document), pointers, None)
    return replace(file, sha256=sha256_hex(pointer_file_bytes(file)))


def request(
    candidates: Iterable[Candidate | SealedRun],
    active: Iterable[SealedRun] = (),
    *,
    absent: Iterable[SealedRun] = (),
    marked_bad: Mapping[str, str] | None = None,
    **changes: Any,
) -> ActivationRequest:
    """Return a request; `absent` are active too, but their folders are not there."""
    present = list(active)
    pointers = changes.pop("pointers", pointers_to([*present, *absent]))
    state = ActivationState(
        active={r.registry_id: r for r in present if pointers.active(r.registry_id) == r.ref},
        specs=SPECS,
        run_roots=(RUNS, "reports/runs"),
        marked_bad=marked_bad or {},
        repository_id=changes.pop("repository_id", None),
        accepted_foreign=changes.pop("accepted_foreign", frozenset()),
    )
    request = ActivationRequest(
        candidates=tuple(c if isinstance(c, Candidate) else candidate(c) for c in candidates),
        pointers=pointers,
        state=state,
        previous=HEAD,
        actor="a test",
        reason="because",
        now_utc=NOW,
    )
    return replace(request, **changes)


def with_state(request: ActivationRequest, **changes: Any) -> ActivationRequest:
    """Return a request whose state is changed."""
    return replace(request, state=replace(request.state, **changes))
