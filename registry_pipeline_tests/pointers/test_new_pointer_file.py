"""Known bytes of the pointer file, and laws about rewriting it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.runs.reference import (
    Move,
    Pointer,
    PointerFile,
    SealedRef,
    empty_pointer_file,
    pointer_file_bytes,
    with_moves,
)

from .requests import NOW, UPSTREAM, ref

OURS = ("pointer_contract_version", "description", "mutation_policy", "last_updated_utc", "pointers")


def test_a_new_pointer_file_has_the_documented_keys_in_their_order() -> None:
    text = pointer_file_bytes(empty_pointer_file(NOW)).decode()

    assert tuple(json.loads(text)) == OURS
    assert text.startswith('{\n  "pointer_contract_version": "0.1",\n  "description": ')
    assert text.endswith(f'\n  "last_updated_utc": "{NOW}",\n  "pointers": []\n}}\n')


def test_a_move_to_nothing_is_unknown_with_the_reason() -> None:
    file = with_moves(empty_pointer_file(NOW), [Move("run_registry", None, None)], NOW, "nothing replaced")

    assert file.pointers == (Pointer("run_registry", None, "unknown", None, "nothing replaced"),)


def test_last_updated_utc_is_added_before_the_pointers_where_it_was_missing() -> None:
    file = PointerFile({"$schema": "theirs", "pointers": [], "pointer_schema": {}}, (), None)
    moved = with_moves(file, [Move("run_registry", None, ref("run_registry", 1))], NOW, "")

    assert list(json.loads(pointer_file_bytes(moved))) == ["$schema", "pointer_schema", "last_updated_utc", "pointers"]


documents = st.permutations([*OURS, "$schema", "last_updated_phase", "pointer_schema"])
registries = st.lists(st.sampled_from(sorted(UPSTREAM)), unique=True)


@st.composite
def pointer_files(draw: st.DrawFn) -> PointerFile:
    """Files with foreign keys anywhere, pointers in any order, foreign keys in their entries."""
    document: dict[str, Any] = {key: f"about {key} \u00e9" for key in draw(documents)}
    pointers = [
        Pointer(name, ref(name, draw(st.integers(1, 9))), known=draw(st.booleans()), asof_utc=NOW, notes="by hand")
        for name in draw(registries)
    ]
    document["pointers"] = [{"owner": p.registry_id} | p.to_json() | {"ticket": 7} for p in pointers]
    return PointerFile(document, tuple(pointers), "0" * 64)


@st.composite
def moves_of(draw: st.DrawFn) -> list[Move]:
    return [Move(name, None, ref(name, draw(st.integers(1, 9)))) for name in draw(registries)]


@given(pointer_files(), moves_of())
def test_law_a_rewrite_keeps_every_key_in_its_place(file: PointerFile, moves: list[Move]) -> None:
    after = json.loads(pointer_file_bytes(with_moves(file, moves, NOW, "because")))
    changed = ("pointers", "last_updated_utc")

    assert list(after) == list(file.document)
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in file.document.items() if k not in changed
    }


@given(pointer_files(), moves_of())
def test_law_a_pointer_that_did_not_move_keeps_its_entry(file: PointerFile, moves: list[Move]) -> None:
    moved = {move.registry_id for move in moves}
    before = {e["registry_id"]: e for e in file.document["pointers"]}
    after = {e["registry_id"]: e for e in json.loads(pointer_file_bytes(with_moves(file, moves, NOW, "")))["pointers"]}

    assert set(after) == set(before) | moved
    for name, entry in before.items():
        assert list(after[name]) == list(entry)
        assert (after[name]["owner"], after[name]["ticket"]) == (name, 7)
        assert name in moved or after[name] == entry


@given(pointer_files(), moves_of())
def test_law_pointers_are_sorted_and_a_moved_one_is_true_as_of_now(file: PointerFile, moves: list[Move]) -> None:
    entries = json.loads(pointer_file_bytes(with_moves(file, moves, NOW, "because")))["pointers"]
    by_name = {e["registry_id"]: e for e in entries}

    assert [e["registry_id"] for e in entries] == sorted(by_name)
    for move in moves:
        assert move.to_ref is not None
        entry = by_name[move.registry_id]
        assert entry["active_ref"] == move.to_ref.to_json()
        before = file.get(move.registry_id)
        notes = before.notes if before is not None and before.notes else "because"
        assert (entry["active_ref_known"], entry["active_asof_utc"], entry["notes"]) == (True, NOW, notes)


@given(pointer_files(), moves_of())
def test_law_notes_that_this_tool_wrote_become_the_new_reason(file: PointerFile, moves: list[Move]) -> None:
    own = {pointer.notes for pointer in file.pointers}
    after = with_moves(file, moves, NOW, "because", own)

    assert {after.get(move.registry_id).notes for move in moves} <= {"because"}  # type: ignore[union-attr]


def test_a_pointer_that_moves_to_no_run_does_not_keep_the_reference_of_an_unknown_one() -> None:
    ref = SealedRef("2026-01-01__000000__x", "runs", None, "a" * 64)
    entry = Pointer("run_registry", ref, "unknown", None, "").to_json()
    before = PointerFile({"pointers": [entry]}, (Pointer("run_registry", ref, "unknown", None, ""),), None)

    after = pointer_file_bytes(with_moves(before, [Move("run_registry", None, None)], "2026-02-01T00:00:00Z", "why"))

    assert json.loads(after)["pointers"][0]["active_ref"] is None
