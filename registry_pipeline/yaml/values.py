"""Read YAML as plain values: quickly, as JSON values with their lines, or with every scalar as its text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from registry_pipeline.yaml.compose import (
    MAX_DEPTH,
    MAY_BE_MORE,
    as_strict_error,
    read_plain_scalar,
    read_yaml,
    read_yaml_text,
)


class _NotPlainError(Exception):
    """The text contains something that only `compose` reads."""


def read_yaml_values(data: bytes) -> list[Any]:
    """Return the value of each document: dicts, lists, texts, numbers, booleans, None.

    Raises:
        StrictYamlError: as `read_yaml`.
    """
    text = read_yaml_text(data)
    try:
        with as_strict_error() as yaml:
            return _read_plain(text, yaml)
    except _NotPlainError:
        return [node.value for node in read_yaml(data)]


def _read_plain(text: str, yaml: Any) -> list[Any]:
    scalar, mapping, sequence = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
    ends = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
    documents: list[Any] = []
    members, stack = documents, [documents]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        kind = type(event)
        if kind is scalar:
            value = event.value
            if event.anchor is not None or (event.tag is not None and event.tag != "!"):
                raise _NotPlainError
            # An explicit test of the first character avoids a call for most scalars.
            if not event.style and event.implicit[0] and (not value or value[0] in MAY_BE_MORE or value == "<<"):
                value = _read_scalar(value)
            members.append(value)
        elif kind is mapping or kind is sequence:
            if event.anchor is not None or event.tag is not None or len(stack) > MAX_DEPTH:
                raise _NotPlainError
            members = []
            stack.append(members)
        elif kind in ends:
            closed = stack.pop()
            members = stack[-1]
            members.append(_mapping(closed) if kind is ends[0] else closed)
        elif kind is yaml.AliasEvent:
            raise _NotPlainError
    return documents


def _read_scalar(text: str) -> Any:
    # A merge key needs the nodes of the merged mappings.
    if text == "<<":
        raise _NotPlainError
    try:
        return read_plain_scalar(text)
    except ValueError:
        raise _NotPlainError from None


def _mapping(members: list[Any]) -> dict[str, Any]:
    keys = members[::2]
    if not all(type(key) is str for key in keys):
        raise _NotPlainError
    mapping = dict(zip(keys, members[1::2], strict=True))
    if len(mapping) != len(keys):  # a duplicate key
        raise _NotPlainError
    return mapping


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
        self.message = message
        self.location = location


def read_json_values(data: bytes) -> tuple[Any, dict[str, int]]:
    """Return the value of a YAML document as JSON values, and the line of every node by JSON pointer."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only a repository with a YAML catalog pays for it
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        text = data.decode("utf-8-sig")
        node = YAML(typ="safe", pure=True).compose(text)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8: {error.reason}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(str(part) for part in (error.context, error.problem) if part)
        location = f"{mark.line + 1}:{mark.column + 1}" if mark else None
        raise UnreadableError(f"not YAML: {reason}", location) from None
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UnreadableError(f"not YAML: {str(error).partition(chr(10))[0]}") from None
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


def _refusal(mark: Any, message: str) -> UnreadableError:
    return UnreadableError(message, f"{mark.line + 1}:{mark.column + 1}")


def read_text_values(text: str) -> Any:
    """Return the value of a YAML text: dictionaries, lists and texts.

    Raises:
        ValueError: the text is not YAML, or has duplicate keys.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - few commands need it
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        return YAML(typ="base", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None
