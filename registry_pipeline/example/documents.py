"""The texts of the example repository: governance documents, configuration, limits, and the jobs themselves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.example.adapter_runs import RIG_ADAPTER, RIG_OPERATIONS_PATH, RIG_ROOT
from registry_pipeline.example.entries import INDEX_PATH
from registry_pipeline.example.operations import CODEX, OPERATIONS, OPTIONS, REPORTS, ExampleOperation
from registry_pipeline.example.run_index import OVERRIDES_PATH, RUN_INDEX_PATH
from registry_pipeline.pipeline.init import (
    COVERAGE_ADDENDUM_PATH,
    OPERATIONS_ADDENDUM_PATH,
    list_git_attributes,
    list_git_ignores,
)

CATALOG_PATH: Final = "docs/governance/ALLOWED_OPERATIONS_CATALOG_v0_1.md"
MATRIX_PATH: Final = "docs/governance/ENFORCEMENT_COVERAGE_MATRIX_v0_1.md"
EXPECTED_PATH: Final = "docs/governance/EXPECTED_VERSIONS_v0_1.json"
ENVELOPE_PATH: Final = "docs/governance/RUN_ENVELOPE_STANDARD_v0_1.md"
SURGE_LIMITS_PATH: Final = "configs/threshold_packs/surge_limits_v1.json"
SPIKE_LIMITS_PATH: Final = "configs/threshold_packs/spike_limits_v1.json"
STATIONS_PATH: Final = "configs/stations.csv"
RUNBOOK_PATH: Final = "docs/NIGHTLY.md"
PLANTED_PATH: Final = "docs/PLANTED_FINDINGS.json"
POINTERS_PATH: Final = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"
_LOGS: Final = (RUN_INDEX_PATH, OVERRIDES_PATH)
STATIONS: Final = """\
station,datum_mm,latitude,longitude
Mudbank Quay,-1840,52.101,1.402
Old Lock,-1795,52.114,1.377
Heron Sluice,-1910,52.087,1.455
North Groyne,-1865,52.132,1.431
Cinder Wharf,-1822,52.096,1.390
"""
FIRST_IGNORES: Final = f"__pycache__/\n/{CODEX}/\n/{REPORTS}/\n/{RIG_ROOT}/\n"
NIGHTLY: Final = """\
# The night

The scheduler starts at 01:00 UTC: ingest, derived series, forecast, publication, checks. Each job leaves a run folder
under `.codex/RUNS` (publication and checks: under `reports/runs`) and never writes to an old one.

Agents may open sessions at any time; what they change is reviewed by OP-QA05.
"""


def readme(options: Iterable[str]) -> str:
    """Return the README, with the options that exist so far."""
    listed = "\n".join(f"- {option}: {OPTIONS[option].title}" for option in options)
    return (
        "# Saltmarsh tides\n\nTide heights, surge forecasts and warnings for five gauges of one estuary.\n"
        f"An example: neither the gauges nor the people exist.\n\n{listed}\n"
    )


def catalog(operations: Iterable[ExampleOperation]) -> str:
    """Return the operations catalog, in the first style of the specification."""
    lines = ["# Allowed Operations Catalog", "", "**Version**: 0.1", "", "What is not listed here may not run.", ""]
    option = None
    for operation in operations:
        if operation.option != option:
            option = operation.option
            lines += [f"## Option {option} — {OPTIONS[option].title}", ""]
        lines += [
            f"### {operation.operation_id}: {operation.name}",
            "",
            f"Option: {operation.option}",
            f"Purpose: {operation.purpose}",
            "Bound Executables:",
            f"- `{operation.executable}`",
            "",
        ]
    lines += ["## NON_CANONICAL operations", "", "### OP-NC01: Spreadsheet Import", "", "Purpose: retired.", ""]
    return "\n".join(lines)


def matrix() -> str:
    """Return the coverage matrix, in the first style of the specification; an operation without a level has no row."""
    surfaces = ("none", "review", "review, lint", "schema", "schema, replay", "schema, replay, gate")
    rows = [
        f"| {o.operation_id} | {o.option} | {surfaces[int(o.level[1])]} | {o.level} | as agreed |"
        for o in OPERATIONS
        if o.level
    ]
    head = [
        "# Enforcement Coverage Matrix",
        "",
        "**Version**: 0.1",
        "",
        "| Operation ID | Option | Enforcement Surfaces | Coverage Level | Justification |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def envelope_standard() -> str:
    """Return the standard of run.json, whose presence means envelope version 0.1."""
    return (
        "# Run Envelope Standard\n\n**Version**: 0.1\n\nEvery run folder holds a `run.json` with run_id, created_utc, "
        "run_type, option, operation_id,\ngit_commit, working_tree_state and outputs.\n"
    )


def expected_versions(version: str, pack: str) -> bytes:
    """Return the expected-versions document: its own version, and the threshold pack's that is expected."""
    return json_document(
        {"version": version, "expected": {"schema_version": "0.1", "threshold_pack_version": pack}},
    )


