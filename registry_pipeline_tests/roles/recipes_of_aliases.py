"""Aliases (RR010, RR011), and the first publish (RR031)."""

from __future__ import annotations

from typing import Any

from registry_pipeline_tests.roles.base_pack import role, several, unchanged
from registry_pipeline_tests.roles.recipes import Told, case, first
from registry_pipeline_tests.roles.recipes_of_ids import EDITOR, PRODUCER, E, W, extract, id_of, rename


def alias(role_index: int, *aliases: str) -> Any:
    return lambda p: p["roles"][role_index].update(aliases=list(aliases))


ALIASES = (
    case(
        "RR010__a_role_id",
        alias(EDITOR, "archivist"),
        Told("RR010", E, ["editor", "archivist"], '"editor" » ^"archivist"', '"editor" » "aliases": ^['),
    ),
    case(
        "RR010__its_own_role_id",
        alias(EDITOR, "editor"),
        Told("RR010", E, ["editor", "editor"], '"aliases": [ » "aliases": [ » ^"editor"', '"editor" » "aliases": ^['),
    ),
    case(
        "RR010__of_another_role_too",
        alias(EDITOR, "line_producer"),
        Told("RR010", E, ["editor", "line_producer"], '"editor" » ^"line_producer"', '"editor" » "aliases": ^['),
    ),
    case(
        "RR010__twice_in_one_role",
        alias(EDITOR, "cutter", "cutter"),
        Told("RR010", E, ["editor", "cutter"], '^"cutter"', '"editor" » "aliases": ^['),
    ),
    case(
        "RR011__gone",
        alias(PRODUCER),
        Told("RR011", E, ["producer", "line_producer"], '"aliases": ^[]', '^"line_producer"'),
    ),
    case(
        "RR011__moved",
        several(alias(PRODUCER), alias(EDITOR, "line_producer")),
        Told("RR011", E, ["producer", "line_producer"], '"aliases": ^[]', '^"line_producer"'),
    ),
    case(
        "RR011__a_role_of_its_own_now",
        several(alias(PRODUCER), lambda p: p["roles"].append(role("line_producer"))),
        Told("RR011", E, ["producer", "line_producer"], '"aliases": ^[]', '^"line_producer"'),
    ),
    case("pass__a_new_alias", alias(EDITOR, "cutter", "film_editor")),
    case("pass__aliases_in_another_order", alias(EDITOR, "b", "a"), baseline=alias(EDITOR, "a", "b")),
)

FIRST = (
    first("RR031__first_publish", unchanged, Told("RR031", "info")),
    first(
        "RR031__its_own_rules_hold_all_the_same",
        several(lambda p: rename(p, "producer"), lambda p: extract(p, PRODUCER).pop(0)),
        Told("RR004", E, ["producer"], '"producer" » "role_id": ^"producer"'),
        Told("RR008", E, ["producer", "ROLE:editor:C:1"], id_of("ROLE:editor:C:1")),
        Told("RR008", E, ["producer", "ROLE:editor:X:1"], id_of("ROLE:editor:X:1")),
        Told("RR013", W, ["producer", "ROLE:producer:X:2"], id_of("ROLE:producer:X:2")),
        Told("RR031", "info"),
    ),
)

RECIPES = (*ALIASES, *FIRST)
