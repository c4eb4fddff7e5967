"""The documented functions of `registry_pipeline.roles`."""

from __future__ import annotations

import json

import pytest

from registry_pipeline import roles
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.registries.roles.check import (
    RoleRegistryAppendOnlyValidator,
    check_against_baseline,
    make_not_checked,
    make_registry_document,
)
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.pack_reader import canonical_json_sha256
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline.registries.roles.snapshot import (
    ContractSurfaceHash,
    DepartmentId,
    RoleContractKind,
    RoleContractSurface,
    RoleId,
    RoleRegistrySnapshot,
    RoleSpecEntry,
)
from registry_pipeline.values import replace
from registry_pipeline_tests.cases.layout import find_cases
from registry_pipeline_tests.roles.base_pack import base_pack, contract, role, written
from registry_pipeline_tests.roles.text_positions import place_of

HASH = canonical_json_sha256({"title": "Cut"})
SURFACE = RoleContractSurface("ROLE:editor:X:1", "editor", RoleContractKind.EXTRACT, 1, HASH)
BASE = RoleRegistrySnapshot((RoleSpecEntry("editor"), RoleSpecEntry("producer")), (SURFACE,))


def validate(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot) -> list[Finding]:
    return [violation.finding for violation in RoleRegistryAppendOnlyValidator.validate(current, baseline)]


def codes(current: RoleRegistrySnapshot, baseline: RoleRegistrySnapshot = BASE) -> list[str]:
    return [finding.code for finding in validate(current, baseline)]


def test_a_removed_role_fails() -> None:
    (finding,) = validate(replace(BASE, roles=BASE.roles[:1]), BASE)

    assert (finding.code, finding.severity) == ("RR001", Severity.ERROR)
    assert "producer" in finding.message


def test_a_changed_surface_fails_with_both_hashes() -> None:
    other = canonical_json_sha256({"title": "Long cut"})

    (finding,) = validate(replace(BASE, contracts=(replace(SURFACE, schema_hash=other),)), BASE)

    assert (finding.code, finding.expected, finding.got) == ("RR003", HASH, other)
    assert finding.hint == "add ROLE:editor:X:2 with the new surface and restore X:1"


@pytest.mark.parametrize("text", ["producer", "role_2", "a" * 64])
@pytest.mark.parametrize("kind", [RoleId, DepartmentId])
def test_an_id_of_a_role_or_department_is_its_text(kind: type[RoleId | DepartmentId], text: str) -> None:
    assert kind(text) == text
    assert isinstance(kind(text), kind)


@pytest.mark.parametrize("text", ["", "Producer", "a-b", "a" * 65, "a\n", "\u0661"])
@pytest.mark.parametrize("kind", [RoleId, DepartmentId])
def test_an_id_of_another_form_is_refused(kind: type[RoleId | DepartmentId], text: str) -> None:
    with pytest.raises(ValueError, match="does not match"):
        kind(text)


def test_a_surface_hash_is_64_digits_of_32_bytes() -> None:
    assert isinstance(HASH, ContractSurfaceHash)
    assert HASH.digest.hex() == HASH
    for text in (HASH[:-1], HASH.upper(), f"{HASH}\n"):
        with pytest.raises(ValueError, match="is not a sha256"):
            ContractSurfaceHash(text)


def test_the_names_of_the_public_import_path_are_the_types_that_are_used() -> None:
    (violation,) = roles.RoleRegistryAppendOnlyValidator.validate(replace(BASE, roles=BASE.roles[:1]), BASE)

    assert isinstance(violation, roles.RoleRegistryViolation)
    assert (violation.ids, len(violation.fingerprint)) == (("producer",), 64)
    assert roles.RoleRegistryAppendOnlyValidator.validate(BASE, BASE) == ()
    assert all(getattr(roles, name).__doc__ for name in roles.__all__)


def test_a_new_role_with_a_new_contract_passes() -> None:
    new = RoleContractSurface("ROLE:grip:C:1", "grip", RoleContractKind.PRODUCE, 1, HASH)

    assert codes(RoleRegistrySnapshot((*BASE.roles, RoleSpecEntry("grip")), (SURFACE, new))) == []


def test_all_violations_are_reported_at_once_by_code_and_id() -> None:
    current = RoleRegistrySnapshot(
        (RoleSpecEntry("Zoe"), RoleSpecEntry("editor"), RoleSpecEntry("editor"), RoleSpecEntry("Ann")), ()
    )

    codes_and_ids = [(finding.code, finding.message.split()[1]) for finding in validate(current, BASE)]

    assert codes_and_ids == [
        ("RR001", "producer"),
        ("RR002", "ROLE:editor:X:1"),
        ("RR004", "editor"),
        ("RR006", "Ann"),
        ("RR006", "Zoe"),
    ]


