"""`roles bump` adds one contract and changes no other byte."""

from __future__ import annotations

import difflib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.registries.roles.bump import AddedVersion, add_next_version
from registry_pipeline.registries.roles.check import check_against_baseline
from registry_pipeline.registries.roles.pack import parse_pack
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline.registries.roles.snapshot import RoleContractKind
from registry_pipeline_tests.roles.base_pack import (
    EDITOR,
    PRODUCER,
    Change,
    base_pack,
    contract,
    extract,
    role,
    unchanged,
    written,
)

X, C = RoleContractKind.EXTRACT, RoleContractKind.PRODUCE


def changed_lines(old: bytes, new: bytes) -> list[str]:
    lines = difflib.unified_diff(old.decode().splitlines(), new.decode().splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def pack(change: Change = unchanged) -> bytes:
    made = base_pack()
    change(made)
    return written(made)


def codes(old: bytes, new: bytes) -> list[str]:
    published = PublishedPack(parse_pack(old, "p"), "main:p")
    return [each.finding.code for each in check_against_baseline(parse_pack(new, "p"), published)]


def test_the_newest_version_is_copied_with_the_next_version_number() -> None:
    old = pack()

    made = add_next_version(old, "producer", X)

    assert (made.contract_id, made.after) == ("ROLE:producer:X:3", "ROLE:producer:X:2")
    assert sorted(changed_lines(old, made.data)) == sorted(
        [
            "+        },",
            "+        {",
            '+          "contract_id": "ROLE:producer:X:3",',
            '+          "schema_json": {',
            '+            "title": "Brief",',
            '+            "limit": 2,',
            '+            "contract_version": 3',
            "+          }",
        ]
    )
    assert codes(old, made.data) == []


def test_a_newest_version_in_the_middle_keeps_what_follows() -> None:
    old = pack(lambda p: extract(p, PRODUCER).reverse())

    made = add_next_version(old, "producer", X)

    ids = [each["contract_id"] for each in json.loads(made.data)["roles"][PRODUCER]["extract_contracts"]]
    assert ids == ["ROLE:producer:X:2", "ROLE:producer:X:3", "ROLE:producer:X:1"]
    assert [line for line in changed_lines(old, made.data) if line.startswith("-")] == []


def test_a_surface_without_contract_version_is_copied_and_reported_as_unchanged() -> None:
    old = pack()

    made = add_next_version(old, "editor", X)

    assert made.contract_id == "ROLE:editor:X:2"
    assert codes(old, made.data) == ["RR015"]


def test_the_first_contract_of_a_role_starts_a_list() -> None:
    old = pack()

    made = add_next_version(old, "archivist", C)

    assert (made.contract_id, made.after) == ("ROLE:archivist:C:1", None)
    assert changed_lines(old, made.data) == [
        '-      "produce_contracts": [],',
        '+      "produce_contracts": [',
        "+        {",
        '+          "contract_id": "ROLE:archivist:C:1",',
        '+          "schema_json": {}',
        "+        }",
        "+      ],",
    ]


@pytest.mark.parametrize("text", [json.dumps(base_pack()), json.dumps(base_pack(), separators=(",", ":"))])
@pytest.mark.parametrize(("role_id", "kind"), [("producer", X), ("producer", C), ("archivist", C)])
def test_a_pack_on_one_line_stays_on_one_line(text: str, role_id: str, kind: RoleContractKind) -> None:
    made = add_next_version(text.encode(), role_id, kind)

    assert b"\n" not in made.data
    assert len(json.loads(made.data)["roles"][0]["extract_contracts"]) == (
        3 if (role_id, kind) == ("producer", X) else 2
    )


@pytest.mark.parametrize(("role_id", "kind"), [("producer", X), ("archivist", C)])
def test_windows_line_ends_stay(role_id: str, kind: RoleContractKind) -> None:
    old = pack().replace(b"\n", b"\r\n")

    made = add_next_version(old, role_id, kind)

    assert made.data.replace(b"\r\n", b"").count(b"\n") == 0
    assert made.data.count(b"\r\n") > old.count(b"\r\n")


def test_tabs_stay() -> None:
    old = json.dumps(base_pack(), indent="\t").encode()

    assert b"\n  " not in add_next_version(old, "archivist", C).data
    assert b"\n  " not in add_next_version(old, "producer", X).data


def test_escapes_and_the_order_of_keys_are_copied_unchanged() -> None:
    old = pack().replace(b'"title": "Cut"', b'"title" :"C\\u0075t" , "z": 1.50, "a": 1E2')

    assert add_next_version(old, "editor", X).data.count(b'"title" :"C\\u0075t" , "z": 1.50, "a": 1E2') == 2


def test_a_version_that_is_text_stays_text() -> None:
    old = pack(lambda p: extract(p, EDITOR)[0]["schema_json"].update(contract_version="1"))

    made = add_next_version(old, "editor", X)

    assert json.loads(made.data)["roles"][EDITOR]["extract_contracts"][1]["schema_json"]["contract_version"] == "2"


def test_a_missing_role_is_reported() -> None:
    with pytest.raises(NotFoundError, match="no role grip"):
        add_next_version(pack(), "grip", X, "assets/pack.json")


def refused(change: Change | bytes, why: str) -> Any:
    return pytest.param(change if isinstance(change, bytes) else pack(change), why, id=why)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        refused(b"", "RR028"),
        refused(b"{}", "declares no roles"),
        refused(b"\xef\xbb\xbf" + pack(), "RR017"),
        refused(pack().replace(b'"Shelf"', b"1e400"), "RR018"),
        refused(pack().replace(b'"Shelf"', b'1, "title": 2'), "RR027"),
        refused(lambda p: p["roles"].append(role("editor")), "RR004"),
        refused(lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:1")), "RR005"),
        refused(lambda p: p["roles"][EDITOR].pop("extract_contracts"), "no array extract_contracts"),
        refused(lambda p: extract(p, EDITOR).append(contract("ROLE:editor:X:4294967295")), "last possible version"),
    ],
)
def test_an_ambiguous_pack_is_not_changed(data: bytes, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        add_next_version(data, "editor", X)


def test_a_role_with_an_unsafe_id_is_not_changed() -> None:
    with pytest.raises(RefusedError, match="no safe id"):
        add_next_version(pack(lambda p: p["roles"].append(role("Grip"))), "Grip", X)


@given(st.lists(st.tuples(st.sampled_from(["producer", "editor", "archivist"]), st.sampled_from([X, C])), max_size=5))
def test_versions_can_be_added_again_and_again(steps: list[tuple[str, RoleContractKind]]) -> None:
    data = pack()
    for role_id, kind in steps:
        made = add_next_version(data, role_id, kind)
        assert isinstance(made, AddedVersion)
        assert set(codes(data, made.data)) <= {"RR015", "RR022"}
        data = made.data

    assert len(parse_pack(data, "p").contract_paths) == 6 + len(steps)
