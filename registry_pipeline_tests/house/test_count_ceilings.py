"""`make bench-check` refuses a count above its ceiling, and a ceiling that is too high to find anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], str]:
    monkeypatch.syspath_prepend(_BENCHMARKS)
    for name in ("activate", "side_by_side", "check_counts", "scale_jobs", "scale_model", "system_calls"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    function: Callable[[float, float], str] = import_module("check_counts").explain
    return function


@pytest.mark.parametrize(
    ("count", "verdict"),
    [(20, "ok"), (18, "ok"), (20.1, "too many"), (17.9, "lower the ceiling"), (0, "lower the ceiling")],
)
def test_a_count_is_at_most_its_ceiling_and_at_most_a_tenth_below(
    explain: Callable[[float, float], str], count: float, verdict: str
) -> None:
    assert explain(count, 20) == verdict


def test_a_ceiling_below_ten_is_exact_for_whole_counts(explain: Callable[[float, float], str]) -> None:
    assert [explain(count, 8) for count in (7, 8, 9)] == ["lower the ceiling", "ok", "too many"]
