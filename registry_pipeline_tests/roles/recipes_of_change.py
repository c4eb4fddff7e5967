"""What a change should not do unseen, and what the ratchet lets stand (RR012 to RR016, RR021, RR022, RR026)."""

from __future__ import annotations

from typing import Any

from registry_pipeline_tests.roles.base_pack import Pack, contract, role, several, unchanged
from registry_pipeline_tests.roles.recipes import Recipe, Told, case, first
from registry_pipeline_tests.roles.recipes_of_ids import (
    ARCHIVIST,
    EDITOR,
    PRODUCER,
    E,
    W,
    extract,
    id_of,
    produce,
)

OF_EDITOR = '"role_id": ^"editor"'


def added(pack: Pack, index: int, contract_id: str, **schema: Any) -> None:
    extract(pack, index).append(contract(contract_id, **schema))


VERSIONS = (
    case(
        "RR013__a_gap",
        lambda p: added(p, PRODUCER, "ROLE:producer:X:4", title="New"),
        Told("RR013", W, ["producer", "ROLE:producer:X:4"], id_of("ROLE:producer:X:4"), '"role_id": ^"producer"'),
    ),
    case(
        "RR013__a_new_role_that_begins_with_two",
        lambda p: p["roles"].append(role("grip", extract_contracts=[contract("ROLE:grip:X:2")])),
        Told("RR013", W, ["grip", "ROLE:grip:X:2"], id_of("ROLE:grip:X:2"), None),
    ),
    case(
        "pass__two_versions_at_once",
        several(
            lambda p: added(p, EDITOR, "ROLE:editor:X:2", title="B"),
            lambda p: added(p, EDITOR, "ROLE:editor:X:3", title="C"),
        ),
    ),
    case(
        "RR014__below_the_highest",
        lambda p: added(p, EDITOR, "ROLE:editor:X:2", title="Late"),
        Told("RR014", E, ["editor", "ROLE:editor:X:2"], id_of("ROLE:editor:X:2"), OF_EDITOR),
        baseline=lambda p: added(p, EDITOR, "ROLE:editor:X:3", title="Third"),
    ),
    case(
        "RR014__below_the_highest_and_without_its_predecessor",
        lambda p: added(p, EDITOR, "ROLE:editor:X:3", title="Late"),
        Told("RR014", E, ["editor", "ROLE:editor:X:3"], id_of("ROLE:editor:X:3"), OF_EDITOR),
        baseline=lambda p: added(p, EDITOR, "ROLE:editor:X:4", title="Fourth"),
    ),
    case(
        "pass__the_other_kind_counts_for_itself",
        lambda p: produce(p, EDITOR).append(contract("ROLE:editor:C:2", title="Late")),
        baseline=lambda p: added(p, EDITOR, "ROLE:editor:X:3", title="Third"),
    ),
    case(
        "RR015__the_same_surface_again",
        lambda p: added(p, EDITOR, "ROLE:editor:X:2", title="Cut"),
        Told("RR015", W, ["editor", "ROLE:editor:X:2"], id_of("ROLE:editor:X:2"), OF_EDITOR),
    ),
    case(
        "pass__the_surface_of_an_older_one",
        lambda p: added(
            p, PRODUCER, "ROLE:producer:X:3", title="Brief", limit=1, ratio=0.5, tags=["a", "b"], nested={"on": True}
        ),
    ),
    case(
        "RR015__back_to_back_and_a_gap",
        lambda p: added(p, EDITOR, "ROLE:editor:X:5", title="Cut"),
        Told("RR013", W, ["editor", "ROLE:editor:X:5"], id_of("ROLE:editor:X:5"), OF_EDITOR),
        Told("RR015", W, ["editor", "ROLE:editor:X:5"], id_of("ROLE:editor:X:5"), OF_EDITOR),
    ),
)


def stated(name: str, version: Any) -> Recipe:
    where = '"ROLE:editor:X:2" » "contract_version": ^'
    return case(
        f"RR016__{name}",
        lambda p: added(p, EDITOR, "ROLE:editor:X:2", title="New", contract_version=version),
        Told("RR016", W, ["editor", "ROLE:editor:X:2"], where, OF_EDITOR),
    )


