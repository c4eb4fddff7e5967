"""A pack that is parsed role by role gives the same result as one that is parsed at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry_pipeline.registries.roles.check import check_against_baseline
from registry_pipeline.registries.roles.pack import (
    ParsedPack,
    clear_role_cache,
    parse_pack,
    parse_pack_by_roles,
    parse_whole_pack,
)
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.roles.base_pack import base_pack, contract, role, written
from registry_pipeline_tests.roles.json_strategies import FRAGMENTS

BASE = written(base_pack())
STYLES: list[dict[str, Any]] = [
    {"indent": 2},
    {"indent": 2, "ensure_ascii": False},
    {"indent": "\t"},
    {},
    {"separators": (",", ":")},
    {"indent": 2, "sort_keys": True},
]


def describe_pack(pack: ParsedPack) -> tuple[object, ...]:
    """Return all that a pack tells, and where."""
    return (
        pack.snapshot,
        pack.read_document().readable,
        pack.role_paths,
        pack.contract_paths,
        [(each.identity, each.expected, each.path, each.offset, dict(each.fillers)) for each in pack.problems],
        [each.to_json() for each in check_against_baseline(pack, None)],
        [each.to_json() for each in check_against_baseline(pack, PublishedPack(parse_whole_pack(BASE, "b"), "main:b"))],
        [each.to_json() for each in check_against_baseline(parse_whole_pack(BASE, "b"), PublishedPack(pack, "main:p"))],
    )


def alike(data: bytes) -> None:
    whole = describe_pack(parse_whole_pack(data, "p"))

    clear_role_cache()
    assert describe_pack(parse_pack(data, "p")) == whole
    assert describe_pack(parse_pack(data, "p")) == whole, "the second time, when its roles are known"


@pytest.mark.parametrize("case", find_cases("roles"), ids=lambda case: case.id)
def test_every_case_is_parsed_alike_by_roles_and_as_a_whole(case: Case) -> None:
    alike(case.files()["current.json"])


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_the_layout_of_the_text_does_not_matter(style: dict[str, Any], ends: str) -> None:
    data = json.dumps(base_pack(), **style).replace("\n", ends).encode("utf-8")

    assert parse_pack_by_roles(data, "p") is not None
    alike(data)


def test_a_pack_with_one_role_per_line_is_parsed_alike() -> None:
    roles = ",\n  ".join(json.dumps(each) for each in base_pack()["roles"])
    data = f'{{"pack_id": "p", "pack_version": "1", "spec_id": "s", "roles": [\n  {roles}\n]}}'.encode()

    assert parse_pack_by_roles(data, "p") is not None
    alike(data)


ODD = [
    b'{"roles": [{"role_id":"a"},{"x":1,"role_id":"b"},{"role_id":"c"}]}',
    b'{"roles": [{"role_id":"a"},{"role_id":"b","x":1},{"x":1,"role_id":"c"}]}',
    b'{"x": {"roles": [{"role_id": "a"}]}, "roles": []}',
    b'{"x\\"roles": [{"role_id": "a"}], "roles": []}',
    b'{"x": ["roles", {"roles": [{"role_id": "a"}]}]}',
    b'{"roles": [{"role_id": "a"}], "roles": []}',
    b'{"roles": [], "roles": [{"role_id": "a"}]}',
    b'{"roles": [{"role_id": "a"}], "r\\u006fles": []}',
    b'[{"roles": [{"role_id": "a"}]}]',
    b'["roles": [{"role_id": "a"}]]',
    b'{"roles": [{"role_id": "a"}}]}',
    b'{"roles": [{"role_id": "a"}]]}',
    b'{"roles": [{"role_id": "a"}],}',
    b'{"roles": [{"role_id": "a"},]}',
    b'{"roles": [{"role_id": "a"} {"role_id": "b"}]}',
    b'{"roles": [{"role_id": "a"}, 1, {"role_id": "b"}]}',
    b'{"roles": [{"role_id": "a"}, {"role_id": "b", "role_id": "c"}]}',
    b'{"roles": [{"role_id": "a"}, {"role_id": "a"}]}',
    b'{"roles": [{"role_id": 1}, {"role_id": "a"}]}',
    b'{"roles": [{"role_id": "a"}, {"display_name": "b"}]}',
    b'{"roles": [{"role_id": "a\xff"}]}',
    b'{"roles": [{"role_id": "a"}], "spec_id": "\xff"}',
    b'\xef\xbb\xbf{"roles": [{"role_id": "a"}]}',
    b'{"roles": [{"role_id": "a"}]} {}',
    b'{"roles": [{"role_id": "a"}], "pack_id": 1e999}',
    b'{"roles": [{"role_id": "a", "lifecycle": 1e999}]}',
    b'{"roles": [{"role_id": "a", "lifecycle": "\\ud800"}]}',
    b'{"roles": [{"role_id": "a"},{"role_id": "},{\\"role_id\\":"}]}',
    b'{"spec_id": "{", "roles": [{"role_id": "a"}]}',
    b'{"roles": [{"role_id": "a", "extract_contracts": [{"schema_json": {}}]}, {"role_id": "b"}]}',
    b'{"roles": [{"role_id": "a", "extract_contracts": {"role_id": {}}}]}',
    *(b'{"roles": [{"role_id": "a", "x": %s1%s}]}' % (b"[" * n, b"]" * n) for n in (60, 61, 62, 63)),
    *(b'{"roles": [{"role_id": "a"}], "x": %s1%s}' % (b"[" * n, b"]" * n) for n in (62, 63, 64)),
]


@pytest.mark.parametrize("data", ODD, ids=lambda data: data[:60].decode("latin-1"))
def test_texts_that_look_like_a_pack_are_parsed_alike(data: bytes) -> None:
    alike(data)


def test_two_roles_with_the_same_errors_at_other_positions_are_parsed_alike() -> None:
    base = base_pack()
    base["roles"] = [role(name, lifecycle="gone", tools=[1], allowed_tools=[1]) for name in ("a", "b", "c")]

    assert parse_pack_by_roles(written(base), "p") is not None
    alike(written(base))


def test_the_same_contract_in_two_roles_is_parsed_alike() -> None:
    base = base_pack()
    base["roles"] = [role(name, extract_contracts=[contract("ROLE:a:X:1", title=name)]) for name in ("a", "b")]

    alike(written(base))


@st.composite
def spoiled_packs(draw: st.DrawFn) -> bytes:
    """Return the text of a pack in which pieces were put in, taken out, doubled or moved."""
    text = json.dumps(base_pack(), **draw(st.sampled_from(STYLES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 300)))
        kept = draw(st.sampled_from(["", text[at:end], text[at:end] * 2]))
        text = text[:at] + draw(st.sampled_from(["", *FRAGMENTS])) + kept + text[end:]
    return text.encode("utf-8", "surrogatepass")


@given(spoiled_packs())
@example(BASE)
def test_damaged_packs_are_parsed_alike(data: bytes) -> None:
    alike(data)


@given(st.permutations(range(3)), st.sampled_from(STYLES))
def test_roles_in_another_order_are_parsed_alike(order: list[int], style: dict[str, Any]) -> None:
    base = base_pack()
    base["roles"] = [base["roles"][number] for number in order]

    alike(json.dumps(base, **style).encode("utf-8"))
