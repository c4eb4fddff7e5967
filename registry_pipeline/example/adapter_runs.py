"""The bytes of one run folder before anybody seals it: run.json and what the job left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from registry_pipeline.canonical import json_document, sha256_hex, utc_text
from registry_pipeline.example.schedule import RESULT, SUMMARY, BadVerdict, Files, PlannedRun, draw
from registry_pipeline.values import value_type

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


RIG_ROOT: Final = "rig/runs"
RIG_SINCE_DAYS: Final = 99
RIG_OPERATIONS_PATH: Final = "docs/governance/RIG_OPERATIONS_v0_1.yaml"
_HASHES_SINCE_DAYS: Final = 65
_DAMAGED: Final = 2  # the third newest forecast: one bit of its result changed after the list was written
_RESULT: Final = "surge.csv"
RIG_ADAPTER: Final = f"""\
[[adapters]]
root = "{RIG_ROOT}"
file = "meta.json"
run_id = "id"
created_utc = "times.started"
operation_id = "job.operation"
option = "job.group"
git_commit = "source.commit"
"""


@value_type
class RigOperation:
    """What the rig may run; `last_hours` is the age of its latest run."""

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
    """One run folder of the rig to be; `state` says what its hashes are worth."""

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

    def finding(self) -> tuple[BadVerdict, tuple[str, str]]:
        """Return the verdict on the folder, and the one finding, as (code, path), that it gives."""
        if self.state == "rig_without_hashes":
            return "unsealed", ("UNSEALED", self.path)
        if self.state == "rig_damaged":
            return "fail", ("HASH_MISMATCH", f"{self.path}/{_RESULT}")
        return "partial", ("HASHES_VERIFIED", self.path)


def plan_rig_runs(seed: int, end: datetime) -> tuple[RigRun, ...]:
    """Return every run of the rig in the days before `end`, sorted by path; the same for the same arguments."""
    return tuple(sorted(_runs(seed, end), key=lambda run: run.path))


def _runs(seed: int, end: datetime) -> Iterator[RigRun]:
    for operation in RIG_OPERATIONS:
        age, turn = timedelta(hours=operation.last_hours), 0
        while age < timedelta(days=RIG_SINCE_DAYS - 1):
            at = end - age - timedelta(seconds=draw(2400, seed, operation.script, turn))
            state = "rig_hashes" if (end - at).days < _HASHES_SINCE_DAYS else "rig_without_hashes"
            if operation is RIG_OPERATIONS[0] and turn == _DAMAGED:
                state = "rig_damaged"
            yield RigRun(operation, at, state)
            age, turn = age + timedelta(days=operation.every_days), turn + 1


def rig_folder_files(seed: int, run: RigRun, commit: str) -> Files:
    """Return relpath to bytes: what the rig left, with the commit that stood at HEAD, and what happened since."""
    rows = [f"{hour},{draw(900, seed, run.path, hour) - 200}" for hour in range(24)]
    document = {
        "id": run.run_id,
        "job": {"operation": run.operation.operation_id, "group": "C"},
        "times": {"started": utc_text(run.at), "finished": utc_text(run.at + timedelta(minutes=7))},
        "source": {"commit": commit},
    }
    files = {
        _RESULT: ("\n".join(["hour,surge_mm", *rows]) + "\n").encode(),
        "log/rig.log": f"{run.operation.name}: 24 hours\n".encode(),
        "meta.json": json_document(document),
    }
    if run.state == "rig_without_hashes":
        return files
    lines = [f"{sha256_hex(data)}  ./{path}\n" for path, data in sorted(files.items())]
    if run.state == "rig_damaged":
        files[_RESULT] = files[_RESULT][:-2] + bytes([files[_RESULT][-2] ^ 1]) + b"\n"
    return {**files, "MANIFEST.sha256": "".join(lines).encode()}


def rig_operations() -> str:
    """Return the rig's operations as YAML, by OPERATIONS_CATALOG_v0_1.schema.json."""
    entries = [
        f"  - operation_id: {each.operation_id}\n    option: C\n    name: {each.name}\n"
        f"    executables: [{each.script} --station all]\n    coverage_level: {each.level}\n"
        for each in RIG_OPERATIONS
    ]
    head = ("# What the old forecasting rig may run, until it is taken out of service.", 'catalog_version: "0.1"')
    return "\n".join((*head, "operations:", "".join(entries)))


def rig_scripts() -> dict[str, str]:
    """Return the rig's executables by path."""
    return {
        each.script: f'#!/bin/sh\n# {each.operation_id} {each.name}\nexec rig-solver "$@"\n' for each in RIG_OPERATIONS
    }
