"""The run log file: the notes of a run in progress, from which its final record is made.

It is Markdown that starts with the fields of the record between two `---` lines (YAML, every value as its text), so
that nobody writes JSON by hand. An empty field is left out of the record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import utc_text
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import create_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.run_index.gates import find_changed_fields
from registry_pipeline.registries.run_index.log_file import Log, make_problem_findings
from registry_pipeline.registries.run_index.record import RUN, Record
from registry_pipeline.yaml.values import parse_text_values

# `finish` sets these fields, nobody fills them in.
_AUTOMATIC: Final = frozenset({"record_type", "last_updated_utc", "run_log_filepath_abs", "corrects"})
_MAX_SIZE: Final = 4 << 20
_TEMPLATE: Final = """\

# Run log of {run_id}

Fill in the fields above as the run goes on; an empty field is left out. Then:

    registry-pipeline run-index finish THIS-FILE

## What happened

"""


def format_run_log(fields: Mapping[str, str]) -> str:
    """Return the text of a new run log; `fields` are filled in, comments list the values that other fields allow."""
    lines = ["---"]
    for name, field in RUN.fields.items():
        if name not in _AUTOMATIC:
            comment = f"  # {' | '.join(field.values)}" if field.values and name not in fields else ""
            lines.append(f"{name}: {fields.get(name, '')}".rstrip() + comment)
    return "\n".join([*lines, "---"]) + "\n" + _TEMPLATE.format(run_id=fields["run_id"])


def create_run_log(path: Path, text: str) -> None:
    """Create a run log file durably.

    Raises:
        RefusedError: the file exists (exit 5).
        BusyError, WriteError: as `create_file`.
    """
    if os.path.lexists(path):
        raise RefusedError(f"{path} exists already", "name a new file; a run log is never overwritten")
    create_file(path, text.encode("utf-8"))


def read_run_log(path: Path, log: Log) -> tuple[dict[str, Any] | None, tuple[Finding, ...]]:
    """Return the record of a run log, in the documented order of fields, or None and the findings why it is not valid.

    Raises:
        NotFoundError: the file does not exist or cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "name the run log that `start` wrote") from None
    try:
        fields = _parse_front_matter(data)
    except ValueError as error:
        return None, (finding("RI018", str(path), detail=str(error)[:200]),)
    record: dict[str, Any] = {"record_type": "RUN"}
    for name, text in fields.items():
        value = text.strip() if isinstance(text, str) else text
        if name == "version_ids" and isinstance(value, str):
            value = value.replace(",", " ").split()
        if value not in ("", [], None):
            record[name] = value
    record["run_log_filepath_abs"] = str(path.absolute())
    findings = tuple(make_problem_findings(str(path), log.validator.find_problems(record)))
    return (None if findings else sort_fields(record)), findings


def _parse_front_matter(data: bytes) -> dict[str, Any]:
    """Return the YAML between the first two `---` lines, scalars as texts; raise ValueError if it is no mapping."""
    if len(data) > _MAX_SIZE:
        raise ValueError(f"it is larger than {_MAX_SIZE >> 20} MiB")
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error.reason}") from None
    marks = [number for number, line in enumerate(lines) if line.rstrip() == "---"]  # an indented one is text
    if marks[:1] != [0] or len(marks) < 2:
        raise ValueError("it does not start with its fields between two `---` lines")
    value = parse_text_values("\n".join(lines[1 : marks[1]]))
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError("the text between the `---` lines is not a list of `field: value` lines")
    return value


def make_final_record(stated: Record, previous: Record | None, corrects: tuple[str, ...], now: datetime) -> Record:
    """Return the record to append for a run log; `previous` is the current record of the run, if there is one.

    A run log that says nothing new gives the previous record, so that a repeated `finish` changes nothing. Otherwise
    it gets `last_updated_utc`, and of `corrects` those fields that it changes or removes.
    """
    if previous is None:
        return stated
    if stated == {name: previous[name] for name in previous if name not in ("last_updated_utc", "corrects")}:
        return previous
    changed = find_changed_fields(previous, stated)
    named = [name for name in corrects if name in changed]
    update = {"last_updated_utc": utc_text(now)} | ({"corrects": named} if named else {})
    return sort_fields(dict(stated) | update)


def sort_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its fields in the documented order, followed by extra keys."""
    known = {name: record[name] for name in RUN.fields if name in record}
    return known | {name: value for name, value in record.items() if name not in known}
