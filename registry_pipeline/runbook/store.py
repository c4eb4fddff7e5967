"""The store of sealed runs as it stands: what verifies, what is active, what the chain says of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import Final

from registry_pipeline.activate.lock import lock_path, pointer_lock
from registry_pipeline.activate.swap import read_intent
from registry_pipeline.canon import parse_utc
from registry_pipeline.config import Governed
from registry_pipeline.model.activation import Intent
from registry_pipeline.model.closure import ActiveRun
from registry_pipeline.model.envelope import Inputs, is_foreign, stated_repository_id
from registry_pipeline.model.inputs import RegistryStanding
from registry_pipeline.model.manifest import ManifestEntry
from registry_pipeline.model.refs import PointerFile, RunIdentity, SealedRef
from registry_pipeline.model.verdict import SealReport
from registry_pipeline.runbook.reading import read_pointer_bytes, read_pointers, read_report, run_folder
from registry_pipeline.runbook.standings import read_standings
from registry_pipeline.seal.proven import read_proven_entries
from registry_pipeline.validate.chain import ChainState, check_chain, list_record_folders, read_chain
from registry_pipeline.values import value_type

WAIT_SECONDS: Final = 30.0
"""How long a reader waits for a change of the pointers that is in progress."""

_ATTEMPTS: Final = 20
_SETTLED: Final = frozenset(("not_chained", "committed"))


@value_type
class PointerState:
    """The pointer file's bytes (None: there is no file) and the chain compared with exactly these bytes."""

    pointers: bytes | None
    chain: ChainState


def read_chain_state(governed: Governed) -> ChainState:
    """Return the verdict on the activation chain, and on the pointer file compared with it."""
    return read_pointer_state(governed).chain


def read_pointer_state(governed: Governed) -> PointerState:
    """Return a state of pointer file and chain that existed at one moment, also while another process changes it.

    Raises:
        BusyError: a change was in progress for all of `WAIT_SECONDS` (exit 6).
        NotFoundError: a run root or the pointer file exists and cannot be read.
    """
    for _ in range(_ATTEMPTS):
        # (1) Read optimistically, without a lock: a look at a quiet repository waits for nobody.
        before = _fingerprint(governed)
        state = read_locked_state(governed)
        if _fingerprint(governed) != before:
            continue
        # (2) A record that is sealed while its pointer file is not yet replaced is an error only if no writer is there.
        if state.chain.state in _SETTLED or not lock_path(governed.pointer_path).exists():
            return state
        break
    # (3) The lock excludes writers: what is read now is final.
    with pointer_lock(governed.pointer_path, governed.root, shared=True, wait_seconds=WAIT_SECONDS):
        return read_locked_state(governed)


def read_locked_state(governed: Governed) -> PointerState:
    """Return the state of pointer file and chain; the caller holds the lock of the pointer file."""
    records = read_chain(governed)
    pointers = read_pointer_bytes(governed)
    return PointerState(pointers, check_chain(records, pointers, read_intent(governed.pointer_path)))


def _fingerprint(governed: Governed) -> tuple[tuple[tuple[str, str], ...], bytes | None, Intent | None]:
    """Return what every change of the pointers changes: the record folders, the pointer file, and the intent."""
    folders = tuple(list_record_folders(governed))
    return folders, read_pointer_bytes(governed), read_intent(governed.pointer_path)


def read_active_runs(governed: Governed, pointers: PointerFile) -> dict[str, ActiveRun]:
    """Return the active runs whose folders are there, with what they record of their inputs."""
    active: dict[str, ActiveRun] = {}
    for pointer in pointers.pointers:
        ref = pointers.active(pointer.registry_id)
        if ref is not None and run_folder(governed, ref).is_dir():
            envelope = read_report(governed, ref).run_json or {}
            as_of = envelope.get("as_of_utc")
            told = as_of if isinstance(as_of, str) and parse_utc(as_of) is not None else None
            active[pointer.registry_id] = ActiveRun(ref, Inputs.from_json(envelope.get("inputs")), told)
    return active


def find_foreign_id(governed: Governed, report: SealReport) -> str | None:
    """Return the repository_id of a verified run of another repository, None for a run that may be used here.

    A run that an activation record of this repository accepts may be used, and so may one that states no id.
    """
    return _foreign_id(governed, report, partial(_read_accepted_foreign, governed))


def _foreign_id(governed: Governed, report: SealReport, accepted: Callable[[], frozenset[RunIdentity]]) -> str | None:
    stated = stated_repository_id(report.run_json)
    if not is_foreign(stated, governed.config.repository_id):
        return None
    # The chain is read only for a foreign run, because nearly all runs are of this repository.
    return None if (report.run_id, report.root_sha256) in accepted() else stated


def _read_accepted_foreign(governed: Governed) -> frozenset[RunIdentity]:
    return read_chain_state(governed).accepted_foreign(governed.config.repository_id)


class Store:
    """Answers a reader about sealed runs; runs are read and verified when they are asked for.

    Only the foreign runs that the chain accepts are kept: a fork may have a thousand folders to ask about.
    """

    def __init__(self, governed: Governed, started: datetime) -> None:
        self.governed = governed
        self.started = started

    def verify(self, run_root: str, run_id: str, keep: Collection[str] = ()) -> SealReport:
        """Return what the verifier recomputes of a folder, with the bytes of the files named in `keep`."""
        return read_report(self.governed, SealedRef(run_id, run_root, None, ""), keep)

    def foreign_id(self, report: SealReport) -> str | None:
        """Return the repository_id of a verified run of another repository, None for a run that may be used here."""
        return _foreign_id(self.governed, report, lambda: self._accepted_foreign)

    @cached_property
    def _accepted_foreign(self) -> frozenset[RunIdentity]:
        return _read_accepted_foreign(self.governed)

    def proven_entries(self, ref: SealedRef) -> tuple[ManifestEntry, ...] | None:
        """Return the manifest of a run as far as its root proves it, without its payload; None where it does not."""
        return read_proven_entries(run_folder(self.governed, ref), ref.manifest_sha256)

    def pointers(self) -> PointerFile:
        """Return the pointers as the file states them."""
        return read_pointers(self.governed)

    def marked_bad(self) -> Mapping[str, str]:
        """Return the run ids that somebody has marked bad, with the reasons."""
        return read_chain_state(self.governed).marked_bad

    def standings(self) -> tuple[tuple[RegistryStanding, ...], Mapping[str, SealedRef]]:
        """Return how every registry stood when the build run began, and the active runs that verify, by registry."""
        return read_standings(self.governed, self.started, self.foreign_id)
