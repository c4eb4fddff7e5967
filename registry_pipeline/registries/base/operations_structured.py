"""Parse operations catalogs in JSON or YAML, and check them against their schema.

YAML is limited to what JSON can express: YAML 1.2, one document, no anchors, tags or duplicate keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, read_strict_json
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.schema import check_value

OPERATIONS_SCHEMA: Final = "OPERATIONS_CATALOG_v0_1.schema.json"
MOST_BYTES: Final = 1 << 18
"""The size limit: a catalog of a thousand operations is smaller, and YAML of this size takes seconds."""
_SUFFIXES: Final = (".json", ".yaml", ".yml")
_MAX_PROBLEMS: Final = 20
_MAX_DEPTH: Final = 32
_OPERATION_KEY: Final = re.compile(r'"operation_id"\s*:')
_ERROR_LOCATION: Final = re.compile(r"line (\d+) column (\d+)")
_SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": json.loads,
    "float": json.loads,
}


class _UnreadableError(ValueError):
    """The document cannot be used; `location` is `line:column` if known."""

    def __init__(self, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.location = location


def is_structured(path: str) -> bool:
    """Return whether a document is JSON or YAML by its suffix; all others are Markdown."""
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def parse_operations_document(data: bytes, path: str) -> tuple[list[tuple[int, Mapping[str, Any]]], list[Finding]]:
    """Return the operations of a document, each with its line, or the findings that say why it is malformed."""
    # Either all operations or none: half a catalog would state less than the repository does.
    if len(data) > MOST_BYTES:
        return [], [_malformed(path, f"the document is larger than {MOST_BYTES >> 10} KiB")]
    try:
        value, lines = _read_json(data) if path.lower().endswith(".json") else _read_yaml(data)
    except _UnreadableError as error:
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
        raise _UnreadableError(f"not JSON: {error}", f"{match[1]}:{match[2]}" if match else None) from None
    operations = value.get("operations") if isinstance(value, dict) else None
    # The parser gives no positions. The n-th `operation_id` key belongs to the n-th operation if the counts agree.
    text = data.decode("utf-8")
    lines = [text.count("\n", 0, match.start()) + 1 for match in _OPERATION_KEY.finditer(text)]
    if not isinstance(operations, list) or len(lines) != len(operations):
        return value, {}
    return value, {f"/operations/{index}": line for index, line in enumerate(lines)}


def _read_yaml(data: bytes) -> tuple[Any, dict[str, int]]:
    """Return the value of a YAML document as JSON values, and the line of every node by JSON pointer."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only a repository with a YAML catalog pays for it
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        text = data.decode("utf-8-sig")
        node = YAML(typ="safe", pure=True).compose(text)
    except UnicodeDecodeError as error:
        raise _UnreadableError(f"not UTF-8: {error.reason}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(str(part) for part in (error.context, error.problem) if part)
        location = f"{mark.line + 1}:{mark.column + 1}" if mark else None
        raise _UnreadableError(f"not YAML: {reason}", location) from None
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise _UnreadableError(f"not YAML: {str(error).partition(chr(10))[0]}") from None
    lines: dict[str, int] = {}
    return _to_json(node, "", lines, set()), lines


def _to_json(node: Any, pointer: str, lines: dict[str, int], visited: set[int]) -> Any:
    """Return a YAML node as a JSON value, and record the lines of all nodes in it."""
    if node is None:
        return None
    mark, tag = node.start_mark, str(node.tag).removeprefix("tag:yaml.org,2002:")
    lines[pointer] = mark.line + 1
    # Only an alias leads to the same node twice.
    if id(node) in visited or node.anchor is not None:
        raise _refusal(mark, "anchors and aliases are not allowed: write the value out")
    if pointer.count("/") > _MAX_DEPTH:
        raise _refusal(mark, f"nested deeper than {_MAX_DEPTH}")
    visited.add(id(node))
    if tag == "seq":
        return [_to_json(item, f"{pointer}/{index}", lines, visited) for index, item in enumerate(node.value)]
    if tag == "map":
        return _to_json_object(node, pointer, lines, visited)
    convert = _SCALARS.get(tag)
    if convert is None or not isinstance(node.value, str):
        raise _refusal(mark, f"{tag} does not exist in JSON: write it in quotes")
    try:
        return convert(node.value)
    except ValueError:
        raise _refusal(mark, f"{node.value[:40]!r} is not a JSON number: write it in quotes") from None


def _to_json_object(node: Any, pointer: str, lines: dict[str, int], visited: set[int]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _to_json(key_node, pointer, lines, visited)
        if not isinstance(key, str):
            raise _refusal(key_node.start_mark, "a key is not text: write it in quotes")
        if key in value:
            raise _refusal(key_node.start_mark, f"the key {key!r} is duplicated")
        value[key] = _to_json(value_node, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", lines, visited)
    # The keys were recorded under the pointer of their object; its own line is that of the object.
    lines[pointer] = node.start_mark.line + 1
    return value


def _refusal(mark: Any, message: str) -> _UnreadableError:
    return _UnreadableError(message, f"{mark.line + 1}:{mark.column + 1}")