STATED = (
    stated("another_number", 1),
    stated("in_words", "two"),
    stated("null", None),
    stated("a_fraction", 2.5),
    stated("an_object", {"major": 2}),
    case(
        "RR016__true_is_not_one",
        lambda p: p["roles"].append(role("grip", extract_contracts=[contract("ROLE:grip:X:1", contract_version=True)])),
        Told("RR016", W, ["grip", "ROLE:grip:X:1"], '"ROLE:grip:X:1" » "contract_version": ^', None),
    ),
    case(
        "RR016__published_so",
        unchanged,
        Told(
            "RR016",
            W,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "contract_version": ^',
            id_of("ROLE:editor:X:1"),
        ),
        baseline=lambda p: extract(p, EDITOR)[0]["schema_json"].update(contract_version=7),
    ),
    case("pass__stated_as_text", lambda p: added(p, EDITOR, "ROLE:editor:X:2", title="New", contract_version="2")),
    case("pass__stated_with_a_point", lambda p: added(p, EDITOR, "ROLE:editor:X:2", title="New", contract_version=2.0)),
)


def versions(name: str, old: str, new: str, *, back: bool) -> Recipe:
    told = [Told("RR021", E, [], f'"pack_version": ^"{new}"', f'"pack_version": ^"{old}"')] if back else []
    return case(
        f"{'RR021' if back else 'pass'}__{name}",
        lambda p: p.update(pack_version=new),
        *told,
        baseline=lambda p: p.update(pack_version=old),
    )


PACK = (
    case(
        "RR021__another_pack",
        lambda p: p.update(pack_id="analogue_studio"),
        Told("RR021", E, [], '"pack_id": ^', '"pack_id": ^'),
    ),
    versions("an_older_version", "2", "1", back=True),
    versions("numbers_and_not_text", "10", "9", back=True),
    versions("zeros_in_front", "2", "01", back=True),
    versions("longer_than_python_parses", "2" * 5000, "1" * 5000, back=True),
    versions("a_newer_version", "9", "10", back=False),
    versions("zeros_make_no_difference", "2", "002", back=False),
    versions("versions_that_are_no_integers", "1.2", "1.1", back=False),
    case("pass__another_spec", lambda p: p.update(spec_id="7")),
)

ROLES = (
    case(
        "RR012__active_again",
        lambda p: p["roles"][ARCHIVIST].update(lifecycle="active"),
        Told("RR012", W, ["archivist"], '"archivist" » "lifecycle": ^', '"archivist" » "lifecycle": ^'),
    ),
    case("pass__deprecated", lambda p: p["roles"][EDITOR].update(lifecycle="deprecated")),
    case(
        "RR022__a_new_version",
        lambda p: added(p, ARCHIVIST, "ROLE:archivist:X:2", title="Box"),
        Told("RR022", W, ["archivist", "ROLE:archivist:X:2"], id_of("ROLE:archivist:X:2"), '"role_id": ^"archivist"'),
    ),
    case(
        "RR022__deprecated_in_the_same_change",
        several(
            lambda p: p["roles"][EDITOR].update(lifecycle="deprecated"),
            lambda p: added(p, EDITOR, "ROLE:editor:X:2", title="Fine cut"),
        ),
        Told("RR022", W, ["editor", "ROLE:editor:X:2"], id_of("ROLE:editor:X:2"), OF_EDITOR),
    ),
    case(
        "pass__a_role_that_is_published_as_deprecated",
        lambda p: p["roles"].append(
            role("grip", lifecycle="deprecated", extract_contracts=[contract("ROLE:grip:X:1")])
        ),
    ),
)


def defined(field: str, value: Any) -> Recipe:
    return case(
        f"RR026__{field}",
        lambda p: p["roles"][EDITOR].update({field: value}),
        Told("RR026", W, ["editor"], OF_EDITOR, OF_EDITOR),
    )


DEFINITION = (
    defined("department_id", "story"),
    defined("modes_supported", ["conceptual"]),
    defined("content_profiles_supported", ["film"]),
    defined("claim_features", ["cut"]),
    defined("allowed_models", ["small", "large"]),
    defined("allowed_tools", ["scissors"]),
    defined("vocab_namespace", "film"),
    defined("proposal_policy", "disabled"),
    case("pass__display_name", lambda p: p["roles"][EDITOR].update(display_name="Cutter")),
    case("pass__lists_in_another_order", lambda p: p["roles"][EDITOR]["modes_supported"].reverse()),
)


def bare(pack: Pack) -> None:
    """Leave aliases and lifecycle out, as real packs do."""
    for each in pack["roles"]:
        del each["aliases"], each["lifecycle"]


LEFT_ALONE = tuple(
    Told("RR020", W, [role_id], f'{{\n      "role_id": "{role_id}"', f'"role_id": ^"{role_id}"')
    for role_id in ("archivist", "editor", "producer")
    for _ in ("aliases", "lifecycle")
)

