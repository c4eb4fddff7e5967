"""Surfaces: what is drift (RR003) and what is only another way to write the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from registry_pipeline_tests.roles.base_pack import Pack, base_pack, contract, role, several, written
from registry_pipeline_tests.roles.recipes import Recipe, Told, case
from registry_pipeline_tests.roles.recipes_of_ids import ARCHIVIST, EDITOR, PRODUCER, E, W, extract, produce

Schema = dict[str, Any]


def drift(contract_id: str) -> Told:
    where = f'"{contract_id}" » "schema_json": ^{{'
    return Told("RR003", E, [contract_id.split(":")[1], contract_id], where, where)


def changed(name: str, change: Callable[[Schema], object]) -> Recipe:
    """Return the case of a change to the surface of ROLE:producer:X:1."""
    return case(
        f"RR003__{name}",
        lambda p: change(extract(p, PRODUCER)[0]["schema_json"]),
        drift("ROLE:producer:X:1"),
    )


def replaced(name: str, old: Any, new: Any) -> Recipe:
    """Return the case of a member whose value was `old` in the baseline and is `new`."""
    return case(
        f"RR003__{name}",
        lambda p: extract(p, EDITOR)[0]["schema_json"].update(member=new),
        drift("ROLE:editor:X:1"),
        baseline=lambda p: extract(p, EDITOR)[0]["schema_json"].update(member=old),
    )


def swap(pack: Pack) -> None:
    one, two = extract(pack, PRODUCER)
    one["schema_json"], two["schema_json"] = two["schema_json"], one["schema_json"]


DRIFT = (
    changed("a_value", lambda s: s.update(title="Briefing")),
    changed("a_new_key", lambda s: s.update(required=["title"])),
    changed("a_key_less", lambda s: s.pop("tags")),
    changed("a_key_renamed", lambda s: s.update(Title=s.pop("title"))),
    changed("an_array_in_another_order", lambda s: s["tags"].reverse()),
    changed("an_array_emptied", lambda s: s["tags"].clear()),
    changed("an_item_more", lambda s: s["tags"].append("c")),
    changed("all_of_it", lambda s: s.clear()),
    changed("deep_within", lambda s: s["nested"].update(on=False)),
    changed("a_blank_within_a_string", lambda s: s.update(title="Brief ")),
    changed("another_case_of_letters", lambda s: s.update(title="brief")),
    changed("a_fraction", lambda s: s.update(ratio=0.5000000000000001)),
    changed("contract_version_added", lambda s: s.update(contract_version=1)),
    replaced("a_number_and_its_text", 1, "1"),
    replaced("true_and_one", 1, True),
    replaced("false_and_zero", False, 0),
    replaced("null_and_empty", None, ""),
    replaced("null_and_false", None, False),
    replaced("an_empty_array_and_an_empty_object", [], {}),
    replaced("the_sign_of_a_number", 1, -1),
    replaced("large_numbers", 1e30, 1e31),
    replaced("the_largest_integer", 2**53 - 1, 2**53 - 2),
    replaced("composed_and_decomposed_letters", "Caf\u00e9", "Cafe\u0301"),
    replaced("a_control_character", "a\u0001b", "a\u0002b"),
    case(
        "RR003__two_surfaces_swapped",
        swap,
        drift("ROLE:producer:X:1"),
        drift("ROLE:producer:X:2"),
        Told(
            "RR016",
            W,
            ["producer", "ROLE:producer:X:1"],
            '"ROLE:producer:X:1" » "contract_version": ^2',
            '"contract_id": ^"ROLE:producer:X:1"',
        ),
    ),
    case(
        "RR003__of_a_deprecated_role",
        lambda p: extract(p, ARCHIVIST)[0]["schema_json"].update(title="Box"),
        drift("ROLE:archivist:X:1"),
    ),
    case(
        "RR003__of_a_compose_contract",
        lambda p: produce(p, PRODUCER)[0]["schema_json"].update(note="Cafe"),
        drift("ROLE:producer:C:1"),
    ),
    case(
        "RR003__a_new_version_does_not_excuse_it",
        several(
            lambda p: extract(p, EDITOR)[0]["schema_json"].update(title="Long cut"),
            lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:2", title="Longer cut")),
        ),
        drift("ROLE:editor:X:1"),
    ),
    case(
        "RR003__with_all_else_that_is_wrong",
        several(
            lambda p: p.update(pack_id="another"),
            lambda p: p["roles"].pop(EDITOR),
            lambda p: extract(p, PRODUCER)[0]["schema_json"].update(title="Briefing"),
            lambda p: p["roles"][PRODUCER].update(vocab_namespace="film"),
        ),
        Told("RR001", E, ["editor"], '"roles": ^[', '"role_id": ^"editor"'),
        Told("RR002", E, ["editor", "ROLE:editor:C:1"], '"roles": ^[', '^"ROLE:editor:C:1"'),
        Told("RR002", E, ["editor", "ROLE:editor:X:1"], '"roles": ^[', '^"ROLE:editor:X:1"'),
        drift("ROLE:producer:X:1"),
        Told("RR021", E, [], '"pack_id": ^"another"', '"pack_id": ^"digital'),
        Told("RR026", W, ["producer"], '"role_id": ^"producer"', '"role_id": ^"producer"'),
    ),
)


def rewritten(name: str, text: bytes, baseline: bytes | None = None) -> Recipe:
    """Return the case of the same pack in another hand: nothing is told."""
    return case(f"pass__{name}", text, baseline=baseline)


def member(text: str) -> bytes:
    """Return the base pack with `text` as a value within a surface, and as a key's neighbour, exactly as it stands."""
    return written(base_pack()).replace(b'"Shelf"', text.encode("utf-8"))


