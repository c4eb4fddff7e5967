"""The store of sealed runs as it stands: what verifies, what is active, what the chain says of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property

from registry_pipeline.config import Repository
from registry_pipeline.errors import EvidenceError
from registry_pipeline.pointers.state import foreign_id_of, read_accepted_foreign, read_chain_state
from registry_pipeline.registries.base.sealed_input import read_sealed
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.registries.base.values import RegistryState
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.runs.authenticated import read_entries_for_root
from registry_pipeline.runs.listing import RunFolder, dated_runs, list_run_folders
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.pointer_file import read_pointers, read_report, run_folder
from registry_pipeline.runs.reference import Pointer, PointerFile, RunIdentity, SealedRef
from registry_pipeline.runs.sealed_run import SealReport

"""How long a reader waits for a change of the pointers that is in progress."""


class Store:
    """Answers a reader about sealed runs; runs are read and verified when they are asked for.

    Only the foreign runs that the chain accepts are kept: a fork may have a thousand folders to ask about.
    """

    def __init__(self, repository: Repository, started: datetime) -> None:
        self.repository = repository
        self.started = started

    def verify(self, run_root: str, run_id: str, keep: Collection[str] = ()) -> SealReport:
        """Return what the verifier recomputes of a folder, with the bytes of the files named in `keep`."""
        return read_report(self.repository, SealedRef(run_id, run_root, None, ""), keep)

    def foreign_id(self, report: SealReport) -> str | None:
        """Return the repository_id of a verified run of another repository, None for a run that may be used here."""
        return foreign_id_of(self.repository, report, lambda: self._accepted_foreign)

    @cached_property
    def _accepted_foreign(self) -> frozenset[RunIdentity]:
        return read_accepted_foreign(self.repository)

    def proven_entries(self, ref: SealedRef) -> tuple[ManifestEntry, ...] | None:
        """Return the manifest of a run as far as its root proves it, without its payload; None where it does not."""
        return read_entries_for_root(run_folder(self.repository, ref), ref.manifest_sha256)

    def pointers(self) -> PointerFile:
        """Return the pointers as the file states them."""
        return read_pointers(self.repository)

    def marked_bad(self) -> Mapping[str, str]:
        """Return the run ids that somebody has marked bad, with the reasons."""
        return read_chain_state(self.repository).marked_bad

    def standings(self) -> tuple[tuple[RegistryState, ...], Mapping[str, SealedRef]]:
        """Return how every registry stood when the build run began, and the active runs that verify, by registry."""
        return read_registry_states(self.repository, self.started, self.foreign_id)


ForeignId = Callable[[SealReport], str | None]
"""Returns the repository_id of a verified run of another repository, None for a run that may be used here."""


def read_registry_states(
    repository: Repository, before: datetime, foreign_id: ForeignId
) -> tuple[tuple[RegistryState, ...], dict[str, SealedRef]]:
    """Return how every registry stands, and the active runs that verify, by registry.

    Folders of the moment `before` and later are not looked at: what a build run seals does not change what it counts.
    Runs of other repositories do not count, neither as active nor as the newest.
    """
    pointers = read_pointers(repository)
    active: dict[str, SealedRef] = {}
    for registry_id in REGISTRIES:
        ref = pointers.active(registry_id)
        if (
            ref is not None
            and run_folder(repository, ref).is_dir()
            and _counts(repository, registry_id, ref, foreign_id)
        ):
            active[registry_id] = ref
    newest = _newest(repository, before)
    standings = [
        _standing(
            spec,
            pointers.get(registry_id),
            sealed=registry_id in active or _is_newest_sealed(repository, newest.get(registry_id, ()), foreign_id),
        )
        for registry_id, spec in REGISTRIES.items()
    ]
    return tuple(standings), active


def _standing(spec: RegistrySpec, pointer: Pointer | None, *, sealed: bool) -> RegistryState:
    known = pointer is not None and pointer.known is True and pointer.ref is not None
    reason = (pointer.notes if pointer is not None else "") or spec.excluded_because or "no snapshot was activated yet"
    return RegistryState(
        registry_id=spec.registry_id,
        with_schema=bool(spec.schemas),
        sealed=sealed,
        can_be_active=spec.pointer,
        known=known,
        reason="" if known else reason,
    )


def _newest(repository: Repository, before: datetime) -> dict[str, list[RunFolder]]:
    """Return the folders of each registry, the newest first."""
    by_tag = {spec.tag: name for name, spec in REGISTRIES.items() if spec.tag}
    listing = list_run_folders(repository.root, repository.config.run_roots)
    folders: defaultdict[str, list[RunFolder]] = defaultdict(list)
    for run_id, folder in reversed(dated_runs(listing, by_tag)):
        if run_id.stamp < before:
            folders[by_tag[run_id.tag]].append(folder)
    return folders


def _counts(repository: Repository, registry_id: str, ref: SealedRef, foreign_id: ForeignId) -> bool:
    """Return whether an active run verifies and may be used in this repository."""
    try:
        return foreign_id(read_sealed(repository, REGISTRIES[registry_id], ref)) is None
    except EvidenceError:
        return False


def _is_newest_sealed(repository: Repository, folders: Iterable[RunFolder], foreign_id: ForeignId) -> bool:
    """Return whether the newest folder that is not another repository's verifies."""
    for folder in folders:
        report = read_report(repository, SealedRef(folder.run_id, folder.run_root, None, ""))
        if report.verdict != "pass" or foreign_id(report) is None:
            return report.verdict == "pass"
    return False
