"""The files of the example's run folders before they are sealed, and the runs of its old rig, read by an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from registry_pipeline.canonical import json_document, sha256_hex, utc_text
from registry_pipeline.example.schedule import (
    RESULT,
    SUMMARY,
    UNSEALED,
    Defect,
    Files,
    PlannedRun,
    draw,
    list_regular_moments,
)
from registry_pipeline.values import value_type

_STATIONS: Final = ("Mudbank Quay", "Old Lock", "Heron Sluice", "North Groyne", "Cinder Wharf")
_TIDE_MINUTES: Final = 745
_SEAL_FILES: Final = ("manifest.json", "MANIFEST.sha256")


def make_run_files(seed: int, run: PlannedRun, commit: str) -> Files:
    """Return the files of an intact, unsealed run folder, bytes by relpath; run.json names `commit`."""
    station = _STATIONS[draw(len(_STATIONS), seed, run.path, "station")]
    rows = 12 + draw(60, seed, run.path, "rows")
    marked = draw(5, seed, run.path, "marked")
    title = run.operation.name if run.operation else run.run_type.replace("_", " ").title()
    result = {"station": station, "rows": rows, "marked": marked, "until_utc": utc_text(run.at)}
    files = {
        RESULT: json_document(result),
        SUMMARY: f"# {title}\n\n{station}: {rows} rows read, {marked} of them marked.\n".encode(),
    }
    if draw(3, seed, run.path, "series"):
        files["series.csv"] = _format_series(seed, run, rows)
    if draw(8, seed, run.path, "nested") == 0:
        files["logs/step_1.log"] = f"opened {station}\nread {rows} rows\n".encode()
        files["logs/step_2.log"] = f"marked {marked}\n".encode()
    files["run.json"] = _format_run_json(run, commit, files)
    return files


def _format_run_json(run: PlannedRun, commit: str, files: Files) -> bytes:
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


def _format_series(seed: int, run: PlannedRun, rows: int) -> bytes:
    """Return CSV of times and heights in millimetres, one reading every six minutes: parabolas with a little noise."""
    lines = ["time_utc,height_mm"]
    first = run.at - timedelta(minutes=6 * rows)
    phase = draw(_TIDE_MINUTES, seed, run.path, "phase")
    for row in range(rows):
        x = (phase + 6 * row) % _TIDE_MINUTES
        tide = 15_200 * x * (_TIDE_MINUTES - x) // _TIDE_MINUTES**2
        height = 900 + tide + draw(21, seed, run.path, row) - 10
        lines.append(f"{utc_text(first + timedelta(minutes=6 * row))},{height}")
    return ("\n".join(lines) + "\n").encode()


RIG_ROOT: Final = "rig/runs"
_RIG_SINCE_DAYS: Final = 99
_HASHES_SINCE_DAYS: Final = 65
_SURGE: Final = "surge.csv"
RIG_DEFECTS: Final = {
    "rig_without_hashes": Defect("rig_without_hashes", "unsealed", UNSEALED),
    # One bit of the result changed after the list of hashes was written.
    "rig_damaged": Defect("rig_damaged", "fail", (("HASH_MISMATCH", _SURGE),)),
    # Hashes that hold are no seal: `partial` is the best verdict of a run that an adapter reads.
    "rig_hashes": Defect("rig_hashes", "partial", (("HASHES_VERIFIED", ""),)),
}
"""The state of every run folder of the rig, by name."""


@value_type
class RigOperation:
    """An operation of the old forecasting rig; `last_hours` is the age of its latest run."""

    operation_id: str
    name: str
    script: str
    level: str
    every_days: int
    last_hours: int


RIG_OPERATIONS: Final = (
    RigOperation("OP-C06", "Rig Surge Forecast", "rig/surge.sh", "C2", 9, 13),
    RigOperation("OP-C07", "Rig Hindcast", "rig/hindcast.sh", "C3", 30, 700),
)


@value_type
class RigRun:
    """One run folder of the rig; `state` is a key of RIG_DEFECTS."""

    operation: RigOperation
    at: datetime
    state: str

    @property
    def run_id(self) -> str:
        """The folder's name."""
        stem = self.operation.script.removeprefix("rig/").removesuffix(".sh")
        return f"{stem}-{self.at:%Y%m%d}"

    @property
    def path(self) -> str:
        """The folder, relative to the repository root."""
        return f"{RIG_ROOT}/{self.run_id}"


def plan_rig_runs(seed: int, end: datetime) -> tuple[RigRun, ...]:
    """Return every run of the rig in the days before `end`, sorted by path; the same for the same arguments."""
    return tuple(sorted(_iterate_rig_runs(seed, end), key=lambda run: run.path))


def _iterate_rig_runs(seed: int, end: datetime) -> Iterator[RigRun]:
    for operation in RIG_OPERATIONS:
        moments = list_regular_moments(end, operation.last_hours, operation.every_days, _RIG_SINCE_DAYS)
        for number, moment in enumerate(moments):
            at = moment - timedelta(seconds=draw(2400, seed, operation.script, number))
            state = "rig_hashes" if (end - at).days < _HASHES_SINCE_DAYS else "rig_without_hashes"
            is_third_forecast = operation is RIG_OPERATIONS[0] and number == 2
            yield RigRun(operation, at, "rig_damaged" if is_third_forecast else state)


def make_rig_run_files(seed: int, run: RigRun, commit: str) -> Files:
    """Return the files of a run folder of the rig, bytes by relpath; meta.json names `commit`.

    Without MANIFEST.sha256 in the state `rig_without_hashes`; in `rig_damaged`, surge.csv differs from its hash.
    """
    rows = [f"{hour},{draw(900, seed, run.path, hour) - 200}\n" for hour in range(24)]
    document = {
        "id": run.run_id,
        "job": {"operation": run.operation.operation_id, "group": "C"},
        "times": {"started": utc_text(run.at), "finished": utc_text(run.at + timedelta(minutes=7))},
        "source": {"commit": commit},
    }
    files = {
        _SURGE: "".join(("hour,surge_mm\n", *rows)).encode(),
        "log/rig.log": f"{run.operation.name}: 24 hours\n".encode(),
        "meta.json": json_document(document),
    }
    if run.state == "rig_without_hashes":
        return files
    lines = [f"{sha256_hex(data)}  ./{path}\n" for path, data in sorted(files.items())]
    if run.state == "rig_damaged":
        files[_SURGE] = files[_SURGE][:-2] + bytes([files[_SURGE][-2] ^ 1]) + b"\n"
    return {**files, "MANIFEST.sha256": "".join(lines).encode()}
