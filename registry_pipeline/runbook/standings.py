"""How every row of the registry table stands, as the scorecard counts it (SPEC 4.6)."""

from __future__ import annotations

from datetime import datetime

from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError
from registry_pipeline.model.inputs import RegistryStanding
from registry_pipeline.model.refs import Pointer, SealedRef
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.query.listing import RunFolder, dated_runs, list_run_folders
from registry_pipeline.runbook.reading import read_pointers, read_report, read_sealed, run_folder


def read_standings(governed: Governed, before: datetime) -> tuple[tuple[RegistryStanding, ...], dict[str, SealedRef]]:
    """Return how every registry stands, and the active runs that verify, by registry.

    Folders of the moment `before` and later are not looked at: what a build run seals does not change what it counts.
    """
    pointers = read_pointers(governed)
    active: dict[str, SealedRef] = {}
    for registry_id in REGISTRIES:
        ref = pointers.active(registry_id)
        if ref is not None and run_folder(governed, ref).is_dir() and _verifies(governed, registry_id, ref):
            active[registry_id] = ref
    newest = _newest(governed, before)
    standings = [
        _standing(
            spec,
            pointers.get(registry_id),
            sealed=registry_id in active or _is_sealed(governed, newest.get(registry_id)),
        )
        for registry_id, spec in REGISTRIES.items()
    ]
    return tuple(standings), active


def _standing(spec: RegistrySpec, pointer: Pointer | None, *, sealed: bool) -> RegistryStanding:
    known = pointer is not None and pointer.known is True and pointer.ref is not None
    reason = (pointer.notes if pointer is not None else "") or spec.excluded_because or "no snapshot was activated yet"
    return RegistryStanding(
        registry_id=spec.registry_id,
        with_schema=bool(spec.schemas),
        sealed=sealed,
        can_be_active=spec.pointer,
        known=known,
        reason="" if known else reason,
    )


def _newest(governed: Governed, before: datetime) -> dict[str, RunFolder]:
    by_tag = {spec.tag: name for name, spec in REGISTRIES.items() if spec.tag}
    listing = list_run_folders(governed.root, governed.config.run_roots)
    return {by_tag[run_id.tag]: folder for run_id, folder in dated_runs(listing, by_tag) if run_id.stamp < before}


def _verifies(governed: Governed, registry_id: str, ref: SealedRef) -> bool:
    try:
        read_sealed(governed, registry_id, ref)
    except EvidenceError:
        return False
    return True


def _is_sealed(governed: Governed, folder: RunFolder | None) -> bool:
    if folder is None:
        return False
    ref = SealedRef(folder.run_id, folder.run_root, None, "")
    return read_report(governed, ref).verdict == "pass"