RATCHET = (
    case("RR020__left_alone_since_the_baseline", unchanged, *LEFT_ALONE, baseline=bare),
    case(
        "RR020__left_alone_beside_a_new_one",
        lambda p: p["roles"][EDITOR].update(claim_features="cut"),
        Told("RR020", W, ["archivist"], '{\n      "role_id": "archivist"', '"role_id": ^"archivist"'),
        Told("RR020", W, ["archivist"], '{\n      "role_id": "archivist"', '"role_id": ^"archivist"'),
        Told("RR020", W, ["editor"], '{\n      "role_id": "editor"', OF_EDITOR),
        Told("RR020", W, ["editor"], '{\n      "role_id": "editor"', OF_EDITOR),
        Told("RR020", E, ["editor"], '"claim_features": ^"cut"', OF_EDITOR),
        Told("RR020", W, ["producer"], '{\n      "role_id": "producer"', '"role_id": ^"producer"'),
        Told("RR020", W, ["producer"], '{\n      "role_id": "producer"', '"role_id": ^"producer"'),
        baseline=bare,
    ),
    case(
        "pass__mended_since_the_baseline",
        lambda p: [e.update(aliases=[], lifecycle="active") for e in p["roles"]],
        baseline=bare,
    ),
    case(
        "RR006__left_alone_since_the_baseline",
        lambda p: p["roles"].reverse(),
        Told("RR006", W, ["editor", "Post"], '^"Post"', '^"Post"'),
        baseline=lambda p: p["roles"][EDITOR].update(department_id="Post"),
    ),
    case(
        "RR006__made_worse_since_the_baseline",
        lambda p: p["roles"][EDITOR].update(department_id="Post production"),
        Told("RR006", E, ["editor", "Post production"], '^"Post production"', '"department_id": ^"Post"'),
        Told("RR026", W, ["editor"], OF_EDITOR, OF_EDITOR),
        baseline=lambda p: p["roles"][EDITOR].update(department_id="Post"),
    ),
    case(
        "RR004__left_alone_since_the_baseline",
        unchanged,
        Told("RR004", W, ["editor"], '"archivist" » "role_id": ^"editor"', OF_EDITOR),
        baseline=lambda p: p["roles"].append(role("editor")),
    ),
    case(
        "RR004__a_third_beside_what_the_baseline_has",
        lambda p: p["roles"].append(role("editor")),
        Told("RR004", W, ["editor"], '"archivist" » "role_id": ^"editor"', OF_EDITOR),
        Told("RR004", E, ["editor"], '"archivist" » "role_id": "editor" » "role_id": ^"editor"', OF_EDITOR),
        baseline=lambda p: p["roles"].append(role("editor")),
    ),
    case(
        "pass__a_doubled_contract_put_right",
        lambda p: extract(p, EDITOR).pop(),
        baseline=lambda p: added(p, EDITOR, "ROLE:editor:X:1", title="Other"),
    ),
    case(
        "RR003__of_a_doubled_contract",
        lambda p: extract(p, EDITOR)[1]["schema_json"].update(title="Third"),
        Told(
            "RR003",
            E,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "schema_json": ^{',
            '"ROLE:editor:X:1" » "schema_json": ^{',
        ),
        Told(
            "RR005",
            W,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "contract_id": ^"ROLE:editor:X:1"',
            id_of("ROLE:editor:X:1"),
        ),
        baseline=lambda p: added(p, EDITOR, "ROLE:editor:X:1", title="Other"),
    ),
    case(
        "RR003__one_of_two_surfaces_took_the_others_place",
        lambda p: extract(p, EDITOR)[1]["schema_json"].update(title="Cut"),
        Told(
            "RR003",
            E,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "schema_json": ^{',
            '"ROLE:editor:X:1" » "schema_json": ^{',
        ),
        Told(
            "RR005",
            W,
            ["editor", "ROLE:editor:X:1"],
            '"ROLE:editor:X:1" » "contract_id": ^"ROLE:editor:X:1"',
            id_of("ROLE:editor:X:1"),
        ),
        baseline=lambda p: added(p, EDITOR, "ROLE:editor:X:1", title="Other"),
    ),
    first(
        "RR031__without_a_baseline_nothing_is_left_alone",
        lambda p: p["roles"][EDITOR].pop("aliases"),
        Told("RR020", E, ["editor"], '{\n      "role_id": "editor"'),
        Told("RR031", "info"),
    ),
)

RECIPES = (*VERSIONS, *STATED, *PACK, *ROLES, *DEFINITION, *RATCHET)
