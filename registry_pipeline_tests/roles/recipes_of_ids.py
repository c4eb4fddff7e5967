"""Ids: removed, doubled, badly formed, misplaced (RR001, RR002, RR004 to RR011)."""

from __future__ import annotations

from typing import Any

from registry_pipeline_tests.roles.base_pack import Pack, contract, role
from registry_pipeline_tests.roles.recipes import Recipe, Told, case

PRODUCER, EDITOR, ARCHIVIST = 0, 1, 2
E, W = "error", "warning"
LIST_OF_ROLES = '"roles": ^['


def extract(pack: Pack, index: int) -> list[Any]:
    contracts: list[Any] = pack["roles"][index]["extract_contracts"]
    return contracts


def produce(pack: Pack, index: int) -> list[Any]:
    contracts: list[Any] = pack["roles"][index]["produce_contracts"]
    return contracts


def gone(role_id: str) -> Told:
    return Told("RR001", E, [role_id], LIST_OF_ROLES, f'"role_id": ^"{role_id}"')


def contract_gone(contract_id: str, here: str = LIST_OF_ROLES) -> Told:
    return Told("RR002", E, [contract_id.split(":")[1], contract_id], here, f'^"{contract_id}"')


def id_of(contract_id: str) -> str:
    return f'"contract_id": ^"{contract_id}"'


def rename(pack: Pack, role_id: str, *aliases: str) -> None:
    pack["roles"][EDITOR]["role_id"] = role_id
    pack["roles"][EDITOR]["aliases"] = list(aliases)


def doubled(*, again: int, **fields: Any) -> Any:
    return lambda pack: pack["roles"].extend(role("editor", **fields) for _ in range(again))


REMOVED = (
    case(
        "RR001__a_role",
        lambda p: p["roles"].pop(EDITOR),
        gone("editor"),
        contract_gone("ROLE:editor:C:1"),
        contract_gone("ROLE:editor:X:1"),
    ),
    case(
        "RR001__a_deprecated_role",
        lambda p: p["roles"].pop(ARCHIVIST),
        gone("archivist"),
        contract_gone("ROLE:archivist:X:1"),
    ),
    case(
        "RR001__all_roles",
        lambda p: p["roles"].clear(),
        gone("archivist"),
        gone("editor"),
        gone("producer"),
        contract_gone("ROLE:archivist:X:1"),
        contract_gone("ROLE:editor:C:1"),
        contract_gone("ROLE:editor:X:1"),
        contract_gone("ROLE:producer:C:1"),
        contract_gone("ROLE:producer:X:1"),
        contract_gone("ROLE:producer:X:2"),
    ),
    case(
        "RR001__renamed_with_the_old_name_as_alias",
        lambda p: rename(p, "cutter", "editor"),
        gone("editor"),
        Told("RR008", E, ["cutter", "ROLE:editor:C:1"], id_of("ROLE:editor:C:1"), id_of("ROLE:editor:C:1")),
        Told("RR008", E, ["cutter", "ROLE:editor:X:1"], id_of("ROLE:editor:X:1"), id_of("ROLE:editor:X:1")),
        Told("RR010", E, ["cutter", "editor"], '^"editor"\n', '"role_id": ^"editor"'),
    ),
    case(
        "RR001__another_case_of_letters",
        lambda p: rename(p, "Editor"),
        gone("editor"),
        Told("RR006", E, ["Editor"], '^"Editor"', None),
        Told("RR008", E, ["Editor", "ROLE:editor:C:1"], id_of("ROLE:editor:C:1"), id_of("ROLE:editor:C:1")),
        Told("RR008", E, ["Editor", "ROLE:editor:X:1"], id_of("ROLE:editor:X:1"), id_of("ROLE:editor:X:1")),
    ),
    case(
        "RR002__an_old_version",
        lambda p: extract(p, PRODUCER).pop(0),
        contract_gone("ROLE:producer:X:1", '"producer" » "extract_contracts": ^['),
    ),
    case(
        "RR002__the_newest_version",
        lambda p: extract(p, PRODUCER).pop(),
        contract_gone("ROLE:producer:X:2", '"producer" » "extract_contracts": ^['),
    ),
    case(
        "RR002__a_compose_contract",
        lambda p: produce(p, EDITOR).clear(),
        contract_gone("ROLE:editor:C:1", '"editor" » "produce_contracts": ^['),
    ),
    case(
        "RR002__of_a_deprecated_role",
        lambda p: extract(p, ARCHIVIST).clear(),
        contract_gone("ROLE:archivist:X:1", '"archivist" » "extract_contracts": ^['),
    ),
    case(
        "RR002__renumbered",
        lambda p: extract(p, EDITOR)[0].update(contract_id="ROLE:editor:X:3"),
        contract_gone("ROLE:editor:X:1", '"editor" » "extract_contracts": ^['),
        Told("RR013", W, ["editor", "ROLE:editor:X:3"], id_of("ROLE:editor:X:3"), '"role_id": ^"editor"'),
    ),
    case(
        "RR002__a_badly_formed_one_stays_published",
        lambda p: extract(p, EDITOR).pop(),
        Told("RR002", E, ["editor", "editor-v1"], '"editor" » "extract_contracts": ^[', id_of("editor-v1")),
        baseline=lambda p: extract(p, EDITOR).append(contract("editor-v1")),
    ),
)

