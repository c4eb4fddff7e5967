"""Tables and the curve of docs/explanation/scale.md, from the results of benchmarks/scale.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from benchmark_tables import draw_curves, format_machine, format_number, format_seconds

CURVE: Final = "docs/images/scale-cpu.svg"
_DISK: Final = "on the disk"
_SECONDS: Final = ("CPU seconds",)
_PLAIN: Final = ("system calls", "system calls of `status`", "syncs", "inodes of run folders")
_IN_MODEL: Final = ("system calls", "system calls of `status`", "syncs", "CPU seconds", "peak memory", "bytes written")
_IN_CHECKS: Final = ("CPU seconds", "peak memory")
_TERMS: Final = ("fixed", "run", "file", "byte")
_IN_CURVE: Final = (
    "`verify --all --jobs 1`",
    "`build run_registry --only`, nothing cached",
    "`build`, one new run",
    "`status`",
)
_EXTRAPOLATED: Final = (10**6, 10**7, 10**8)
Results = Mapping[str, Any]


def make_tables(results: Results) -> dict[str, str]:
    """Return each generated part of the page by the name of its comment."""
    return {
        "machine": format_machine("scale", results["machine"]),
        "terms": _format_terms(results),
        "checks": _format_checks(results),
        "errors": _format_errors(results),
        "growth": _format_growth(results),
        "space": _format_space(results),
        "limits": _table(
            ("reached at", "what happens"),
            ((f"{format_runs(row['runs'])} run folders", row["limit"]) for row in results["limits"]),
        ),
    }


def draw_curve(results: Results) -> str:
    """Return the curve of the CPU time of the longest jobs, predicted and measured, as SVG."""
    lines: dict[str, list[tuple[int, float]]] = {
        job: [(row["runs"], row["CPU seconds"]) for row in results["predictions"] if row["job"] == job]
        for job in _IN_CURVE
    }
    dots = defaultdict(list)
    for row in (*results["fitted"], *results["checks"]):
        if row["quantity"] == "CPU seconds" and _is_usual(row["shape"]):
            dots[row["job"]].append((row["shape"]["runs"], row["measured"]))
    return draw_curves("seconds of CPU time by run folders: lines predicted, dots measured", lines, dots)


def format_runs(runs: float) -> str:
    """Return a number of run folders with two significant digits."""
    rounded = float(f"{runs:.2g}")
    if rounded >= 1e6:
        return f"{rounded / 1e6:,g} million"
    return f"{rounded:,.0f}"


def format_bytes(count: float) -> str:
    """Return bytes in the largest decimal unit of which there is one."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{format_number(count / size)} {unit}"
    return f"{format_number(count)} bytes"


def format_duration(seconds: float) -> str:
    """Return a duration in seconds, minutes, hours or days."""
    for unit, size in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{format_number(float(f'{seconds / size:.2g}'))} {unit}"
    return format_seconds(float(f"{seconds:.2g}"))


def format_value(quantity: str, value: float) -> str:
    """Return a value with the unit of its quantity."""
    if quantity in _SECONDS:
        return format_duration(value)
    return f"{value:,.0f}" if quantity in _PLAIN else format_bytes(value)


def _format_terms(results: Results) -> str:
    """Return the model: for each job and quantity its terms."""
    rows: list[tuple[str, ...]] = []
    for job, formulas in results["formulas"].items():
        for quantity in (name for name in _IN_MODEL if name in formulas):
            terms = formulas[quantity]
            name = "" if rows and job in {row[0] for row in rows} else job
            rows.append((name, quantity, *(_format_term(quantity, terms, term) for term in _TERMS)))
    return _table(("job", "what", "once", "for each run folder", "and each of its files", "and each MB of these"), rows)


