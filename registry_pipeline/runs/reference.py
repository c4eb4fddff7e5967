"""Run ids (`YYYY-MM-DD__HHMMSS__<tag>[__asof_YYYY-MM-DD][__NN]`), references to sealed runs, and pointers to them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from registry_pipeline.canonical import json_document
from registry_pipeline.values import asdict, fields, value_type

_RUN_ID: Final = re.compile(
    r"(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}__[0-9]{6})__(?P<tag>[A-Za-z0-9][A-Za-z0-9_.-]*?)"
    r"(?:__asof_(?P<partition>[0-9]{4}-[0-9]{2}-[0-9]{2}))?(?:__(?P<number>0[2-9]|[1-9][0-9]+))?"
)
_STAMP: Final = "%Y-%m-%d__%H%M%S"
_MAX_LENGTH: Final = 255
TAG_START: Final = len("YYYY-MM-DD__HHMMSS__")
"""The index at which the tag of a run id starts."""
POINTER_CONTRACT_VERSION: Final = "0.1"


@value_type
class RunId:
    """The parts of a run id; `str()` returns the id. `partition` is the day that a daily snapshot describes."""

    stamp: datetime
    tag: str
    partition: str | None = None
    number: int = 1

    def __str__(self) -> str:
        asof = f"__asof_{self.partition}" if self.partition else ""
        suffix = f"__{self.number:02d}" if self.number > 1 else ""
        return f"{self.stamp.astimezone(UTC).strftime(_STAMP)}__{self.tag}{asof}{suffix}"

    @classmethod
    def parse(cls, text: str) -> RunId | None:
        """Return the parts of a run id, or None if the text is not in the form that we write."""
        match = _RUN_ID.fullmatch(text)
        # A longer text names no folder, and Python refuses to convert thousands of digits.
        if match is None or len(text) > _MAX_LENGTH:
            return None
        try:
            # A log parses thousands of names, and `strptime` takes ten times as long.
            stamp = datetime.fromisoformat(match["stamp"].replace("__", "T") + "Z")
        except ValueError:
            return None
        return cls(stamp, match["tag"], match["partition"], int(match["number"] or 1))

    def next(self) -> RunId:
        """Return the id to try if this name is taken: `__02`, then `__03` and so on."""
        return RunId(self.stamp, self.tag, self.partition, self.number + 1)


Known = bool | Literal["unknown"]
# A run id and the ROOT_SHA256 of the folder: one run with one content, in whatever run root.
RunIdentity = tuple[str, str]


@value_type(order=True)
class SealedRef:
    """A reference to one sealed run and, by its root hash, to its exact content."""

    run_id: str
    run_root: str
    relpath: str | None
    manifest_sha256: str

    @property
    def identity(self) -> RunIdentity:
        """The run and its content, whichever run root and file the reference names."""
        return self.run_id, self.manifest_sha256

    @property
    def path(self) -> str:
        """The run folder, relative to the repository."""
        return f"{self.run_root}/{self.run_id}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the reference."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> SealedRef | None:
        """Return the reference that a JSON object states, or None if it has another shape."""
        if not isinstance(value, dict):
            return None
        parts: list[Any] = [value.get(key) for key in fields(cls)]
        run_id, root, relpath, digest = parts
        if not all(isinstance(text, str) for text in (run_id, root, digest)):
            return None
        return cls(run_id, root, relpath, digest) if relpath is None or isinstance(relpath, str) else None


@value_type
class Pointer:
    """One entry of the pointer file; `ref` is None if no run is known to be active."""

    registry_id: str
    ref: SealedRef | None
    known: Known
    asof_utc: str | None
    notes: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the entry."""
        return {
            "registry_id": self.registry_id,
            "active_ref": None if self.ref is None else self.ref.to_json(),
            "active_ref_known": self.known,
            "active_asof_utc": self.asof_utc,
            "notes": self.notes,
        }


