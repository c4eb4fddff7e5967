"""Every regular expression of the package takes time that grows as its text does, on any text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.patterns.adversary import MOST_GROWTH, find_slow_text, growth
from registry_pipeline_tests.patterns.backtracking import CountingMatcher
from registry_pipeline_tests.patterns.collecting import Use, code_patterns, schema_patterns
from registry_pipeline_tests.patterns.worst_texts import CODE, SCHEMAS

ALL = [*((use, CODE) for use in code_patterns()), *((use, SCHEMAS) for use in schema_patterns())]
_IDS = [ascii(use.name) for use, _ in ALL]

# Patterns that were in the package, and others that are known to be slow: what looks for slow ones must find them.
SLOW = {
    r"\bSCHEMA_VERSION\b.*?['\"]([A-Za-z0-9_.\-]+)['\"]": "search",
    r"[^\s/]+(?:/[^\s/]+)+/?|[^\s/]+\.[A-Za-z0-9]+": "scan",
    '[\ud800-\U0010ffff](?:[^"\\\\]|\\\\.)*":': "search",
    r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)?(?!\n)$": "search",
    r"[ \t]+$": "search",
    r"x\d*\d*y": "match",
    r"(a|b|ab)*c": "fullmatch",
    r"(a+)+b": "match",
    r"<b>.*</b>": "scan",
    r"^[A-Z]{2,}[A-Z0-9_]*(?!\n)$": "search",
}


def test_every_pattern_is_listed_with_its_worst_text_and_none_that_is_gone() -> None:
    assert {use.name for use in code_patterns()} == set(CODE)
    assert {use.name for use in schema_patterns()} == set(SCHEMAS)


@pytest.mark.parametrize(("use", "table"), ALL, ids=_IDS)
def test_the_steps_of_a_pattern_grow_as_its_worst_text_does(use: Use, table: Any) -> None:
    worst = table[use.name]

    assert growth(use, worst, 256) <= MOST_GROWTH
    assert growth(use, worst, 512) <= MOST_GROWTH


@pytest.mark.parametrize(("use", "table"), ALL, ids=_IDS)
def test_no_text_of_a_patterns_own_characters_takes_more_than_linear_time(use: Use, table: Any) -> None:
    assert find_slow_text(use) is None


@pytest.mark.parametrize(("pattern", "mode"), SLOW.items(), ids=map(ascii, SLOW))
def test_a_slow_pattern_is_found(pattern: str, mode: str) -> None:
    assert find_slow_text(Use("slow", re.compile(pattern, re.IGNORECASE), (mode,))) is not None


_PIECES = st.sampled_from(
    [
        *("a", "b", "1", "_", "-", ".", ":", "/", "|", "`", "'", '"', "\\", " ", "\n", "é", "\U0001f600", "{", "}"),
        *("0x", "Version:", "SCHEMA_VERSION", "x-", "ART-", "OP-", "line ", "active~", "##", "---", "#", "Z", "T"),
    ]
)


@given(st.sampled_from([use for use, _ in ALL]), st.lists(_PIECES, max_size=12).map("".join))
@examples(1500)
def test_the_counting_matcher_finds_what_re_finds(use: Use, text: str) -> None:
    subject: Any = text if isinstance(use.pattern.pattern, str) else text.encode()
    matcher, pattern = CountingMatcher(use.pattern), use.pattern
    scanned = [match.span() for match in pattern.finditer(subject)]

    assert matcher.search(subject) == _span(pattern.search(subject))
    assert matcher.match(subject) == _span(pattern.match(subject))
    assert matcher.fullmatch(subject) == _span(pattern.fullmatch(subject))
    if all(start < end for start, end in scanned):
        assert matcher.scan(subject) == scanned
    assert matcher.steps > 0


_FORMS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "[^a]", ".", r"\b", "^", "$", r"(?=a)", r"(?!b)", r"(?<=a)", r"(?<!b)"]),
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda each: f"(?:{each[0]}|{each[1]})")
        | inner.map(lambda each: f"(a{each})*")
        | inner.map(lambda each: f"(?:{each}a)+?")
        | inner.map(lambda each: f"(?:{each})?")
        | inner.map(lambda each: f"(?:{each}){{1,3}}?")
        | inner.map(lambda each: f"(?:b{each})*+")
        | inner.map(lambda each: f"(?>{each})")
    ),
    max_leaves=5,
)


@given(_FORMS, st.text("ab", max_size=8))
@examples(1500)
def test_the_counting_matcher_finds_what_re_finds_with_any_pattern(form: str, text: str) -> None:
    pattern = re.compile(form)
    matcher = CountingMatcher(pattern)

    assert matcher.search(text) == _span(pattern.search(text))
    assert matcher.fullmatch(text) == _span(pattern.fullmatch(text))


def _span(match: re.Match[Any] | None) -> tuple[int, int] | None:
    return None if match is None else match.span()
