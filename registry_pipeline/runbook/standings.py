"""How every row of the registry table stands, as the scorecard counts it (SPEC 4.6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime

from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError
from registry_pipeline.model.inputs import RegistryStanding
from registry_pipeline.model.refs import Pointer, SealedRef
from registry_pipeline.model.spec import RegistrySpec
from registry_pipeline.model.verdict import SealReport
from registry_pipeline.query.listing import RunFolder, dated_runs, list_run_folders
from registry_pipeline.runbook.reading import read_pointers, read_report, read_sealed, run_folder

ForeignId = Callable[[SealReport], str | None]
"""Returns the repository_id of a verified run of another repository, None for a run that may be used here."""


def read_standings(
    governed: Governed, before: datetime, foreign_id: ForeignId
) -> tuple[tuple[RegistryStanding, ...], dict[str, SealedRef]]:
    """Return how every registry stands, and the active runs that verify, by registry.

    Folders of the moment `before` and later are not looked at: what a build run seals does not change what it counts.
    Runs of other repositories do not count, neither as active nor as the newest.
    """
    pointers = read_pointers(governed)
    active: dict[str, SealedRef] = {}
    for registry_id in REGISTRIES:
        ref = pointers.active(registry_id)
        if ref is not None and run_folder(governed, ref).is_dir() and _counts(governed, registry_id, ref, foreign_id):
            active[registry_id] = ref
    newest = _newest(governed, before)
    standings = [
        _standing(
            spec,
            pointers.get(registry_id),
            sealed=registry_id in active or _is_newest_sealed(governed, newest.get(registry_id, ()), foreign_id),
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


def _newest(governed: Governed, before: datetime) -> dict[str, list[RunFolder]]:
    """Return the folders of each registry, the newest first."""
    by_tag = {spec.tag: name for name, spec in REGISTRIES.items() if spec.tag}
    listing = list_run_folders(governed.root, governed.config.run_roots)
    folders: defaultdict[str, list[RunFolder]] = defaultdict(list)
    for run_id, folder in reversed(dated_runs(listing, by_tag)):
        if run_id.stamp < before:
            folders[by_tag[run_id.tag]].append(folder)
    return folders


def _counts(governed: Governed, registry_id: str, ref: SealedRef, foreign_id: ForeignId) -> bool:
    """Return whether an active run verifies and may be used in this repository."""
    try:
        return foreign_id(read_sealed(governed, REGISTRIES[registry_id], ref)) is None
    except EvidenceError:
        return False


def _is_newest_sealed(governed: Governed, folders: Iterable[RunFolder], foreign_id: ForeignId) -> bool:
    """Return whether the newest folder that is not another repository's verifies."""
    for folder in folders:
        report = read_report(governed, SealedRef(folder.run_id, folder.run_root, None, ""))
        if report.verdict != "pass" or foreign_id(report) is None:
            return report.verdict == "pass"
    return False
