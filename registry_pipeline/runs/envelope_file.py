"""What a run folder says of itself: the object in its run.json, or in the file that an adapter reads (SPEC 1, 4.1).

Pure: bytes in, values out. A folder has one envelope: where a run.json stands, even a broken one, no adapter is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from registry_pipeline.config import Adapter
from registry_pipeline.runs.records import AdaptedBy

_FIELDS: Final = (
    "created_utc",
    "created_at",
    "run_type",
    "option",
    "operation_id",
    "git_commit",
    "working_tree_state",
    "dagster_run_id",
)


def parse_run_json(data: bytes | str | None) -> tuple[Mapping[str, Any], str | None]:
    """Return the fields of a run.json that a registry wants, and the warning where there are none (SPEC 4.1).

    `data` is None where there is no run.json, and the text of why where it cannot be read.
    """
    if data is None:
        return {}, "missing run.json"
    value, problem = _parse(data, "run.json")
    if isinstance(value, dict):
        return {name: value[name] for name in _FIELDS if name in value}, None
    return {}, problem if value is None else "run.json top-level is not an object"


def parse_adapted(data: bytes | str, adapter: Adapter) -> tuple[Mapping[str, Any], AdaptedBy]:
    """Return the fields that an adapter finds in its file, under their names in run.json, and the adapter with them.

    A field that is not there is left out; values are as found, of any type.
    """
    fields = adapter.fields()
    value, problem = _parse(data, adapter.file)
    if not isinstance(value, dict):
        problem = problem or f"{adapter.file} top-level is not an object"
        return {}, AdaptedBy(adapter.file, fields, problem)
    found = {name: _at(value, keys) for name, keys in fields.items()}
    envelope = {name: each for name, each in found.items() if each is not None}
    return envelope, AdaptedBy(adapter.file, fields, None)


def _at(value: Any, keys: str) -> Any:
    """Return what stands where the keys lead, None where they lead nowhere."""
    for key in keys.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _parse(data: bytes | str, name: str) -> tuple[Any, str | None]:
    """Return the JSON value of a file, or None and the text of Python's exception for reading it."""
    if isinstance(data, str):
        return None, f"Failed to parse {name}: {data}"
    try:
        return json.loads(text_of(data)), None
    except (ValueError, RecursionError) as error:
        return None, f"Failed to parse {name}: {error}"


def text_of(data: bytes) -> str:
    """Return UTF-8 text as Python reads a text file, every line end a line feed: its messages count lines.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    text = data.decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
