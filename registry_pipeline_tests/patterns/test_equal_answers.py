"""The patterns that were rewritten to be linear give the answers of the patterns that they replaced."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from registry_pipeline.registries.base.upstream import find_version
from registry_pipeline.registries.scorecard.read import _PATH
from registry_pipeline.schema import read_schema
from registry_pipeline_tests.laws import examples

_VERSIONS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"^\*\*Version\*\*:\s*([A-Za-z0-9_.\-]+)",
        r"^Version:\s*([A-Za-z0-9_.\-]+)",
        r"\bSCHEMA_VERSION\b.*?['\"]([A-Za-z0-9_.\-]+)['\"]",
        r"\b[A-Z0-9_]*_VERSION\b\s*=\s*['\"]([A-Za-z0-9_.\-]+)['\"]",
    )
)
_PATHS = re.compile(r"[^\s/]+(?:/[^\s/]+)+/?|[^\s/]+\.[A-Za-z0-9]+")
_NUMBER = re.compile(r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)?(?!\n)$")


def _texts(*pieces: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=14).map("".join)


_VERSION_TEXTS = _texts(
    *("SCHEMA_VERSION", "schema_ver\u017fion", "_VERSION", "X_VERSION", "Version:", "**Version**:", "\n", "\r", "\x85"),
    *(" ", "=", "'", '"', "v1", "0.1-a", "é", "\u2028", "X"),
)


@given(_VERSION_TEXTS)
@examples(1000)
@example("SCHEMA_VERSION SCHEMA_VERSION = 'v1'")
@example("SCHEMA_VERSION\n'v1' SCHEMA_VERSION \"v2'")
def test_a_text_states_the_version_that_the_four_patterns_find(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    expected = next((match[1] for match in (pattern.search(lines) for pattern in _VERSIONS) if match), None)

    assert find_version(text.encode("utf-8")) == expected


@given(_texts("a", "/", ".", " ", "-", "é", "\t", "\u00a0", "7", "//", "a.b", "b/"))
@examples(1000)
@example("a.b-c a.b/ a/b/ /a x.")
def test_the_same_paths_are_found_in_an_executable(text: str) -> None:
    assert _PATH.findall(text) == _PATHS.findall(text)


@given(_texts("1", "0", ".", "+", "-", "e", "E", "\n", "a"))
@examples(1000)
def test_the_same_cells_of_a_fingerprint_index_are_numbers(text: str) -> None:
    pattern = read_schema("REGISTRY_fingerprint_index_v0_1.schema.json")["$defs"]["number_or_empty"]["pattern"]

    assert (re.search(pattern, text) is None) == (_NUMBER.search(text) is None)
