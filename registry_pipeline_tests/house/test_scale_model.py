"""The model of docs/explanation/scale.md predicts what is a sum of its terms, and a check fails where it is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scale_tables import draw_curve, format_bytes, format_duration, format_runs, make_tables

ROOT = Path(__file__).parents[2]
RESULTS: dict[str, Any] = json.loads((ROOT / "benchmarks/results/scale.json").read_bytes())


@pytest.fixture(scope="module")
def model() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.delitem(sys.modules, "scale_model", raising=False)
        return __import__("scale_model")


TERM = st.integers(0, 10**6).map(float)


@given(
    TERM, TERM, TERM, st.integers(0, 100).map(float), st.integers(1, 10**8), st.integers(1, 50), st.integers(1, 10**6)
)
def test_a_cost_that_is_a_sum_of_terms_is_predicted_for_every_shape(
    model: ModuleType, fixed: float, run: float, file: float, byte: float, runs: int, files: int, size: int
) -> None:
    cost = model.Formula(fixed, run, file, byte)
    shapes = [model.Shape(1000), model.Shape(10_000), model.Shape(2000, files=10), model.Shape(500, bytes=2**18)]
    wanted = model.Shape(runs, files, size)

    fitted = model.fit([(shape, cost.predict(shape)) for shape in shapes])

    assert fitted.predict(wanted) == pytest.approx(cost.predict(wanted), rel=1e-6, abs=runs * files * 1e-3)


def test_two_points_give_the_cost_of_a_run(model: ModuleType) -> None:
    fitted = model.fit([(model.Shape(10), 25.0), (model.Shape(20), 45.0)])

    assert fitted == pytest.approx((5, 2, 0, 0))
    assert fitted.find_runs(2_005.0, model.Shape(1)) == pytest.approx(1_000)


@pytest.mark.parametrize("runs", [(10, 10), (10, 20, 30)])
def test_points_that_determine_no_terms_are_refused(model: ModuleType, runs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not determine"):
        model.fit([(model.Shape(count), 1.0) for count in runs])


@pytest.mark.parametrize(
    ("predicted", "measured", "passed"),
    [(100, 100, True), (100, 150, True), (100, 151, False), (150, 100, True), (151, 100, False)],
)
def test_a_prediction_may_miss_by_its_factor_in_both_directions(
    model: ModuleType, predicted: float, measured: float, passed: bool
) -> None:
    assert model.Check("a job", "CPU seconds", model.Shape(1), predicted, measured, 1.5).passed is passed


def test_a_formula_by_runs_alone_is_checked_only_with_files_that_it_was_fitted_to(model: ModuleType) -> None:
    formulas = {"a job": {"peak memory": model.Formula(0, 1), "CPU seconds": model.Formula(0, 1)}}
    shape = model.Shape(10, files=6)
    measured = {"a job": {"peak memory": [(shape, 99.0)], "CPU seconds": [(shape, 10.0)]}}

    assert [check.quantity for check in model.check_jobs(formulas, measured, 1e12, ())] == ["CPU seconds"]


def test_every_prediction_of_the_page_was_within_its_factor() -> None:
    assert [check["job"] for check in RESULTS["checks"] if not check["passed"]] == []


def test_the_page_marks_a_prediction_that_missed() -> None:
    wanted = ("`status`", "CPU seconds", 2)
    check = next(row for row in RESULTS["checks"] if (row["job"], row["quantity"], row["shape"]["files"]) == wanted)
    tables = make_tables({**RESULTS, "checks": [{**check, "error": -0.5, "passed": False}]})

    assert tables["checks"].endswith(", -50%, **missed** |")
    assert "| -50%, **missed** |" in tables["errors"]


def test_cpu_time_has_a_factor_of_its_own_where_the_files_have_no_room_in_memory(model: ModuleType) -> None:
    formulas = {"a job": {"CPU seconds": model.Formula(0, 1), "bytes read": model.Formula(0, 1)}}
    measured = {"a job": {name: [(model.Shape(1_000), 7_000.0)] for name in ("CPU seconds", "bytes read")}}
    # A folder has five names of 1,320 bytes and five pages.
    room = 1_000 * 5 * (1_320 + 4_096)

    def passed(memory: float, *reading: str) -> list[bool]:
        return [check.passed for check in model.check_jobs(formulas, measured, memory, reading)]

    assert passed(room, "a job") == [False, False]
    assert passed(room - 1, "a job") == [True, False]
    assert passed(room - 1) == [False, False], "a job that does not read every file"


def test_the_curve_has_a_line_of_predictions_and_a_dot_for_each_measurement() -> None:
    drawing = ET.fromstring(draw_curve(RESULTS))  # noqa: S314 - our own drawing
    lines = drawing.findall("{*}polyline")

    assert [len((line.get("points") or "").split()) for line in lines] == [6] * 4
    # Of each line the two sizes that its terms were fitted to, and a larger one.
    assert len(drawing.findall("{*}circle")) >= 3 * len(lines)


def test_numbers_of_the_page_have_a_unit_that_suits_them() -> None:
    assert [format_runs(number) for number in (940, 123_456, 8_427_452)] == ["940", "120,000", "8.4 million"]
    assert [format_bytes(number) for number in (12, 20_480, 3.4e9)] == ["12 bytes", "20.5 kB", "3.4 GB"]
    seconds = (0.02, 119, 7_000, 180_000)
    assert [format_duration(number) for number in seconds] == ["20 ms", "120 s", "120 min", "2.1 days"]
