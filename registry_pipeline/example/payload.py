"""The bytes of one run folder before anybody seals it: run.json and what the job left."""

from __future__ import annotations

from datetime import timedelta

from registry_pipeline.canonical import json_document, utc_text
from registry_pipeline.example.defects import RESULT, SUMMARY, Files
from registry_pipeline.example.schedule import PlannedRun
from registry_pipeline.example.seeded import draw

_STATIONS = ("Mudbank Quay", "Old Lock", "Heron Sluice", "North Groyne", "Cinder Wharf")
_TIDE_MINUTES = 745
_SEAL_FILES = ("manifest.json", "MANIFEST.sha256")


def run_folder_files(seed: int, run: PlannedRun, commit: str) -> Files:
    """Return relpath to bytes: the payload, and run.json with the commit that stood at HEAD."""
    station = _STATIONS[draw(len(_STATIONS), seed, run.path, "station")]
    rows = 12 + draw(60, seed, run.path, "rows")
    marked = draw(5, seed, run.path, "marked")
    result = {"station": station, "rows": rows, "marked": marked, "until_utc": utc_text(run.at)}
    files = {
        RESULT: json_document(result),
        SUMMARY: f"# {_title(run)}\n\n{station}: {rows} rows read, {marked} of them marked.\n".encode(),
    }
    if draw(3, seed, run.path, "series"):
        files["series.csv"] = _series(seed, run, rows)
    if draw(8, seed, run.path, "nested") == 0:
        files["logs/step_1.log"] = f"opened {station}\nread {rows} rows\n".encode()
        files["logs/step_2.log"] = f"marked {marked}\n".encode()
    files["run.json"] = _run_json(run, commit, files)
    return files


def _title(run: PlannedRun) -> str:
    return run.operation.name if run.operation else run.run_type.replace("_", " ").title()


def _run_json(run: PlannedRun, commit: str, files: Files) -> bytes:
    seal_files = () if run.seal == "none" else _SEAL_FILES
    document = {
        "run_id": run.run_id,
        "created_utc": utc_text(run.at),
        "run_type": run.run_type,
        "option": run.operation.option if run.operation else None,
        "operation_id": run.operation.operation_id if run.operation else None,
        "git_commit": commit,
        "working_tree_state": "dirty" if run.dirty else "clean",
        "actor": run.actor,
        "outputs": sorted((*files, "run.json", *seal_files)),
    }
    return json_document(document)


def _series(seed: int, run: PlannedRun, rows: int) -> bytes:
    """Return heights in millimetres, one reading every six minutes: a tide of parabolas and a little noise."""
    lines = ["time_utc,height_mm"]
    first = run.at - timedelta(minutes=6 * rows)
    phase = draw(_TIDE_MINUTES, seed, run.path, "phase")
    for row in range(rows):
        x = (phase + 6 * row) % _TIDE_MINUTES
        tide = 15_200 * x * (_TIDE_MINUTES - x) // _TIDE_MINUTES**2
        height = 900 + tide + draw(21, seed, run.path, row) - 10
        lines.append(f"{utc_text(first + timedelta(minutes=6 * row))},{height}")
    return ("\n".join(lines) + "\n").encode()
