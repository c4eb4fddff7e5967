"""Tables and growth curves of docs/benchmarks.md from the results that the benchmarks wrote.

A block between `<!-- results NAME -->` and `<!-- end of results -->` is made from benchmarks/results/NAME.json. Without
that file its text stays. A job that was measured at three sizes or more has a curve, in a file of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import Any, Final

Row = Mapping[str, Any]
Curves = Mapping[str, Sequence[tuple[float, float]]]

_BLOCK: Final = re.compile(r"(<!-- results (\w+)[^>]*-->\n).*?(<!-- end of results -->)", re.DOTALL)
_CURVE_SIZES: Final = 3
# Readable on white and on black.
_COLOURS: Final = ("#768390", "#3b8eea", "#d4762c", "#3fa45b", "#b36bd4", "#d1495b")
_WIDTH, _HEIGHT, _LEFT, _TOP, _LEGEND_LINE = 600, 260, 64, 36, 18


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the results of each benchmark that has any, by its name."""
    return {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def fill_page(page: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with the tables of the results; a block without results keeps its text."""

    def fill(block: re.Match[str]) -> str:
        name = block[2]
        return f"{block[1]}\n{format_results(name, results[name])}\n\n{block[3]}" if name in results else block[0]

    return _BLOCK.sub(fill, page)


def format_results(name: str, results: Mapping[str, Any]) -> str:
    """Return what one benchmark measured: the machine, then a table of each job, with its curve if it has one."""
    blocks = [format_machine(name, results["machine"])]
    charts = draw_charts(name, results)
    for job, rows in group_by_job(results["rows"]).items():
        blocks.append(format_table(job, rows))
        chart = chart_name(name, job)
        if chart in charts:
            blocks.append(f"![{_plain(job)}: growth](images/{chart})")
    return "\n\n".join(blocks)


def format_machine(name: str, machine: Mapping[str, Any]) -> str:
    """Return when, where and under which load a benchmark ran."""
    load = f"load {machine['load_at_start']:.1f} at the start, {machine['load_at_end']:.1f} at the end"
    if max(machine["load_at_start"], machine["load_at_end"]) > machine["cores"]:
        load += ", **so the machine was not idle and every figure is uncertain**"
    return (
        f"`benchmarks/{name}.py` on {machine['date']} at commit {machine['commit'] or 'unknown'}: "
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']} GB, {machine['system']}, "
        f"CPython {machine['python']}, {load}."
    )


def format_table(job: str, rows: Sequence[Row]) -> str:
    """Return the table of a job; the first row of each size is the reference. A column without values is left out."""
    first = rows[0]
    sizes, rounds = {row["size"] for row in rows}, {row["rounds"] for row in rows}
    time = "CPU" if first["by"] == "cpu" else "wall"
    columns = {
        first["of"]: [f"{row['size']:,}" for row in rows] if len(sizes) > 1 else [],
        "way": [row["way"] for row in rows],
        f"times as fast ({time})" if first["kind"] == "speed" else f"times the cost ({time})": [
            format_number(row["ratio"]) for row in rows
        ],
        "least to greatest": [" to ".join(map(format_number, row["spread"] or ())) for row in rows],
        "wanted": [format_wanted(row) for row in rows],
        "CPU": [format_seconds(row["cpu_s"]) for row in rows],
        "wall": [format_seconds(row["wall_s"]) for row in rows],
        "peak memory": [f"{row['peak_mb']:,.0f} MB" if row["peak_mb"] is not None else "" for row in rows],
        "rounds": [str(row["rounds"]) for row in rows] if len(rounds) > 1 else [],
    }
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    size = "" if len(sizes) > 1 else f": {first['size']:,} {first['of']}"
    median = f" (median of {first['rounds']} rounds)" if len(rounds) == 1 and first["rounds"] > 1 else ""
    lines = [f"**{job}{size}**{median}", "", _line(shown), _line("---" for _ in shown)]
    return "\n".join([*lines, *map(_line, zip(*shown.values(), strict=True))])


def _line(cells: Iterator[str] | Sequence[str] | Mapping[str, Any]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def format_wanted(row: Row) -> str:
    """Return which ratio is wanted, and whether it was reached; empty where none is."""
    if row["wanted"] is None:
        return ""
    speed = row["kind"] == "speed"
    met = row["ratio"] >= row["wanted"] if speed else row["ratio"] <= row["wanted"]
    return f"at {'least' if speed else 'most'} {row['wanted']:g}: {'met' if met else '**missed**'}"


def format_number(number: float) -> str:
    """Return a number with three significant digits."""
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


def format_seconds(seconds: float | None) -> str:
    """Return seconds, as milliseconds below one; empty if they were not measured."""
    if seconds is None:
        return ""
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{format_number(seconds)} s"


def group_by_job(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each job, by size."""
    jobs = dict.fromkeys(row["job"] for row in rows)
    return {job: sorted((row for row in rows if row["job"] == job), key=lambda row: row["size"]) for job in jobs}


def chart_name(name: str, job: str) -> str:
    """Return the file name of the growth curve of a job."""
    return f"benchmark-{name}-{re.sub(r'[^a-z0-9]+', '-', job.lower()).strip('-')}.svg"


def draw_charts(name: str, results: Mapping[str, Any]) -> dict[str, str]:
    """Return the growth curves of a benchmark as SVG, by file name."""
    charts = {}
    # The results of scale.py are formulas; tools/scale_tables.py shows them.
    for job, rows in group_by_job(results.get("rows", ())).items():
        if len({row["size"] for row in rows}) >= _CURVE_SIZES:
            by = rows[0]["by"]
            ways = dict.fromkeys(row["way"] for row in rows)
            curves = {way: [(row["size"], row[f"{by}_s"]) for row in rows if row["way"] == way] for way in ways}
            title = f"{_plain(job)}: seconds of {'CPU' if by == 'cpu' else 'wall'} time by {rows[0]['of']}"
            charts[chart_name(name, job)] = draw_curves(title, curves)
    return charts


def draw_curves(title: str, curves: Curves, dots: Curves | None = None) -> str:
    """Return an SVG of seconds over size, one line a way; both axes are logarithmic.

    The dots are at the points of the lines, or at other ones of the same ways.
    """
    sizes = sorted({size for points in curves.values() for size, _ in points})
    seconds = [value for points in curves.values() for _, value in points]
    low, high = floor(log10(min(seconds))), ceil(log10(max(seconds)))
    high = max(high, low + 1)
    right, bottom = _WIDTH - 36, _HEIGHT - 28

    def x(size: float) -> float:
        return _LEFT + (right - _LEFT) * log10(size / sizes[0]) / log10(sizes[-1] / sizes[0])

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (log10(value) - low) / (high - low)

    height = _HEIGHT + _LEGEND_LINE * len(curves) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">',
        "<style>text { font: 12px sans-serif; fill: #768390 }</style>",
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="20">{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        at = y(10**power)
        lines.append(f'<path d="M{_LEFT} {at:.1f}H{right}" stroke="#768390" stroke-opacity="0.4"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10**power:g} s</text>')
    lines += [f'<text x="{x(size):.1f}" y="{bottom + 18}" text-anchor="middle">{size:,}</text>' for size in sizes]
    for number, (way, points) in enumerate(curves.items()):
        colour, legend = _COLOURS[number % len(_COLOURS)], _HEIGHT + _LEGEND_LINE * number + 8
        places = [(x(size), y(value)) for size, value in points]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if dots is not None:
            places = [(x(size), y(value)) for size, value in dots.get(way, ())]
        lines += [f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{colour}"/>' for left, top in places]
        lines.append(f'<path d="M{_LEFT} {legend}h20" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="{_LEFT + 28}" y="{legend + 4}">{escape(_plain(way))}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _plain(text: str) -> str:
    return text.replace("`", "")
