"""Create and change pointer files in memory, and serialize them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.pointers.record import MUTATION_POLICY
from registry_pipeline.runs.reference import Known, Move, Pointer, PointerFile
from registry_pipeline.values import replace

POINTER_CONTRACT_VERSION: Final = "0.1"
DESCRIPTION: Final = "Which sealed run is active for each registry; nothing is active by name or by recency."


def empty_pointer_file(now_utc: str) -> PointerFile:
    """Return the pointer file of a repository without active runs."""
    document = {
        "pointer_contract_version": POINTER_CONTRACT_VERSION,
        "description": DESCRIPTION,
        "mutation_policy": MUTATION_POLICY,
        "last_updated_utc": now_utc,
        "pointers": [],
    }
    return PointerFile(document, (), None)


def pointer_file_bytes(file: PointerFile) -> bytes:
    """Return the bytes of the file: JSON with indent 2, pointers sorted by registry, unknown keys kept."""
    old_entries = file.document.get("pointers")
    if not isinstance(old_entries, list):
        old_entries = []
    entries = {entry.get("registry_id"): entry for entry in old_entries if isinstance(entry, dict)}
    pointers = sorted(file.pointers, key=lambda pointer: pointer.registry_id)
    document = dict(file.document)
    document["pointers"] = [_entry(entries.get(p.registry_id, {}), p) for p in pointers]
    return json_document(document)


def _entry(before: Mapping[str, Any], pointer: Pointer) -> dict[str, Any]:
    # An entry that means the same keeps the form in which an older tool wrote it.
    entry = pointer.to_json()
    same_ref = pointer.ref is None and _is_object_of_nulls(before.get("active_ref"))
    same_asof = pointer.asof_utc is None and before.get("active_asof_utc") == "unknown"
    if pointer.known == "unknown" and before.get("active_ref_known") == "unknown" and same_ref:
        entry["active_ref"] = before["active_ref"]
        entry["active_asof_utc"] = "unknown" if same_asof else entry["active_asof_utc"]
    return dict(before) | entry


def _is_object_of_nulls(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(item is None for item in value.values())


def with_moves(
    file: PointerFile, moves: Iterable[Move], now_utc: str, reason: str, own_notes: Collection[str] = ()
) -> PointerFile:
    """Return the file after the moves; a pointer that moves to no run becomes `"unknown"`.

    The notes of a moved pointer become `reason`, unless they are a user's: `own_notes` are the notes of this tool.
    """
    pointers = {pointer.registry_id: pointer for pointer in file.pointers}
    for move in moves:
        name, ref = move.registry_id, move.to_ref
        # The run was verified for this change, so its pointer is `true` as of now.
        known: Known = "unknown" if ref is None else True
        before = pointers[name].notes if name in pointers else ""
        notes = before if ref is not None and before and before not in own_notes else reason
        pointers[name] = Pointer(name, ref, known, None if ref is None else now_utc, notes)
    return _changed(file, pointers.values(), now_utc)


def with_marked_bad(file: PointerFile, run_id: str, now_utc: str, notes: str) -> PointerFile:
    """Return the file in which every active pointer to a run is `false`, with the reason as its notes."""
    pointers = [
        replace(p, known=False, notes=notes) if p.known is True and p.ref is not None and p.ref.run_id == run_id else p
        for p in file.pointers
    ]
    return _changed(file, pointers, now_utc)


def _changed(file: PointerFile, pointers: Iterable[Pointer], now_utc: str) -> PointerFile:
    document = dict(file.document)
    # A missing last_updated_utc is added before the pointers, which stay last.
    if "last_updated_utc" not in document:
        rest = document.pop("pointers", [])
        document |= {"last_updated_utc": now_utc, "pointers": rest}
    document["last_updated_utc"] = now_utc
    changed = PointerFile(document, tuple(pointers), None)
    return replace(changed, sha256=sha256_hex(pointer_file_bytes(changed)))
