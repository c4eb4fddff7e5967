"""The run log file: what a run tells of itself while it goes on, and where its final record comes from (SPEC 11).

Markdown, as seed 004 has it, that begins with the fields of the record between two `---` lines (YAML, every value as
its text), so that nobody writes JSON by hand. A field without a value is not stated.
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
from registry_pipeline.registries.run_index.log_file import Log
from registry_pipeline.registries.run_index.record import RUN, Record
from registry_pipeline.registries.run_index.versions import changed_fields

_NOT_ASKED: Final = frozenset({"record_type", "last_updated_utc", "run_log_filepath_abs", "corrects"})
_LISTS: Final = frozenset({"version_ids"})
_LARGEST: Final = 4 << 20
_TELLS: Final = """\

# Run log of {run_id}

Fill in the fields above as the run goes on; a field that stays empty is not stated. Then:

    registry-pipeline run-index finish THIS-FILE

## What happened

"""


def run_log_text(fields: Mapping[str, str]) -> str:
    """Return a new run log: the fields that are known at the start, and all others empty."""
    lines = ["---"]
    for name, each in RUN.fields.items():
        if name not in _NOT_ASKED:
            told = f"  # {' | '.join(each.values)}" if each.values and name not in fields else ""
            lines.append(f"{name}: {fields.get(name, '')}".rstrip() + told)
    return "\n".join([*lines, "---"]) + "\n" + _TELLS.format(run_id=fields["run_id"])


def write_run_log(path: Path, text: str) -> None:
    """Write a new run log durably.

    Raises:
        RefusedError: the name is taken (exit 5). BusyError: another writer took it just now (exit 6).
        WriteError: the disk refused; there is no such file (exit 1).
    """
    if os.path.lexists(path):
        raise RefusedError(f"{path} exists already", "name a new file; a run log is never overwritten")
    create_file(path, text.encode("utf-8"))


def read_run_log(path: Path, log: Log) -> tuple[dict[str, Any] | None, tuple[Finding, ...]]:
    """Return the record that a run log states, None with what is wrong with it where it states none.

    Raises:
        NotFoundError: the file is not there or cannot be read.
    """
    shown = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}", "name the run log that `start` wrote") from None
    fields, problem = _front_matter(data)
    if fields is None:
        return None, (finding("RI018", shown, detail=problem),)
    record: dict[str, Any] = {"record_type": "RUN"}
    for name, held in fields.items():
        value = _value(name, held)
        if value not in ("", [], None):
            record[name] = value
    record["run_log_filepath_abs"] = str(path.absolute())
    told = [
        finding(code, shown, location=pointer or None, expected=expected, got=got, detail=detail)
        for code, pointer, detail, expected, got in log.reader.problems(record)
    ]
    return (None if told else in_field_order(record)), tuple(told)


def _front_matter(data: bytes) -> tuple[dict[str, Any] | None, str]:
    from ruamel.yaml import YAML  # noqa: PLC0415  # lazily: only `finish` reads YAML
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    if len(data) > _LARGEST:
        return None, f"it is larger than {_LARGEST >> 20} MiB"
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        return None, f"not UTF-8: {error.reason}"
    marks = [number for number, line in enumerate(lines) if line.rstrip() == "---"]  # an indented one is text
    if marks[:1] != [0] or len(marks) < 2:
        return None, "its fields do not stand between two `---` lines at the beginning"
    try:
        value = YAML(typ="base", pure=True).load("\n".join(lines[1 : marks[1]]))
    except (YAMLError, ValueError, RecursionError) as error:
        return None, " ".join(str(error).split())[:200]
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        return None, "what stands between the `---` lines are no fields with values"
    return value, ""


def _value(name: str, held: Any) -> Any:
    if name in _LISTS and isinstance(held, str):
        return [part for part in held.replace(",", " ").split() if part]
    return held.strip() if isinstance(held, str) else held


def final_record(stated: Record, before: Record | None, corrects: tuple[str, ...], now: datetime) -> Record:
    """Return the record to append: what a run log states, after the current record of the run, None if there is none.

    One that says nothing new is the current record itself, so that a repetition changes nothing.
    """
    if before is None:
        return stated
    ours = {name: held for name, held in before.items() if name not in ("last_updated_utc", "corrects")}
    if ours == stated:
        return before
    changed = changed_fields(before, stated)
    named = [name for name in corrects if name in changed]
    update = {"last_updated_utc": utc_text(now)} | ({"corrects": named} if named else {})
    return in_field_order(dict(stated) | update)


def in_field_order(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its fields in the order of seed 004, further keys behind them."""
    known = {name: record[name] for name in RUN.fields if name in record}
    return known | {name: held for name, held in record.items() if name not in known}
