"""The pattern of a run folder's path: what it matches, what it states, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.path_pattern import PATH_FIELDS, parse_path_pattern

_PARTS = {"*": "(?:[^/]*?)", "{operation_id}": "(?P<operation_id>OP-[A-Z]+[0-9]+)"}
_PARTS |= {f"{{{name}}}": f"(?P<{name}>[^/]+?)" for name in PATH_FIELDS[1:]}


@st.composite
def _patterns(draw: st.DrawFn) -> list[str]:
    """Return texts and parts in turn; no field is named twice."""
    parts = draw(st.lists(st.sampled_from(["*", *_PARTS]), max_size=4))
    fields = [part for part in parts if part != "*"]
    parts = parts if len(set(fields)) == len(fields) else ["*"] * len(parts)
    texts = draw(st.lists(st.text("ab_-", min_size=1, max_size=2), min_size=len(parts) + 1, max_size=len(parts) + 1))
    texts[0], texts[-1] = draw(st.sampled_from(["", texts[0]])), draw(st.sampled_from(["", texts[-1]]))
    return [piece for pair in zip(texts, [*parts, ""], strict=True) for piece in pair]


@given(_patterns(), st.lists(st.sampled_from(["a", "b", "_", "-", "OP-A1", "OP-B22"]), max_size=10).map("".join))
def test_a_pattern_matches_what_a_regular_expression_of_shortest_parts_matches(pieces: list[str], name: str) -> None:
    expression = "".join(_PARTS.get(piece, re.escape(piece)) for piece in pieces)
    expected = re.fullmatch(expression, name)

    stated = parse_path_pattern("".join(pieces)).match("runs", name)

    assert (stated is None) == (expected is None)
    if stated is not None and expected is not None and "{operation_id}" not in pieces:
        assert stated == expected.groupdict()


@given(st.text(st.sampled_from("{}*/ab_operationid"), max_size=30))
def test_any_text_is_a_pattern_or_is_refused_with_a_reason(text: str) -> None:
    try:
        pattern = parse_path_pattern(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - any other error fails
    else:
        pattern.match("a/b", "c")


@pytest.mark.parametrize(
    ("pattern", "run_id", "stated"),
    [
        ("{operation_id}_{run_type}_*", "OP-A01_a_2026_2", {"operation_id": "OP-A01", "run_type": "a"}),
        ("{operation_id}-*", "OP-A01-2026-01-03", {"operation_id": "OP-A01"}),
        ("{operation_id}*", "OP-A01", {"operation_id": "OP-A01"}),
        ("*_{operation_id}", "nightly_of_OP-QA7", {"operation_id": "OP-QA7"}),
        ("{operation_id}_*", "op-a01_x", None),
        ("{run_type}_*", "_x", None),
        ("p1_*", "p1_20260120_001", {}),
        ("p1_*", "p2_20260120_001", None),
        ("rig/{option}/{run_type}-*", "surge-1", {"option": "D", "run_type": "surge"}),
        ("rig/*/surge-*", "surge-1", {}),
        ("only_this_one", "only_this_one", {}),
    ],
)
def test_a_path_states_its_fields(pattern: str, run_id: str, stated: dict[str, str] | None) -> None:
    assert parse_path_pattern(pattern).match("rig/D", run_id) == stated


def test_a_long_name_is_matched_at_once_whatever_the_pattern() -> None:
    assert parse_path_pattern("*a" * 5_000 + "b").match("runs", "a" * 100_000) is None
    assert parse_path_pattern("*_{operation_id}_*_c").match("runs", "OP-A1_" * 5_000) is None