def surge_limits(version: str, warn_mm: int) -> bytes:
    """Return the pack of limits by which warnings are written."""
    return json_document(
        {"pack": "surge_limits", "version": version, "warn_mm": warn_mm, "alarm_mm": warn_mm + 400},
    )


def spike_limits(version: str, step_mm: int) -> bytes:
    """Return the pack of limits by which spikes are marked."""
    return json_document({"pack": "spike_limits", "version": version, "step_mm": step_mm, "window_minutes": 18})


def job(operation: ExampleOperation, revision: int) -> str:
    """Return the source of a bound executable."""
    return f'''\
"""{operation.operation_id} {operation.name}: {operation.purpose}"""

import argparse
import csv
import json
from pathlib import Path

OPERATION_ID = "{operation.operation_id}"
REVISION = {revision}


def main() -> None:
    """Read one series and leave its result beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", type=Path)
    parser.add_argument("run_folder", type=Path)
    options = parser.parse_args()
    with options.series.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    result = {{"operation_id": OPERATION_ID, "revision": REVISION, "rows": len(rows)}}
    (options.run_folder / "result.json").write_text(json.dumps(result, indent=2) + "\\n", encoding="utf-8")


if __name__ == "__main__":
    main()
'''


def gitignore() -> str:
    """Return `.gitignore` as `init` would write it, and the team's own run roots."""
    lines = (
        "__pycache__/",
        f"/{REPORTS}/",
        f"/{RIG_ROOT}/",
        *list_git_ignores(CODEX, POINTERS_PATH, _LOGS, track_runs=False),
    )
    return "\n".join((*lines, ""))


def gitattributes() -> str:
    """Return `.gitattributes` as `init` would write it, and the team's own run roots."""
    own = (f"{REPORTS}/** -text", f"{RIG_ROOT}/** -text")
    return "\n".join((*list_git_attributes(CODEX, POINTERS_PATH, _LOGS), *own, ""))


def repository_id(seed: int) -> str:
    """Return the example's own id: the same for the same seed."""
    return f"example-{sha256_hex(str(seed).encode())[:16]}"


def toml(first_day: date, seed: int) -> str:
    """Return `registry-pipeline.toml`, which lists the documents that exist."""
    return f"""\
repository_id = "{repository_id(seed)}"
run_roots = ["{CODEX}", "{REPORTS}", "{RIG_ROOT}"]
publish_root = "{CODEX}"
pointers = "{POINTERS_PATH}"
operations_catalog = ["{CATALOG_PATH}", "{OPERATIONS_ADDENDUM_PATH}", "{RIG_OPERATIONS_PATH}"]
coverage_matrix = ["{MATRIX_PATH}", "{COVERAGE_ADDENDUM_PATH}"]
options = ["A", "B", "C", "D", "QA"]
expected_versions = "{EXPECTED_PATH}"
threshold_sources = ["{SURGE_LIMITS_PATH}", "{SPIKE_LIMITS_PATH}"]
envelope_standard = "{ENVELOPE_PATH}"
stale_days = 2
history_start = {first_day.isoformat()}

[captured.fingerprint_index]
source = "{INDEX_PATH}"

{RIG_ADAPTER}"""