def test_a_violation_that_the_baseline_has_is_a_warning() -> None:
    both = RoleRegistrySnapshot((RoleSpecEntry("Zoe"),), ())

    assert [(f.code, f.severity) for f in validate(both, both)] == [("RR006", Severity.WARNING)]


def test_snapshots_give_the_same_violations_as_packs() -> None:
    compared = 0
    for case in find_cases("roles"):
        files = case.files()
        if "baseline.json" not in files:
            continue
        packs = [parse_pack(files[name], "p") for name in ("current.json", "baseline.json")]
        current, baseline = packs[0].snapshot, packs[1].snapshot
        if current is None or baseline is None:
            continue
        of_text = {"RR016", "RR017", "RR018", "RR019", "RR020", "RR027"}
        whole = check_against_baseline(packs[0], PublishedPack(packs[1], "main:p"))
        expected = sorted((v.finding.code, v.finding.severity) for v in whole if v.finding.code not in of_text)
        from_packs = sorted({(f.code, f.severity, f.message, f.got) for f in validate(current, baseline)})
        if "another_one_since" not in case.name:  # surfaces that both are unknown differ in their text only
            assert [(code, severity) for code, severity, _, _ in from_packs] == expected, case.name
            compared += 1

    assert compared > 200


def test_the_registry_document_contains_roles_and_surfaces() -> None:
    pack = parse_pack(written(base_pack()), "p")

    document = make_registry_document(pack)

    assert document["contracts"][0] == {
        "contract_id": "ROLE:producer:X:1",
        "role_id": "producer",
        "kind": "X",
        "version": 1,
        "surface_sha256": canonical_json_sha256(base_pack()["roles"][0]["extract_contracts"][0]["schema_json"]),
    }
    assert [each["role_id"] for each in document["roles"]] == ["producer", "editor", "archivist"]
    assert document["pack_sha256"] == pack.sha256


def test_a_snapshot_is_checked_against_the_previous_one() -> None:
    before = parse_pack(written(base_pack()), "p")
    after = parse_pack(written({**base_pack(), "roles": base_pack()["roles"][:2]}), "p")

    violations = check_against_baseline(after, PublishedPack(before, "2026-03-01__role_registry"))

    assert [v.finding.code for v in violations] == ["RR001", "RR002"]
    assert violations[0].baseline_location == place_of(
        before.data, '"role_id": ^"archivist"', "2026-03-01__role_registry"
    )


def test_a_check_that_is_impossible_says_why() -> None:
    violation = make_not_checked("assets/pack.json", "a shallow clone")

    assert (violation.finding.code, violation.finding.path) == ("RR030", "assets/pack.json")
    assert "a shallow clone" in violation.finding.message


def test_a_baseline_names_the_commit_that_published_an_id() -> None:
    before = parse_pack(written(base_pack()), "p")
    after = parse_pack(written({**base_pack(), "roles": base_pack()["roles"][:2]}), "p")

    violations = check_against_baseline(
        after, PublishedPack(before, "main:p", {"ROLE:archivist:X:1": "0123456789abcdef"})
    )

    assert [v.published_by for v in violations] == [None, "0123456789abcdef"]
    where = place_of(before.data, '^"ROLE:archivist:X:1"', "main:p")
    assert violations[1].finding.message.endswith(f"({where}, published by commit 0123456789ab)")


def test_ids_are_reported_with_their_positions() -> None:
    pack = parse_pack(written(base_pack()), "p")

    assert pack.location_of("editor") == place_of(pack.data, '"role_id": ^"editor"')
    assert pack.location_of("ROLE:editor:X:1") == place_of(pack.data, '^"ROLE:editor:X:1"')
    assert pack.location_of("grip") is None
    assert parse_pack(b"{", "p").location_of("grip") is None


def test_a_violation_as_json_contains_no_control_characters() -> None:
    before = parse_pack(written(base_pack()), "p")
    changed = base_pack()
    changed["roles"][1]["extract_contracts"][0] = contract("ROLE:editor:X:1", title="Long cut")
    changed["roles"].append(role("grip\ud83c".encode("utf-8", "replace").decode() + "\x1b[31m"))

    documents = [
        each.to_json()
        for each in check_against_baseline(parse_pack(written(changed), "p"), PublishedPack(before, "main:p"))
    ]

    assert json.loads(json.dumps(documents)) == documents
    assert "\x1b" not in "".join(each["message"] for each in documents)
    assert documents[0]["differences"] == [{"pointer": "/title", "old": '"Cut"', "new": '"Long cut"'}]
