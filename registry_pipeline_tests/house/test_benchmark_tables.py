"""The tables and curves of docs/benchmarks.md say what the results say."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmark_tables import (
    chart_name,
    draw_charts,
    draw_curves,
    fill_page,
    format_number,
    format_results,
    format_seconds,
    format_table,
    read_results,
)
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
SIDE_BY_SIDE = runpy.run_path(str(ROOT / "benchmarks/side_by_side.py"))
MACHINE = {
    "date": "2026-03-01",
    "commit": "abc",
    "cores": 2,
    "cpu": "AMD",
    "memory_gb": 24,
    "system": "Linux",
    "python": "3.11.7",
    "load_at_start": 0.2,
    "load_at_end": 1.1,
}


def row(way: str, **changes: Any) -> dict[str, Any]:
    fields = {"job": "`verify --all`", "way": way, "size": 1000, "of": "run folders", "by": "cpu", "kind": "speed"}
    measured = {"ratio": 1.0, "spread": None, "cpu_s": 0.5, "wall_s": None, "peak_mb": None, "rounds": 5}
    return {**fields, **measured, "wanted": None, **changes}


REFERENCE = row("script")
OURS = row("ours", ratio=2.514, spread=[1.9, 3.25], cpu_s=0.2, wanted=2.0)


def results(*rows: dict[str, Any], **machine: Any) -> dict[str, Any]:
    return {"machine": MACHINE | machine, "rows": list(rows)}


def grown(*sizes: int) -> list[dict[str, Any]]:
    return [row(way, size=size, cpu_s=size / 1000) for size in sizes for way in ("script", "`ours` <&>")]


def test_a_table_has_a_line_a_way_and_leaves_columns_without_values_out() -> None:
    assert format_table("`verify --all`", [REFERENCE, OURS]).splitlines() == [
        "**`verify --all`: 1,000 run folders** (median of 5 rounds)",
        "",
        "| way | times as fast (CPU) | least to greatest | wanted | CPU |",
        "| --- | --- | --- | --- | --- |",
        "| script | 1 |  |  | 500 ms |",
        "| ours | 2.51 | 1.9 to 3.25 | at least 2: met | 200 ms |",
    ]


@pytest.mark.parametrize(
    ("kind", "ratio", "wanted", "cell"),
    [
        ("speed", 2.0, 2.0, "at least 2: met"),
        ("speed", 1.99, 2.0, "at least 2: **missed**"),
        ("cost", 6.0, 6.0, "at most 6: met"),
        ("cost", 6.01, 6.0, "at most 6: **missed**"),
    ],
)
def test_a_table_says_whether_a_wanted_ratio_was_met(kind: str, ratio: float, wanted: float, cell: str) -> None:
    rows = [row("script", kind=kind), row("ours", kind=kind, ratio=ratio, wanted=wanted)]

    assert cell in format_table("job", rows)


def test_a_ratio_of_wall_time_says_so() -> None:
    assert "| times as fast (wall) |" in format_table("job", [row("script", by="wall")])


def test_several_sizes_and_numbers_of_rounds_are_columns() -> None:
    lines = format_table("job", [row("script"), row("ours", size=3000, rounds=1)]).splitlines()

    assert lines[0] == "**job**"
    assert lines[-1] == "| 3,000 | ours | 1 | 500 ms | 1 |"


@pytest.mark.parametrize(("load", "busy"), [(2.0, False), (2.1, True)])
def test_a_busy_machine_is_named(load: float, busy: bool) -> None:
    text = format_results("verify", results(REFERENCE, load_at_start=load))

    assert ("the machine was not idle" in text) == busy
    assert f"load {load} at the start, 1.1 at the end" in text


@pytest.mark.parametrize("old", ["old\n\n", ""])
def test_a_block_without_results_keeps_its_text_and_others_are_replaced(old: str) -> None:
    page = "\n".join(f"a\n<!-- results {name} -->\n\n{old}<!-- end of results -->\nb" for name in ("one", "two"))
    before, after = page.split("two")

    filled = fill_page(page, {"one": results(REFERENCE)})

    assert filled.endswith("two" + after)
    assert filled.split("two")[0] != before
    assert fill_page(filled, {"one": results(REFERENCE)}) == filled


@given(st.text())
def test_a_page_without_results_is_unchanged(page: str) -> None:
    assert fill_page(page, {}) == page


def test_a_job_of_three_sizes_has_a_curve_and_one_of_two_has_none() -> None:
    name = "benchmark-build-verify-all.svg"
    three, two = results(*grown(100, 1000, 10000)), results(*grown(100, 1000))

    assert list(draw_charts("build", three)) == [name] == [chart_name("build", "`verify --all`")]
    assert f"](images/{name})" in format_results("build", three)
    assert draw_charts("build", two) == {}
    assert ".svg" not in format_results("build", two)


def test_a_curve_has_a_point_a_size_and_a_legend_a_way() -> None:
    ((_, text),) = draw_charts("build", results(*grown(100, 1000, 10000))).items()
    picture = ET.fromstring(text)  # noqa: S314 - our own text
    legend = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")][-2:]

    assert text.count("<circle") == 6
    assert legend == ["script", "ours <&>"]


seconds = st.floats(1e-6, 1e4)


@given(st.lists(st.lists(seconds, min_size=3, max_size=3), min_size=1, max_size=8))
def test_every_point_of_a_curve_is_inside_the_picture(times: list[list[float]]) -> None:
    curves = {str(way): list(zip((10, 1000, 100000), values, strict=True)) for way, values in enumerate(times)}
    picture = ET.fromstring(draw_curves("t", curves))  # noqa: S314
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])

    for circle in picture.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height


@pytest.mark.parametrize(("number", "text"), [(1.0, "1"), (0.01234, "0.0123"), (19123.0, "19,100"), (99.96, "100")])
def test_numbers_have_three_digits(number: float, text: str) -> None:
    assert format_number(number) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.0003, "0.3 ms"), (0.25, "250 ms"), (0.9999, "1 s"), (2.345, "2.35 s")]
)
def test_times_below_a_second_are_milliseconds(value: float | None, text: str) -> None:
    assert format_seconds(value) == text


def test_the_page_and_its_curves_are_up_to_date() -> None:
    page, stored = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8"), read_results(ROOT / "benchmarks/results")
    charts = {name: text for key, each in stored.items() for name, text in draw_charts(key, each).items()}

    assert fill_page(page, stored) == page
    assert {path.name: path.read_text() for path in (ROOT / "docs/images").glob("benchmark-*.svg")} == charts
    # Formulas are on the page of scale.
    assert all(f"<!-- results {name} -->" in page for name, each in stored.items() if "rows" in each)


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    cost, make_row = SIDE_BY_SIDE["Cost"], SIDE_BY_SIDE["_make_row"]
    script, ours = [cost(2.0), cost(8.0), cost(3.0)], [cost(1.0, 4.0, 20.0), cost(2.0, 5.0, 30.0), cost(1.0, 9.0, 10.0)]

    speed, times = make_row(script, ours, "cpu", "speed"), make_row(script, ours, "cpu", "cost")

    assert (speed["ratio"], speed["spread"]) == (3.0, [2.0, 4.0])
    assert (times["ratio"], times["spread"]) == (0.3333, [0.25, 0.5])
    assert (speed["cpu_s"], speed["wall_s"], speed["peak_mb"], speed["rounds"]) == (1.0, 5.0, 30.0, 3)
    assert make_row(script, script, "cpu", "speed")["spread"] is None


def test_what_a_benchmark_writes_can_be_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results_class, compiled = SIDE_BY_SIDE["Results"], list[Path]()
    names = results_class.write.__globals__
    monkeypatch.setitem(names, "RESULTS", tmp_path)
    monkeypatch.setitem(names, "compileall", SimpleNamespace(compile_dir=lambda folder, **_: compiled.append(folder)))

    tables = results_class("benchmarks/example.py")
    costs = SIDE_BY_SIDE["measure_in_turns"](
        {"script": lambda: sum(range(10**5)), "ours": lambda: sum(range(10**4))}, rounds=3
    )
    tables.add("adding", 5, "numbers", costs, wanted={"ours": 0.5})
    tables.write()
    stored = read_results(tmp_path)

    assert [folder.name for folder in compiled] == ["registry_pipeline", "benchmarks"]
    assert list(stored) == ["example"]
    assert "**adding: 5 numbers** (median of 3 rounds)" in format_results("example", stored["example"])


@pytest.mark.process
def test_a_command_is_measured_with_its_children_and_without_the_memory_of_its_starter() -> None:
    ballast = b"x" * 100_000_000
    child = "sum(range(10**6))"
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    measure = SIDE_BY_SIDE["measure_command"]

    alone, with_child = measure([sys.executable, "-c", "pass"]), measure([sys.executable, "-c", starter])

    assert with_child.cpu > alone.cpu > 0
    assert alone.wall > 0
    assert alone.peak_mb < len(ballast) / 1e6
    with pytest.raises(AssertionError, match="exit 3"):
        measure([sys.executable, "-c", "raise SystemExit(3)"])
    assert measure([sys.executable, "-c", "raise SystemExit(3)"], (3,)).cpu > 0


def test_what_is_measured_uses_compiled_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")

    assert {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}.isdisjoint(SIDE_BY_SIDE["child_environment"]())