def backwards(value: Any) -> Any:
    """Return the value with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def same(name: str, one: str, other: str) -> Recipe:
    return rewritten(name, member(other), member(one))


SAME = (
    rewritten("nothing_changed", written(base_pack())),
    rewritten("keys_in_another_order", written(backwards(base_pack()))),
    rewritten("no_blanks", json.dumps(base_pack(), separators=(",", ":")).encode()),
    rewritten("tabs", json.dumps(base_pack(), indent="\t").encode()),
    rewritten("line_ends_of_windows", written(base_pack()).replace(b"\n", b"\r\n")),
    rewritten("blanks_around", b" \t\r\n" + written(base_pack()) + b"\n\n "),
    rewritten("letters_as_escapes", json.dumps(base_pack(), indent=2, ensure_ascii=True).encode()),
    same("an_escape_for_a_plain_letter", '"Shelf"', r'"\u0053helf"'),
    same("an_escaped_solidus", '"a/b"', r'"a\/b"'),
    same("both_escapes_of_a_newline", r'"a\nb"', r'"a\u000ab"'),
    same("escapes_in_capitals", r'"\u00e9\u00ab"', r'"\u00E9\u00AB"'),
    same("a_pair_of_surrogates", '"🎬"', r'"\ud83c\udfac"'),
    same("an_escaped_backslash_before_u", r'"\\ud83c"', r'"\u005cud83c"'),
    same("one_and_one_point_zero", "1", "1.0"),
    same("one_hundred", "100", "1E2"),
    same("minus_zero", "0", "-0.0"),
    same("minus_zero_as_an_integer", "0", "-0"),
    same("a_large_number", "1e30", "1000000000000000000000000000000.0"),
    same("a_small_number", "0.000001", "1e-6"),
    same("a_fraction_with_zeros_behind", "0.5", "0.5000"),
    same("more_digits_than_a_double_has", "0.1", "0.1000000000000000055"),
    same("too_small_for_a_double", "0", "1e-400"),
    same("an_escape_in_a_key", '"Shelf", "k\u00e9y": 1', r'"Shelf", "\u006b\u00e9y": 1'),
    same("keys_beyond_the_first_plane", '{"\U0001f3ac": 1, "\ufb01": 2}', '{"\ufb01": 2, "\U0001f3ac": 1}'),
    same("the_largest_integer", "9007199254740991", "9007199254740991.0"),
    case("pass__roles_in_another_order", lambda p: p["roles"].reverse()),
    case("pass__contracts_in_another_order", lambda p: extract(p, PRODUCER).reverse()),
    case("pass__a_new_role", lambda p: p["roles"].append(role("grip", extract_contracts=[contract("ROLE:grip:X:1")]))),
    case("pass__a_new_version", lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:2", title="Fine cut"))),
)

RECIPES = (*DRIFT, *SAME)
