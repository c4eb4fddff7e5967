"""Read YAML with ruamel.yaml: as JSON values with their lines, or with every scalar as its text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from registry_pipeline.yaml.compose import format_location

_MAX_DEPTH: Final = 32
_SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": json.loads,
    "float": json.loads,
}


class UnreadableError(ValueError):
    """The document cannot be used; `location` is `line:column` if known."""

    def __init__(self, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.location = location


def parse_json_values(data: bytes) -> tuple[Any, dict[str, int]]:
    """Return a YAML document as JSON values, and the line (from 1) of every value by JSON pointer; None if empty.

    Raises:
        UnreadableError: not UTF-8, not one YAML document, an anchor, a duplicate key, or no JSON value.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - only a repository with a YAML catalog pays for it
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        node = YAML(typ="safe", pure=True).compose(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8: {error.reason}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise UnreadableError(f"not YAML: {reason}", format_location(mark) if mark else None) from None
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UnreadableError(f"not YAML: {str(error).partition(chr(10))[0]}") from None
    lines: dict[str, int] = {}
    return None if node is None else _to_json(node, "", lines), lines


def _to_json(node: Any, pointer: str, lines: dict[str, int]) -> Any:
    """Return a YAML node as a JSON value, and add the lines of all values in it to `lines`, by JSON pointer."""
    # An alias refers to a node with an anchor, which precedes it and is refused first.
    if node.anchor is not None:
        _refuse(node, "anchors and aliases are not allowed: write the value out")
    if pointer.count("/") > _MAX_DEPTH:
        _refuse(node, f"nested deeper than {_MAX_DEPTH}")
    value: Any
    tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
    if tag == "seq":
        value = [_to_json(item, f"{pointer}/{index}", lines) for index, item in enumerate(node.value)]
    elif tag == "map":
        value = _to_json_object(node, pointer, lines)
    elif tag not in _SCALARS or not isinstance(node.value, str):
        _refuse(node, f"{tag} does not exist in JSON: write it in quotes")
    else:
        try:
            value = _SCALARS[tag](node.value)
        except ValueError:
            _refuse(node, f"{node.value[:40]!r} is not a JSON number: write it in quotes")
    # The keys of an object are read under its own pointer; the line that counts is written last.
    lines[pointer] = node.start_mark.line + 1
    return value


def _to_json_object(node: Any, pointer: str, lines: dict[str, int]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _to_json(key_node, pointer, lines)
        if not isinstance(key, str):
            _refuse(key_node, "a key is not text: write it in quotes")
        if key in value:
            _refuse(key_node, f"the key {key!r} is duplicated")
        value[key] = _to_json(value_node, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", lines)
    return value


def _refuse(node: Any, message: str) -> NoReturn:
    raise UnreadableError(message, format_location(node.start_mark))


def parse_text_values(text: str) -> Any:
    """Return the value of a YAML text with each scalar as its text: `no` is "no"; None if it is empty.

    Raises:
        ValueError: the text is not YAML, or has duplicate keys.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - few commands need it
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        return YAML(typ="base", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None