AGAIN = (
    case(
        "RR004__a_second_role",
        doubled(again=1),
        Told("RR004", E, ["editor"], '"archivist" » "role_id": ^"editor"', '"role_id": ^"editor"'),
    ),
    case(
        "RR004__a_third_role",
        doubled(again=2),
        Told("RR004", E, ["editor"], '"archivist" » "role_id": ^"editor"', '"role_id": ^"editor"'),
        Told(
            "RR004", E, ["editor"], '"archivist" » "role_id": "editor" » "role_id": ^"editor"', '"role_id": ^"editor"'
        ),
    ),
    case(
        "RR004__new_to_both",
        lambda p: p["roles"].extend([role("grip"), role("grip")]),
        Told("RR004", E, ["grip"], '"role_id": "grip" » "role_id": ^"grip"', None),
    ),
    case(
        "RR005__the_same_surface_again",
        lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:1", title="Cut")),
        Told(
            "RR005",
            E,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "contract_id": ^"ROLE:editor:X:1"',
            id_of("ROLE:editor:X:1"),
        ),
    ),
    case(
        "RR005__with_another_surface",
        lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:1", title="Long cut")),
        Told(
            "RR003",
            E,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "schema_json": ^{',
            '"ROLE:editor:X:1" » "schema_json": ^{',
        ),
        Told(
            "RR005",
            E,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "contract_id": ^"ROLE:editor:X:1"',
            id_of("ROLE:editor:X:1"),
        ),
    ),
    case(
        "RR005__in_another_role",
        lambda p: extract(p, ARCHIVIST).append(contract("ROLE:editor:X:1", title="Cut")),
        Told(
            "RR005",
            E,
            ["archivist", "ROLE:editor:X:1"],
            '"archivist" » "contract_id": ^"ROLE:editor:X:1"',
            id_of("ROLE:editor:X:1"),
        ),
        Told(
            "RR008",
            E,
            ["archivist", "ROLE:editor:X:1"],
            '"archivist" » "contract_id": ^"ROLE:editor:X:1"',
            id_of("ROLE:editor:X:1"),
        ),
    ),
)


def bad_role_id(name: str, role_id: str, shown: str) -> Recipe:
    return case(
        f"RR006__role_id_{name}",
        lambda p: p["roles"].append(role(role_id)),
        Told("RR006", E, [role_id], f'"role_id": ^{shown}', None),
    )


BAD_ROLE_IDS = (
    bad_role_id("with_a_dash", "second-unit", '"second-unit"'),
    bad_role_id("empty", "", '""'),
    bad_role_id("too_long", "a" * 65, f'"{"a" * 65}"'),
    bad_role_id("with_a_newline_behind", "grip\n", '"grip\\n"'),
    bad_role_id("with_other_digits", "grip٣", '"grip٣"'),
    case(
        "RR006__department_id",
        lambda p: p["roles"].append(role("grip", department_id="Set Dressing")),
        Told("RR006", E, ["grip", "Set Dressing"], '^"Set Dressing"', None),
    ),
    case(
        "RR006__alias",
        lambda p: p["roles"][EDITOR]["aliases"].append("Cutter"),
        Told("RR006", E, ["editor", "Cutter"], '^"Cutter"', '"editor" » "aliases": ^['),
    ),
    case("pass__a_role_id_of_64_characters", lambda p: p["roles"].append(role("a_1" + "b" * 61))),
)


def bad_contract_id(name: str, contract_id: str, shown: str = "") -> Recipe:
    return case(
        f"RR007__{name}",
        lambda p: extract(p, EDITOR).append(contract(contract_id, title="New")),
        Told(
            "RR007",
            E,
            ["editor", contract_id],
            f'"contract_id": ^{shown or chr(34) + contract_id + chr(34)}',
            '"role_id": ^"editor"',
        ),
    )


BAD_CONTRACT_IDS = (
    bad_contract_id("leading_zero", "ROLE:editor:X:02"),
    bad_contract_id("version_zero", "ROLE:editor:X:0"),
    bad_contract_id("beyond_u32", "ROLE:editor:X:4294967296"),
    bad_contract_id("signed", "ROLE:editor:X:+2"),
    bad_contract_id("lower_case", "role:editor:x:2"),
    bad_contract_id("another_letter", "ROLE:editor:E:2"),
    bad_contract_id("no_version", "ROLE:editor:X"),
    bad_contract_id("a_newline_behind", "ROLE:editor:X:2\n", '"ROLE:editor:X:2\\n"'),
    bad_contract_id("other_digits", "ROLE:editor:X:٢"),
    bad_contract_id("empty", "", '""'),
    case(
        "RR013__the_last_version_there_can_be",
        lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:4294967295", title="Last")),
        Told(
            "RR013",
            W,
            ["editor", "ROLE:editor:X:4294967295"],
            id_of("ROLE:editor:X:4294967295"),
            '"role_id": ^"editor"',
        ),
    ),
    case(
        "RR008__of_another_role",
        lambda p: extract(p, EDITOR).append(contract("ROLE:producer:X:3", title="Stray")),
        Told("RR008", E, ["editor", "ROLE:producer:X:3"], id_of("ROLE:producer:X:3"), '"role_id": ^"editor"'),
    ),
    case(
        "RR008__of_no_role",
        lambda p: extract(p, EDITOR).append(contract("ROLE:grip:X:1", title="Stray")),
        Told("RR008", E, ["editor", "ROLE:grip:X:1"], id_of("ROLE:grip:X:1"), '"role_id": ^"editor"'),
    ),
    case(
        "RR009__extract_in_produce",
        lambda p: produce(p, EDITOR).append(contract("ROLE:editor:X:2", title="New")),
        Told("RR009", E, ["editor", "ROLE:editor:X:2"], id_of("ROLE:editor:X:2"), '"role_id": ^"editor"'),
    ),
    case(
        "RR009__produce_in_extract",
        lambda p: extract(p, EDITOR).append(contract("ROLE:editor:C:2", title="New")),
        Told("RR009", E, ["editor", "ROLE:editor:C:2"], id_of("ROLE:editor:C:2"), '"role_id": ^"editor"'),
    ),
    case(
        "RR009__a_published_one_moved",
        lambda p: produce(p, EDITOR).append(extract(p, EDITOR).pop()),
        Told("RR009", E, ["editor", "ROLE:editor:X:1"], id_of("ROLE:editor:X:1"), id_of("ROLE:editor:X:1")),
    ),
)


RECIPES = (*REMOVED, *AGAIN, *BAD_ROLE_IDS, *BAD_CONTRACT_IDS)
