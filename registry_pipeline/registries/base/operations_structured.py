"""Parse operations catalogs in JSON or YAML, and check them against their schema.

YAML is limited to what JSON can express: YAML 1.2, one document, no anchors, tags or duplicate keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.schema import check_value
from registry_pipeline.yaml.json_values import UnreadableError, read_json_values

OPERATIONS_SCHEMA: Final = "OPERATIONS_CATALOG_v0_1.schema.json"
MAX_BYTES: Final = 1 << 18
"""The size limit: a catalog of a thousand operations is smaller, and YAML of this size takes seconds."""
_SUFFIXES: Final = (".json", ".yaml", ".yml")
_MAX_PROBLEMS: Final = 20
_OPERATION_KEY: Final = re.compile(r'"operation_id"\s*:')
_ERROR_LOCATION: Final = re.compile(r"line (\d+) column (\d+)")


def is_structured(path: str) -> bool:
    """Return whether a document is JSON or YAML by its suffix; all others are Markdown."""
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def parse_operations_document(data: bytes, path: str) -> tuple[list[tuple[int, Mapping[str, Any]]], list[Finding]]:
    """Return the operations of a document, each with its line, or the findings that say why it is malformed."""
    # Either all operations or none: half a catalog would state less than the repository does.
    if len(data) > MAX_BYTES:
        return [], [_malformed(path, f"the document is larger than {MAX_BYTES >> 10} KiB")]
    try:
        value, lines = _read_json(data) if path.lower().endswith(".json") else read_json_values(data)
    except UnreadableError as error:
        return [], [_malformed(path, error.message, error.location)]
    problems = check_value(OPERATIONS_SCHEMA, value)
    findings = [_malformed(path, p.message, _find_location(lines, p.pointer)) for p in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        findings.append(_malformed(path, f"and {len(problems) - _MAX_PROBLEMS} more problems"))
    if findings:
        return [], findings
    return [(lines.get(f"/operations/{index}", 1), item) for index, item in enumerate(value["operations"])], []


def _malformed(path: str, detail: str, location: str | None = None) -> Finding:
    return finding("CATALOG_MALFORMED", path, location=location, detail=detail)


def _find_location(lines: Mapping[str, int], pointer: str) -> str | None:
    """Return the location of a JSON pointer, or of the closest parent whose line is known."""
    while pointer not in lines and pointer:
        pointer = pointer.rpartition("/")[0]
    return f"{lines[pointer]}:1" if pointer in lines else None


def _read_json(data: bytes) -> tuple[Any, dict[str, int]]:
    """Return the value of strict JSON, and the line of each operation by JSON pointer."""
    try:
        value = read_strict_json(data)
    except StrictJsonError as error:
        match = _ERROR_LOCATION.search(str(error))
        raise UnreadableError(f"not JSON: {error}", f"{match[1]}:{match[2]}" if match else None) from None
    operations = value.get("operations") if isinstance(value, dict) else None
    # The parser gives no positions. The n-th `operation_id` key belongs to the n-th operation if the counts agree.
    text = data.decode("utf-8")
    lines = [text.count("\n", 0, match.start()) + 1 for match in _OPERATION_KEY.finditer(text)]
    if not isinstance(operations, list) or len(lines) != len(operations):
        return value, {}
    return value, {f"/operations/{index}": line for index, line in enumerate(lines)}