@value_type
class PointerFile:
    """The parsed pointer file: its object with unknown keys too, its valid entries, and the hash of its bytes."""

    document: Mapping[str, Any]
    pointers: tuple[Pointer, ...]
    sha256: str | None

    def get(self, registry_id: str) -> Pointer | None:
        """Return the pointer of a registry, or None if the file does not name it."""
        return next((p for p in self.pointers if p.registry_id == registry_id), None)

    def active(self, registry_id: str) -> SealedRef | None:
        """Return the reference to the active run of a registry, or None."""
        pointer = self.get(registry_id)
        return pointer.ref if pointer is not None and pointer.known is True else None

    def active_refs(self) -> dict[str, SealedRef]:
        """Return the active reference of each registry that has one, in the order of the file."""
        return {p.registry_id: ref for p in self.pointers if (ref := self.active(p.registry_id)) is not None}


@value_type
class Move:
    """The change of one pointer; `from_ref` is None if no run was active before, `to_ref` if none is afterwards."""

    registry_id: str
    from_ref: SealedRef | None
    to_ref: SealedRef | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the move in an activation record."""
        return asdict(self)


# The `mutation_policy` of pointer files that this tool wrote; without records they are reported as CHAIN_LOST.
MUTATION_POLICY: Final = (
    "Changed by `registry-pipeline` only. Every change seals an activation record that names the state before and "
    "after it; an edit by hand is found and refused."
)


def empty_pointer_file(now_utc: str) -> PointerFile:
    """Return the pointer file of a repository without active runs."""
    document = {
        "pointer_contract_version": POINTER_CONTRACT_VERSION,
        "description": "Which sealed run is active for each registry; nothing is active by name or by recency.",
        "mutation_policy": MUTATION_POLICY,
        "last_updated_utc": now_utc,
        "pointers": [],
    }
    return PointerFile(document, (), None)


def with_moves(
    file: PointerFile, moves: Iterable[Move], now_utc: str, reason: str, own_notes: Collection[str] = ()
) -> PointerFile:
    """Return the file after the moves; a pointer that moves to no run becomes `"unknown"`.

    The notes of a moved pointer become `reason`, unless they are a user's: `own_notes` are the notes of this tool.
    """
    changed = []
    for move in moves:
        name, ref, before = move.registry_id, move.to_ref, file.get(move.registry_id)
        old_notes = "" if before is None else before.notes
        notes = old_notes if ref is not None and old_notes not in own_notes else ""
        # The run was verified for this change, so its pointer is `true` as of now.
        known: Known = "unknown" if ref is None else True
        changed.append(Pointer(name, ref, known, None if ref is None else now_utc, notes or reason))
    return with_pointers(file, changed, now_utc)


def with_pointers(file: PointerFile, changed: Iterable[Pointer], now_utc: str) -> PointerFile:
    """Return the file with these pointers replaced or added, and `now_utc` as its last update."""
    pointers = {pointer.registry_id: pointer for pointer in (*file.pointers, *changed)}
    document = {**file.document, "last_updated_utc": now_utc}
    # A missing last_updated_utc is added before the pointers, which stay last.
    if "last_updated_utc" not in file.document:
        document["pointers"] = document.pop("pointers", [])
    return PointerFile(document, tuple(pointers.values()), None)


def pointer_file_bytes(file: PointerFile) -> bytes:
    """Return the bytes of the file: JSON with indent 2, pointers sorted by registry, unknown keys kept."""
    old_entries = file.document.get("pointers")
    if not isinstance(old_entries, list):
        old_entries = []
    entries = {entry.get("registry_id"): entry for entry in old_entries if isinstance(entry, dict)}
    pointers = sorted(file.pointers, key=lambda pointer: pointer.registry_id)
    return json_document(
        {**file.document, "pointers": [_make_entry(entries.get(p.registry_id, {}), p) for p in pointers]}
    )


def _make_entry(before: Mapping[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the JSON entry of a pointer; unknown keys and an older form of "unknown" are kept from `before`."""
    entry = {**before, **pointer.to_json()}
    is_unknown = pointer.ref is None and pointer.known == before.get("active_ref_known") == "unknown"
    # Older tools write an object of nulls for "no run": an entry that means the same keeps their form.
    if is_unknown and before.get("active_ref") == dict.fromkeys(fields(SealedRef)):
        entry["active_ref"] = before["active_ref"]
        if pointer.asof_utc is None and before.get("active_asof_utc") == "unknown":
            entry["active_asof_utc"] = "unknown"
    return entry
