"""Read the values of a YAML text without positions, in half of the time of `compose`.

Only plain YAML is read here. At an anchor, a tag or an error, `compose` reads the text again and locates the error.
"""

from __future__ import annotations

from typing import Any

from registry_pipeline.yaml.compose import MAX_DEPTH, as_strict_error, read_yaml, read_yaml_text
from registry_pipeline.yaml.scalars import MAY_BE_MORE, read_plain_scalar


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
