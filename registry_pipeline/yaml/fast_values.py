"""The values of a YAML text without their places: what proves a text that was written, in half of the time.

Takes the plain road only: at anchors, tags, and whatever would be refused, it asks `nodes`, which tells the place.
"""

from __future__ import annotations

from typing import Any

from registry_pipeline.yaml.compose import MAX_DEPTH, as_strict_error, read_yaml, read_yaml_text
from registry_pipeline.yaml.scalars import MAY_BE_MORE, read_plain_scalar


class _NotPlainError(Exception):
    """Something stands in the text that this road does not take."""


def read_yaml_values(data: bytes) -> list[Any]:
    """Return the plain values of the documents (dicts, lists, text, numbers, booleans, None); raises as `read_yaml`."""
    text = read_yaml_text(data)
    try:
        with as_strict_error() as yaml:
            return _values(text, yaml)
    except _NotPlainError:
        return [node.value for node in read_yaml(data)]


def _values(text: str, yaml: Any) -> list[Any]:
    scalar, mapping, sequence = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
    ends = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
    found: list[Any] = []
    members, opened = found, [found]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        kind = type(event)
        if kind is scalar:
            value = event.value
            if event.anchor is not None or (event.tag is not None and event.tag != "!"):
                raise _NotPlainError
            if not event.style and event.implicit[0] and (not value or value[0] in MAY_BE_MORE or value == "<<"):
                value = _scalar(value)
            members.append(value)
        elif kind is mapping or kind is sequence:
            if event.anchor is not None or event.tag is not None or len(opened) > MAX_DEPTH:
                raise _NotPlainError
            members = []
            opened.append(members)
        elif kind in ends:
            closed = opened.pop()
            members = opened[-1]
            members.append(_mapping(closed) if kind is ends[0] else closed)
        elif kind is yaml.AliasEvent:
            raise _NotPlainError
    return found


def _scalar(text: str) -> Any:
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
    made = dict(zip(keys, members[1::2], strict=True))
    if len(made) != len(keys):
        raise _NotPlainError
    return made
