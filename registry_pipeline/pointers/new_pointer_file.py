"""The pointer file as a value: a new one, one after some moves, and its bytes (SPEC 5). Pure."""

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
    """Return the pointer file of a repository where nothing is active yet."""
    document = {
        "pointer_contract_version": POINTER_CONTRACT_VERSION,
        "description": DESCRIPTION,
        "mutation_policy": MUTATION_POLICY,
        "last_updated_utc": now_utc,
        "pointers": [],
    }
    return PointerFile(document, (), None)


def pointer_file_bytes(file: PointerFile) -> bytes:
    """Return the file's text: indent 2, every top-level key in its place, the pointers sorted by registry.

    What is not ours stays: other top-level keys, other keys of a pointer's own entry, and an entry that says the same
    in the words of an older tool.
    """
    found = file.document.get("pointers")
    entries = {e.get("registry_id"): e for e in found if isinstance(e, dict)} if isinstance(found, list) else {}
    pointers = sorted(file.pointers, key=lambda pointer: pointer.registry_id)
    document = dict(file.document)
    document["pointers"] = [_entry(entries.get(p.registry_id, {}), p) for p in pointers]
    return json_document(document)


def _entry(before: Mapping[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the entry of a pointer; `before` is what the file has of it."""
    stated = pointer.to_json()
    same_ref = pointer.ref is None and _is_object_of_nulls(before.get("active_ref"))
    same_asof = pointer.asof_utc is None and before.get("active_asof_utc") == "unknown"
    if pointer.known == "unknown" and before.get("active_ref_known") == "unknown" and same_ref:
        stated["active_ref"] = before["active_ref"]
        stated["active_asof_utc"] = "unknown" if same_asof else stated["active_asof_utc"]
    return dict(before) | stated


def _is_object_of_nulls(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(each is None for each in value.values())


def with_moves(
    file: PointerFile, moves: Iterable[Move], now_utc: str, reason: str, own_notes: Collection[str] = ()
) -> PointerFile:
    """Return the file after the moves, all made at `now_utc`; `sha256` is that of its new bytes.

    A moved pointer is known to be true as of now, since its run was verified for the move; one that moves to nothing
    is `"unknown"`. Its notes become the reason, unless somebody else wrote them: what is in `own_notes` is ours.
    """
    pointers = {pointer.registry_id: pointer for pointer in file.pointers}
    for move in moves:
        name, ref = move.registry_id, move.to_ref
        known: Known = "unknown" if ref is None else True
        before = pointers[name].notes if name in pointers else ""
        notes = before if ref is not None and before and before not in own_notes else reason
        pointers[name] = Pointer(name, ref, known, None if ref is None else now_utc, notes)
    return _changed(file, pointers.values(), now_utc)


def with_marked_bad(file: PointerFile, run_id: str, now_utc: str, notes: str) -> PointerFile:
    """Return the file where every pointer in force that names a run is `false`: it names it still, with the reason."""
    pointers = [
        replace(p, known=False, notes=notes) if p.known is True and p.ref is not None and p.ref.run_id == run_id else p
        for p in file.pointers
    ]
    return _changed(file, pointers, now_utc)


def _changed(file: PointerFile, pointers: Iterable[Pointer], now_utc: str) -> PointerFile:
    document = dict(file.document)
    if "last_updated_utc" not in document:
        rest = document.pop("pointers", [])
        document |= {"last_updated_utc": now_utc, "pointers": rest}
    document["last_updated_utc"] = now_utc
    changed = PointerFile(document, tuple(pointers), None)
    return replace(changed, sha256=sha256_hex(pointer_file_bytes(changed)))
