"""Shape violations that are hidden by others."""

from __future__ import annotations

import json

from registry_pipeline.findings.finding import Severity
from registry_pipeline.registries.roles.bump import add_next_version
from registry_pipeline.registries.roles.check import check_against_baseline, make_registry_document
from registry_pipeline.registries.roles.json_text import find_differences
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.report import PublishedPack, sort_violations
from registry_pipeline.registries.roles.snapshot import MAX_ITEMS, RoleContractKind
from registry_pipeline.values import replace
from registry_pipeline_tests.roles.base_pack import base_pack, role, written


def test_an_unknown_key_in_place_of_a_missing_one_is_reported() -> None:
    base = base_pack()
    base["roles"][1]["alias"] = base["roles"][1].pop("aliases")

    messages = [each.finding.message for each in check_against_baseline(parse_pack(written(base), "p"), None)]

    assert any("aliases is missing" in each for each in messages)
    assert any("did you mean aliases?" in each for each in messages)


def test_a_violation_of_the_second_role_is_not_tolerated_because_the_first_has_it() -> None:
    base = base_pack()
    base["roles"] = [role("grip", lifecycle="gone"), role("grip")]
    before = written(base)
    base["roles"][1]["lifecycle"] = "gone"

    violations = check_against_baseline(
        parse_pack(written(base), "p"), PublishedPack(parse_pack(before, "p"), "main:p")
    )

    errors = [each for each in violations if each.finding.severity is Severity.ERROR]
    assert [each.finding.code for each in errors] == ["RR020"]


def test_an_alias_of_three_roles_is_reported_with_its_first_owner() -> None:
    base = base_pack()
    base["roles"] = [role(name, aliases=["hand"]) for name in ("a", "b", "c")]

    messages = [each.finding.message for each in check_against_baseline(parse_pack(written(base), "p"), None)]

    assert sum("an alias of role a already" in each for each in messages) == 2


def test_a_full_list_of_violations_does_not_mention_more() -> None:
    violations = check_against_baseline(parse_pack(b'{"roles": [' + b"1," * (MAX_ITEMS - 1) + b"1]}", "p"), None)

    assert not any("more of its items" in each.finding.message for each in violations)


def test_a_first_version_is_added_after_contracts_of_another_id() -> None:
    base = base_pack()
    base["roles"][1]["produce_contracts"] = [{"contract_id": "an old one", "schema_json": {}}]

    added = add_next_version(written(base), "editor", RoleContractKind.PRODUCE)

    ids = [each["contract_id"] for each in json.loads(added.data)["roles"][1]["produce_contracts"]]
    assert ids == ["an old one", "ROLE:editor:C:1"]


def test_true_and_one_differ_in_messages_and_in_surfaces() -> None:
    assert [(each.old, each.new) for each in find_differences({"a": True}, {"a": 1})] == [("true", "1")]


def test_of_two_equal_findings_the_more_severe_is_kept_in_any_order() -> None:
    (error, *_) = check_against_baseline(parse_pack(b"{}", "p"), None)
    warning = replace(error, finding=replace(error.finding, severity=Severity.WARNING))

    assert sort_violations([warning], [error]) == sort_violations([error], [warning]) == (error,)


def test_the_registry_document_contains_aliases_and_lifecycle() -> None:
    document = make_registry_document(parse_pack(written(base_pack()), "p"))

    assert [(each["aliases"], each["lifecycle"]) for each in document["roles"]] == [
        (["line_producer"], "active"),
        ([], "active"),
        ([], "deprecated"),
    ]
