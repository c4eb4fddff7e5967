"""Every line of docs/explanation/trust.md names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/explanation/trust.md"
_ROW = re.compile(r"^\| (?!promise|what was done|what is done|---).*\|$", re.MULTILINE)
_NAME = re.compile(r"`([a-z_]+/test_[a-z_]+\.py)`")


def test_every_promise_and_every_damage_names_tests_that_exist() -> None:
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))

    assert len(rows) > 20
    for row in rows:
        names = _NAME.findall(row)
        assert names, row
        assert [name for name in names if not (TESTS / name).is_file()] == [], row