def _format_term(quantity: str, terms: Mapping[str, float], term: str) -> str:
    """Return a term with its unit; empty if it is smaller than the noise."""
    value, least = terms[term], (terms["run"] + 2 * terms["file"]) / 1000
    if term == "byte":
        # At most a tenth of a millisecond a megabyte is less than it takes to copy it.
        value, least = value * 1e6, 1.2e-4 if quantity in _SECONDS else 1.0
    if value <= 0 or (term != "fixed" and value < least):
        return ""
    if quantity in _SECONDS:
        return format_seconds(value) if value >= 1e-3 else f"{format_number(float(f'{value * 1e6:.2g}'))} µs"
    return format_number(value) if quantity in _PLAIN else format_bytes(value)


def _format_checks(results: Results) -> str:
    """Return CPU time and memory as measured, with the error of the prediction, by job and number of run folders."""
    cells: dict[tuple[str, str], dict[float, str]] = defaultdict(dict)
    jobs = {row["job"] for row in results["predictions"]}
    for check in results["checks"]:
        shape, quantity = check["shape"], check["quantity"]
        if quantity in _IN_CHECKS and check["job"] in jobs and _is_usual(shape):
            measured = format_value(quantity, check["measured"])
            cells[check["job"], quantity][_round(shape["runs"])] = f"{measured}, {_format_error(check)}"
    sizes = sorted({size for row in cells.values() for size in row})
    rows = [(*key, *(row.get(size, "") for size in sizes)) for key, row in cells.items()]
    return _table(("job", "measured, and error of the prediction", *map(format_runs, sizes)), rows)


def _format_errors(results: Results) -> str:
    """Return for each quantity how many predictions were checked, the worst error, and how much is allowed."""
    by_quantity = defaultdict(list)
    for check in results["checks"]:
        by_quantity[check["quantity"], check["factor"]].append(check)
    rows = []
    for (quantity, factor), checks in sorted(by_quantity.items(), key=lambda item: (item[0][1], item[0][0])):
        worst = max(checks, key=lambda check: abs(check["error"]))
        where = f"{worst['job']}, {format_runs(worst['shape']['runs'])}"
        rows.append((quantity, f"{len(checks)}", _format_error(worst), where, f"{format_number(factor)} times"))
    return _table(("what", "predictions", "worst error", "of", "allowed"), rows)


def _format_error(check: Mapping[str, Any]) -> str:
    return f"{check['error']:+.0%}" + ("" if check["passed"] else ", **missed**")


def _is_usual(shape: Mapping[str, float]) -> bool:
    return shape["files"] == 2 and shape["bytes"] == 600


def _round(runs: float) -> float:
    # Builds add some run folders of their own.
    return float(f"{runs:.1g}")


def _format_growth(results: Results) -> str:
    """Return what the model says for numbers of run folders that nobody has measured."""
    predictions = {(row["job"], row["runs"]): row for row in results["predictions"]}
    jobs = dict.fromkeys(row["job"] for row in results["predictions"])
    rows = []
    for job in jobs:
        cells = []
        for runs in _EXTRAPOLATED:
            row = predictions[job, runs]
            cells.append(f"{format_duration(row['CPU seconds'])}, {format_bytes(row['peak memory'])}")
        rows.append((job, *cells))
    return _table(("CPU time, peak memory", *map(format_runs, _EXTRAPOLATED)), rows)


def _format_space(results: Results) -> str:
    """Return what the disk has of so many run folders."""
    formulas = results["formulas"][_DISK]
    rows = [
        (
            quantity,
            format_value(quantity, terms["run"] + 2 * terms["file"] + 600 * terms["byte"]),
            *(format_value(quantity, _predict(terms, runs)) for runs in _EXTRAPOLATED),
        )
        for quantity, terms in formulas.items()
    ]
    return _table(("on the disk", "a run folder", *map(format_runs, _EXTRAPOLATED)), rows)


def _predict(terms: Mapping[str, float], runs: int) -> float:
    return terms["fixed"] + runs * (terms["run"] + 2 * terms["file"] + 600 * terms["byte"])


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(titles), " | ".join("---" for _ in titles), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)
