"""The table of finding codes is consistent."""

from __future__ import annotations

import re

import pytest

from registry_pipeline.findings import codes
from registry_pipeline.findings.codes import CODES
from registry_pipeline.findings.finding import PREFIXES


def test_no_code_has_two_rows() -> None:
    assert len(CODES) == len(codes._ROWS)


def test_every_family_has_a_prefix() -> None:
    assert {row.family for row in CODES.values()} == set(PREFIXES)


@pytest.mark.parametrize("code", CODES)
def test_messages_are_fragments_and_hints_are_given(code: str) -> None:
    row = CODES[code]

    assert row.message
    assert row.hint
    assert row.clause
    assert not row.message.endswith(".")
    assert not row.hint.endswith(".")
    assert re.match(r"[a-z0-9{`]|[A-Z0-9_]+\b|MANIFEST|LATEST", row.message), row.message
