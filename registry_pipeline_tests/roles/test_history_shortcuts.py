"""Shared and discarded texts of a history change no finding."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.roles.check import PublishedCommit, check_history
from registry_pipeline.registries.roles.pack import ParsedPack, PastPack, parse_pack, parse_whole_pack
from registry_pipeline_tests.roles.base_pack import Change, base_pack, contract, role, unchanged, written


def _surface(title: str) -> Change:
    return lambda p: p["roles"][1]["extract_contracts"][0]["schema_json"].update(title=title)


def _with(*more: dict[str, Any]) -> Change:
    return lambda p: p["roles"].extend(more)


CHANGES: list[Change] = [
    unchanged,
    _surface("Long cut"),
    _surface("Short cut"),
    lambda p: p["roles"].pop(0),
    lambda p: p["roles"].pop(1),
    lambda p: p["roles"].append(p["roles"][1]),
    _with(role("grip", aliases=["line_producer"])),
    _with(role("gaffer", aliases=["editor"], extract_contracts=[contract("ROLE:gaffer:X:3")])),
    _with(role("gaffer", extract_contracts=[contract("ROLE:gaffer:X:2")])),
    _with(role("other", extract_contracts=[contract("ROLE:editor:X:1", title="Stolen")])),
    lambda p: p["roles"][1].update(department_id="story"),
    lambda p: p["roles"].reverse(),
]


def made(numbers: list[int]) -> bytes:
    pack = base_pack()
    for number in numbers:
        if pack["roles"][1:]:
            CHANGES[number](pack)
    return written(pack)


def past(data: bytes) -> PastPack:
    def whole() -> ParsedPack:
        return parse_pack(data, "p")

    return PastPack(parse_pack(data, "p").snapshot, whole)


VERSIONS = st.lists(st.integers(0, len(CHANGES) - 1), max_size=3).map(made)


@given(VERSIONS, st.lists(VERSIONS, max_size=6))
def test_a_history_gives_the_same_violations_however_it_was_read(current: bytes, versions: list[bytes]) -> None:
    one_by_one = [PublishedCommit(f"c{n}", parse_whole_pack(data, "p")) for n, data in enumerate(versions)]
    lean = [PublishedCommit(f"c{n}", past(data)) for n, data in enumerate(versions)]

    violations = check_history(parse_whole_pack(current, "p"), one_by_one)

    assert check_history(parse_pack(current, "p"), lean) == violations


def test_only_packs_with_violations_are_parsed_again() -> None:
    def never() -> ParsedPack:
        raise AssertionError("no finding is expected for this pack")

    data = made([])
    lean = [PublishedCommit("c0", past(data)), PublishedCommit("c1", PastPack(parse_pack(data, "p").snapshot, never))]

    assert [v.finding.code for v in check_history(parse_pack(made([1]), "p"), lean)] == ["RR003"]
