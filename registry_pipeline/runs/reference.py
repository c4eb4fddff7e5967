"""Sealed references, pointers and the pointer file (SPEC sections 4.5 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from registry_pipeline.values import value_type

Known = bool | Literal["unknown"]
RunIdentity = tuple[str, str]
"""A run id and the ROOT_SHA256 of the folder: one run with one content, wherever it lies."""


@value_type(order=True)
class SealedRef:
    """Names one sealed run and, by its root hash, its exact content."""

    run_id: str
    run_root: str
    relpath: str | None
    manifest_sha256: str

    @property
    def identity(self) -> RunIdentity:
        """The run and its content, wherever the folder lies and whichever of its files is meant."""
        return self.run_id, self.manifest_sha256

    def same_run(self, other: SealedRef) -> bool:
        """Tell whether both name one sealed run with one content, wherever it lies and whichever file is meant."""
        return self.identity == other.identity

    def to_json(self) -> dict[str, Any]:
        """Return the four keys in the order of SPEC 4.5."""
        return {
            "run_id": self.run_id,
            "run_root": self.run_root,
            "relpath": self.relpath,
            "manifest_sha256": self.manifest_sha256,
        }

    @classmethod
    def from_json(cls, value: Any) -> SealedRef | None:
        """Return the reference that a JSON object states, or None if it has not its shape."""
        if not isinstance(value, dict):
            return None
        run_id, root, relpath = value.get("run_id"), value.get("run_root"), value.get("relpath")
        digest = value.get("manifest_sha256")
        if not (isinstance(run_id, str) and isinstance(root, str) and isinstance(digest, str)):
            return None
        if not (relpath is None or isinstance(relpath, str)):
            return None
        return cls(run_id, root, relpath, digest)


@value_type
class Pointer:
    """One entry of the pointer file; `ref` is None where nothing is known to be active."""

    registry_id: str
    ref: SealedRef | None
    known: Known
    asof_utc: str | None
    notes: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry with its keys in the order of the runbook (seed 000, step 4)."""
        return {
            "registry_id": self.registry_id,
            "active_ref": None if self.ref is None else self.ref.to_json(),
            "active_ref_known": self.known,
            "active_asof_utc": self.asof_utc,
            "notes": self.notes,
        }


@value_type
class PointerFile:
    """The pointer file as parsed: its top-level keys in their order, and the pointers by registry.

    `document` keeps keys that are not ours (`$schema`, `pointer_schema` …), so that a rewrite keeps them.
    `sha256` is the hash of the bytes that were read, None where there is no file.
    """

    document: Mapping[str, Any]
    pointers: tuple[Pointer, ...]
    sha256: str | None

    def get(self, registry_id: str) -> Pointer | None:
        """Return the pointer of a registry, or None if the file does not name it."""
        return next((p for p in self.pointers if p.registry_id == registry_id), None)

    def active(self, registry_id: str) -> SealedRef | None:
        """Return the ref that is in force, that is of a pointer which is `true`; else None."""
        pointer = self.get(registry_id)
        return pointer.ref if pointer is not None and pointer.known is True else None


@value_type
class Move:
    """One pointer moved from one ref to another; `from_ref` is None where nothing was replaced."""

    registry_id: str
    from_ref: SealedRef | None
    to_ref: SealedRef | None

    def to_json(self) -> dict[str, Any]:
        """Return the move as an activation record has it (SPEC 5)."""
        return {
            "registry_id": self.registry_id,
            "from_ref": None if self.from_ref is None else self.from_ref.to_json(),
            "to_ref": None if self.to_ref is None else self.to_ref.to_json(),
        }
