"""The shape of a pack, a role and a contract (RR020)."""

from __future__ import annotations

from typing import Any

from registry_pipeline_tests.roles.base_pack import contract, written
from registry_pipeline_tests.roles.recipes import Recipe, Told, case
from registry_pipeline_tests.roles.recipes_of_ids import EDITOR, E, W, extract, id_of

OF_EDITOR = '"role_id": ^"editor"'


def field(name: str, member: str, value: Any, *, inner: str = "", redefines: bool = False) -> Recipe:
    """Return the case of a member of the role editor with a wrong value, which may change its definition too."""
    where = f'"editor" » "{member}": ^' if not inner else f'"editor" » "{member}": [ » ^{inner}'
    return case(
        f"RR020__{name}",
        lambda p: p["roles"][EDITOR].update({member: value}),
        Told("RR020", E, ["editor"], where, OF_EDITOR),
        *([Told("RR026", W, ["editor"], OF_EDITOR, OF_EDITOR)] if redefines else []),
    )


FIELDS = (
    field("a_number_for_a_name", "display_name", 7),
    field("a_department_of_null", "department_id", None),
    field("no_modes", "modes_supported", [], redefines=True),
    field("modes_that_are_text", "modes_supported", "conceptual"),
    field("an_unknown_mode", "modes_supported", ["conceptual", "abstract"], inner='"abstract"', redefines=True),
    field("models_that_are_an_object", "allowed_models", {}),
    field("a_tool_of_null", "allowed_tools", ["a", None], inner="null", redefines=True),
    field("an_unknown_policy", "proposal_policy", "always", redefines=True),
    field("an_unknown_lifecycle", "lifecycle", "retired"),
    field("a_namespace_of_false", "vocab_namespace", False),
    field("an_unknown_key", "colour", "red"),
)


def missing(name: str) -> Recipe:
    return case(
        f"RR020__without_{name}",
        lambda p: p["roles"][EDITOR].pop(name),
        Told("RR020", E, ["editor"], '{\n      "role_id": "editor"', OF_EDITOR),
    )


WITHOUT = tuple(
    missing(name)
    for name in (
        "department_id",
        "display_name",
        "modes_supported",
        "content_profiles_supported",
        "claim_features",
        "allowed_models",
        "allowed_tools",
        "vocab_namespace",
        "proposal_policy",
        "aliases",
        "lifecycle",
    )
)


def whole(name: str, text: bytes, *expected: Told, **options: Any) -> Recipe:
    return case(f"RR020__{name}", text, *expected, **options)


PARTS = (
    case(
        "RR020__a_contract_that_is_text",
        lambda p: extract(p, EDITOR).append("x"),
        Told("RR020", E, ["editor"], '^"x"', OF_EDITOR),
    ),
    case(
        "RR020__contracts_that_are_text",
        lambda p: p["roles"][EDITOR].update(produce_contracts="x"),
        Told("RR002", E, ["editor", "ROLE:editor:C:1"], '^"x"', id_of("ROLE:editor:C:1")),
        Told("RR020", E, ["editor"], '^"x"', OF_EDITOR),
    ),
    case(
        "RR020__a_contract_without_a_schema",
        lambda p: extract(p, EDITOR).append({"contract_id": "ROLE:editor:X:2"}),
        Told("RR020", E, ["editor", "ROLE:editor:X:2"], '{\n          "contract_id": "ROLE:editor:X:2"', OF_EDITOR),
    ),
    case(
        "RR020__a_published_schema_that_is_an_array_now",
        lambda p: extract(p, EDITOR)[0].update(schema_json=[]),
        Told("RR020", E, ["editor", "ROLE:editor:X:1"], '"schema_json": ^[]', id_of("ROLE:editor:X:1")),
    ),
    case(
        "RR020__a_contract_with_another_key",
        lambda p: extract(p, EDITOR)[0].update(version=1),
        Told("RR020", E, ["editor", "ROLE:editor:X:1"], '"version": ^1', id_of("ROLE:editor:X:1")),
    ),
    case(
        "RR020__a_contract_without_an_id",
        lambda p: extract(p, EDITOR).append({"schema_json": {}}),
        Told("RR020", E, ["editor"], '{\n          "schema_json": {}', OF_EDITOR),
    ),
    case(
        "RR020__a_role_that_is_text",
        lambda p: p["roles"].append("grip"),
        Told("RR020", E, [], '^"grip"', None),
    ),
    case(
        "RR020__another_key_of_the_pack",
        lambda p: p.update(comment="draft"),
        Told("RR020", E, [], '"comment": ^"draft"', None),
    ),
    case(
        "RR020__without_a_spec",
        lambda p: p.pop("spec_id"),
        Told("RR020", E, [], "{", None),
    ),
    case(
        "RR020__a_version_that_is_a_number",
        lambda p: p.update(pack_version=3),
        Told("RR020", E, [], '"pack_version": ^3', None),
    ),
    case(
        "RR020__a_contract_of_a_bad_kind_of_id",
        lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:2") | {"contract_id": 2}),
        Told("RR020", E, ["editor"], '"contract_id": ^2', OF_EDITOR),
    ),
    whole("an_array", b"[]", Told("RR020", E, [], "[]", None)),
    whole("a_number", b" 7", Told("RR020", E, [], "7", None)),
    whole(
        "no_roles",
        written({"pack_id": "digital_production_studio", "pack_version": "2", "spec_id": "6.3.3.5.7.23"}),
        Told("RR020", E, [], "{", None),
    ),
    whole(
        "roles_that_are_an_object",
        written({"pack_id": "digital_production_studio", "pack_version": "2", "spec_id": "s", "roles": {}}),
        Told("RR020", E, [], '"roles": ^{}', None),
    ),
)

RECIPES = (*FIELDS, *WITHOUT, *PARTS)
