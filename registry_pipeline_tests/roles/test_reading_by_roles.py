"""A pack that is parsed role by role gives the same result as one that is parsed at once."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry_pipeline.registries.roles.check import check_against_baseline
from registry_pipeline.registries.roles.pack import (
    ParsedPack,
    _read_role,
    _read_valid_role,
    _Role,
    clear_role_cache,
    parse_pack,
    parse_pack_by_roles,
    parse_whole_pack,
)
from registry_pipeline.registries.roles.report import PublishedPack
from registry_pipeline.registries.roles.rules_change import PublishedIds, find_append_only_violations, find_changes
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.roles.base_pack import base_pack, contract, role, written
from registry_pipeline_tests.roles.json_strategies import FRAGMENTS, OBJECTS, texts_of

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


def describe_role(read: _Role | None) -> tuple[object, ...] | None:
    if read is None:
        return None
    return read.entry, read.contracts, read.contract_paths, len(read.problems), read.has_invalid_ids


def with_surface(text: str) -> str:
    """Return the text of a valid role, one surface of which has this text."""
    contracts = [contract("ROLE:grip:X:1", mark="here"), contract("ROLE:grip:X:2", contract_version="2", ratio=0.5)]
    return json.dumps(role("grip", extract_contracts=contracts)).replace('{"mark": "here"}', text)


@st.composite
def role_texts(draw: st.DrawFn) -> str:
    """Return the text of a role with any surface, often spoiled."""
    text = with_surface(draw(texts_of(draw(OBJECTS))))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 60)))
        text = (
            text[:at] + draw(st.sampled_from(["", *FRAGMENTS])) + draw(st.sampled_from(["", text[at:end]])) + text[at:]
        )
    return text


@given(role_texts())
def test_a_role_that_is_proven_valid_is_read_like_any_other(text: str) -> None:
    valid = describe_role(_read_valid_role(text))

    assert valid is None or valid == describe_role(_read_role(text))


@given(OBJECTS.flatmap(texts_of))
def test_a_valid_role_is_proven_valid_unless_it_may_escape_a_colon(surface: str) -> None:
    text = with_surface(surface)

    assert (_read_valid_role(text) is None) == ("\\u003" in text or '"contract_version"' in surface)


NOT_STRICT = [
    '{"a": 1, "a": 1}',
    '{"a": {"a": 1, "a": 2}}',
    '{"a": 1, "\\u0061": 1}',
    '{"a": 1, "a": 1, "b": "\\u003a"}',
    '{"a": 1, "a": 1, "b": "\\u003A"}',
    '{"a": ":", "a": ""}',
    '{"a": NaN}',
    '{"a": -Infinity}',
    '{"a": 1e999}',
    '{"a": 9007199254740992}',
    '{"a": -9007199254740992}',
    f'{{"a": {"9" * 5000}}}',
    '{"a": "\\ud800"}',
    '{"\\udfac": 1}',
    '{"a": 01}',
    '{"a": 1,}',
    '{"a": "\x01"}',
    '{"a": ' + "[" * 59 + "]" * 59 + "}",
    '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
]


@pytest.mark.parametrize("surface", NOT_STRICT, ids=lambda text: text[:40])
def test_a_role_whose_text_is_not_strict_is_not_proven_valid(surface: str) -> None:
    assert _read_valid_role(with_surface(surface)) is None
    assert _read_role(with_surface(surface)) is None


@pytest.mark.parametrize("member", ['"display_name": "\\ud800"', '"lifecycle": "active", "display_name": "Grip"'])
def test_the_text_around_the_surfaces_is_proven_too(member: str) -> None:
    text = with_surface("{}").replace('"display_name": "Grip"', member)

    assert member in text
    assert _read_valid_role(text) is None
    assert _read_role(text) is None


def test_the_deepest_surface_is_proven_valid() -> None:
    assert _read_valid_role(with_surface('{"a": ' + "[" * 58 + "]" * 58 + "}")) is not None


INVALID: list[dict[str, Any]] = [
    {"role_id": "Grip"},
    {"department_id": "Post"},
    {"department_id": None},
    {"aliases": ["a b"]},
    {"modes_supported": []},
    {"lifecycle": "gone"},
    {"more": 1},
    {"extract_contracts": [contract("ROLE:grip:C:1")]},
    {"extract_contracts": [contract("ROLE:gaffer:X:1")]},
    {"extract_contracts": [contract("ROLE:grip:X:01")]},
    {"extract_contracts": [contract("ROLE:grip:X:4294967296")]},
    {"extract_contracts": [contract("ROLE:grip:X:1", contract_version=2)]},
    {"extract_contracts": [contract("ROLE:grip:X:1", contract_version=True)]},
    {"extract_contracts": [{"contract_id": "ROLE:grip:X:1", "schema_json": []}]},
    {"extract_contracts": [{"contract_id": "ROLE:grip:X:1"}]},
    {"extract_contracts": [1]},
]


@pytest.mark.parametrize("fields", INVALID, ids=str)
def test_a_role_with_a_problem_is_not_proven_valid(fields: dict[str, Any]) -> None:
    text = json.dumps(role("grip", **fields) if "role_id" not in fields else {**role("grip"), **fields})
    read = _read_role(text)

    assert _read_valid_role(text) is None
    assert read is not None
    assert read.problems or read.has_invalid_ids


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_columns_count_characters_in_a_pack_with_letters_of_several_bytes(style: dict[str, Any]) -> None:
    base = base_pack()
    base["roles"] = [role(f"r{n}", display_name="É\uff0c🎬" * n, lifecycle="gone") for n in range(4)]

    alike(json.dumps(base, **{**style, "ensure_ascii": False}).encode("utf-8"))


@given(spoiled_packs())
def test_a_pack_that_equals_its_baseline_breaks_no_rule_of_change(data: bytes) -> None:
    snapshot = parse_whole_pack(data, "p").snapshot
    if snapshot is not None:
        ids = PublishedIds()
        ids.add(snapshot, 0)
        assert [*find_append_only_violations(snapshot, ids), *find_changes(snapshot, snapshot)] == []


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_of_garbage_is_left_as_it_was(is_enabled: bool) -> None:
    (gc.enable if is_enabled else gc.disable)()
    try:
        parse_pack(BASE, "p")
        assert gc.isenabled() == is_enabled
    finally:
        gc.enable()
