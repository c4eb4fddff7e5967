"""Operations catalogs for machines: `operations.json`, `operations.yaml`, judged by their schema (SPEC 4.2).

YAML is read as far as JSON goes: YAML 1.2, one document, no anchors, tags or keys that stand twice. It is parsed by
`ruamel.yaml`, which is imported where a repository has such a document and nowhere else.
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
"""A catalog of a thousand operations is smaller; YAML takes seconds for so much."""
_SUFFIXES: Final = (".json", ".yaml", ".yml")
_MOST_TOLD: Final = 20
_DEEPEST: Final = 32
_OPERATION_KEY: Final = re.compile(r'"operation_id"\s*:')
_LINE_OF_ERROR: Final = re.compile(r"line (\d+) column (\d+)")


def is_structured(path: str) -> bool:
    """Tell whether a catalog document is JSON or YAML by its name; every other one is Markdown."""
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def parse_operations_document(data: bytes, path: str) -> tuple[list[tuple[int, Mapping[str, Any]]], list[Finding]]:
    """Return the operations that a document states, each with its line, or what is malformed about it.

    Every finding is an error: half a catalog would state less than the repository does.
    """
    if len(data) > MOST_BYTES:
        return [], [_malformed(path, f"the document is larger than {MOST_BYTES >> 10} KiB")]
    try:
        value, lines = _read_json(data) if path.lower().endswith(".json") else _read_yaml(data)
    except _NotReadableError as error:
        return [], [_malformed(path, error.message, error.location)]
    problems = check_value(OPERATIONS_SCHEMA, value)
    findings = [_malformed(path, p.message, _place(lines, p.pointer)) for p in problems[:_MOST_TOLD]]
    if len(problems) > _MOST_TOLD:
        findings.append(_malformed(path, f"and {len(problems) - _MOST_TOLD} more problems"))
    if findings:
        return [], findings
    return [(lines.get(f"/operations/{n}", 1), each) for n, each in enumerate(value["operations"])], []


class _NotReadableError(ValueError):
    """The document is no JSON or YAML that can be used; `location` is `line:column` where that is known."""

    def __init__(self, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.location = location


def _malformed(path: str, detail: str, location: str | None = None) -> Finding:
    return finding("CATALOG_MALFORMED", path, location=location, detail=detail)


def _place(lines: Mapping[str, int], pointer: str) -> str | None:
    """Return the line of what a JSON pointer names or, where it is not known, of what that lies in."""
    while pointer not in lines and pointer:
        pointer = pointer.rpartition("/")[0]
    return f"{lines[pointer]}:1" if pointer in lines else None


def _read_json(data: bytes) -> tuple[Any, dict[str, int]]:
    """Return the value of strict JSON, and the line on which each operation names itself."""
    try:
        value = read_strict_json(data)
    except StrictJsonError as error:
        place = _LINE_OF_ERROR.search(str(error))
        raise _NotReadableError(f"not JSON: {error}", f"{place[1]}:{place[2]}" if place else None) from None
    operations = value.get("operations") if isinstance(value, dict) else None
    text = data.decode("utf-8")
    keys = [text.count("\n", 0, match.start()) + 1 for match in _OPERATION_KEY.finditer(text)]
    if not isinstance(operations, list) or len(keys) != len(operations):
        return value, {}
    return value, {f"/operations/{number}": line for number, line in enumerate(keys)}


def _read_yaml(data: bytes) -> tuple[Any, dict[str, int]]:
    """Return the value of a YAML document as JSON would have it, and the line of everything in it by JSON pointer."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only a repository with a YAML catalog pays for it
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        text = data.decode("utf-8-sig")
        node = YAML(typ="safe", pure=True).compose(text)
    except UnicodeDecodeError as error:
        raise _NotReadableError(f"not UTF-8: {error.reason}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = " ".join(str(word) for word in (error.context, error.problem) if word)
        raise _NotReadableError(f"not YAML: {told}", f"{mark.line + 1}:{mark.column + 1}" if mark else None) from None
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise _NotReadableError(f"not YAML: {str(error).partition(chr(10))[0]}") from None
    lines: dict[str, int] = {}
    return _plain(node, "", lines, set()), lines


def _plain(node: Any, pointer: str, lines: dict[str, int], met: set[int]) -> Any:
    """Return what a YAML node says in the words of JSON; `met` are the nodes so far, which only an alias repeats."""
    if node is None:
        return None
    mark, tag = node.start_mark, str(node.tag).removeprefix("tag:yaml.org,2002:")
    lines[pointer] = mark.line + 1
    if id(node) in met or node.anchor is not None:
        raise _refused(mark, "anchors and aliases are not accepted: write it out")
    if pointer.count("/") > _DEEPEST:
        raise _refused(mark, f"nested deeper than {_DEEPEST}")
    met.add(id(node))
    if tag == "seq":
        return [_plain(each, f"{pointer}/{number}", lines, met) for number, each in enumerate(node.value)]
    if tag == "map":
        return _plain_object(node, pointer, lines, met)
    scalar = _SCALARS.get(tag)
    if scalar is None or not isinstance(node.value, str):
        raise _refused(mark, f"{tag} is nothing that JSON has: write it in quotes")
    try:
        return scalar(node.value)
    except ValueError:
        raise _refused(mark, f"{node.value[:40]!r} is no number that JSON has: write it in quotes") from None


def _plain_object(node: Any, pointer: str, lines: dict[str, int], met: set[int]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _plain(key_node, pointer, lines, met)
        if not isinstance(key, str):
            raise _refused(key_node.start_mark, "a key is no text: write it in quotes")
        if key in made:
            raise _refused(key_node.start_mark, f"the key {key!r} stands twice in one object")
        made[key] = _plain(value_node, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", lines, met)
    lines[pointer] = node.start_mark.line + 1
    return made


def _refused(mark: Any, message: str) -> _NotReadableError:
    return _NotReadableError(message, f"{mark.line + 1}:{mark.column + 1}")


_SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": json.loads,
    "float": json.loads,
}
