"""The nodes of a strict YAML text: composed from libyaml's events, each value with its place (SPEC 10)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, NoReturn

from registry_pipeline.yaml_values.scalars import CORE, read_plain_scalar, read_tagged_scalar

MAX_DEPTH: Final = 64
MAX_VALUES: Final = 1_000_000
"""So many values may the aliases of one document expand to: what is small on disk may not fill the memory."""

Kind = Literal["scalar", "mapping", "sequence", "alias"]


class StrictYamlError(ValueError):
    """Bytes that are not strict YAML; `kind` is `invalid` or `duplicate_key`; line and column count from 1."""

    def __init__(self, kind: Literal["invalid", "duplicate_key"], message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.line = line
        self.column = column

    @property
    def location(self) -> str:
        """Where it shows, as findings have it."""
        return f"{self.line}:{self.column}"


class YamlNode(NamedTuple):
    """One value and its place in the text.

    `start` and `end` count code points; the end of a block collection is that of its last value. `members` are the
    items of a sequence, or key and value in turn of a mapping. `flow` is set for `[…]` and `{…}`, `plain` for a scalar
    without quotes and tag. `weight` is the number of values with all aliases expanded.
    """

    kind: Kind
    value: Any
    start: int
    end: int
    line: int
    column: int
    flow: bool
    plain: bool
    weight: int
    members: tuple[YamlNode, ...]

    @property
    def location(self) -> str:
        """Where it stands, as findings have it."""
        return f"{self.line}:{self.column}"

    def pairs(self) -> tuple[tuple[YamlNode, YamlNode], ...]:
        """Return the keys and values of a mapping, in their order."""
        return tuple(zip(self.members[::2], self.members[1::2], strict=True))

    def at(self, path: Iterable[str | int]) -> YamlNode:
        """Return the node that a path leads to, or the nearest one on the way."""
        node = self
        for step in path:
            found = None
            if node.kind == "mapping":
                found = next((value for key, value in node.pairs() if key.value == step), None)
            elif node.kind == "sequence" and isinstance(step, int) and step < len(node.members):
                found = node.members[step]
            if found is None:
                break
            node = found
        return node


@dataclass(slots=True)
class _Open:
    """A collection whose end was not read yet."""

    event: Any
    members: list[YamlNode]


def read_yaml_text(data: bytes) -> str:
    """Return the text of UTF-8 bytes without a byte order mark.

    Raises:
        StrictYamlError: a byte order mark, or no UTF-8.
    """
    if data.startswith(codecs.BOM_UTF8):
        raise StrictYamlError("invalid", "the file begins with a byte order mark", 1, 1)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise StrictYamlError("invalid", f"not UTF-8: {error.reason}", line, column) from None


def read_yaml(data: bytes) -> tuple[YamlNode, ...]:
    """Return the documents of a YAML text, each as the node of its root; an empty text has none.

    Raises:
        StrictYamlError: not UTF-8, not YAML, a key twice in one mapping, or a value that JSON does not have.
    """
    return tuple(_documents(read_yaml_text(data)))


def read_yaml_values(data: bytes) -> list[Any]:
    """Return the plain values of the documents (dicts, lists, text, numbers, booleans, None); raises as `read_yaml`."""
    return [node.value for node in read_yaml(data)]


def same_value(one: Any, other: Any) -> bool:
    """Tell whether two values are the same for JSON: `1`, `1.0` and `true` differ, the order of keys does not."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _documents(text: str) -> Iterator[YamlNode]:
    import yaml  # noqa: PLC0415  # lazily: no verb that reads no YAML pays for it

    try:
        yield from _composed(text, yaml)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise StrictYamlError("invalid", str(error.problem or error.context or "not YAML"), line, column) from None
    except yaml.YAMLError as error:
        raise StrictYamlError("invalid", str(error).splitlines()[0], 1, 1) from None


def _composed(text: str, yaml: Any) -> Iterator[YamlNode]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    anchors: dict[str, YamlNode | None] = {}
    opened: list[_Open] = []
    for event in yaml.parse(text, Loader=loader):
        kind, anchor = type(event), getattr(event, "anchor", None)
        if kind is yaml.ScalarEvent:
            node = _scalar(event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            closed = opened.pop()
            anchor = closed.event.anchor
            node = (_mapping if kind is yaml.MappingEndEvent else _sequence)(closed, event)
        elif kind is yaml.AliasEvent:
            node, anchor = _alias(event, anchors), None
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if len(opened) == MAX_DEPTH:
                _refuse(event, f"nested deeper than {MAX_DEPTH} levels")
            if anchor is not None:
                anchors[anchor] = None  # not whole yet: an alias inside it would have no end
            opened.append(_Open(event, []))
            continue
        else:
            anchors = {} if kind is yaml.DocumentStartEvent else anchors
            continue
        if anchor is not None:
            anchors[anchor] = node
        if opened:
            opened[-1].members.append(node)
        else:
            yield node


def _scalar(event: Any) -> YamlNode:
    start, plain = event.start_mark, event.implicit[0] and not event.style
    value: Any = event.value
    try:
        if plain:
            value = read_plain_scalar(value)
        elif event.tag is not None and event.tag != "!":
            value = read_tagged_scalar(event.tag, value)
    except ValueError as error:
        _refuse(event, "a number of too many digits" if "int_max_str_digits" in str(error) else str(error))
    return YamlNode(
        "scalar", value, start.index, event.end_mark.index, start.line + 1, start.column + 1, False, plain, 1, ()
    )


def _sequence(opened: _Open, ended: Any) -> YamlNode:
    _refuse_tag(opened.event, "seq")
    values = [node.value for node in opened.members]
    return _collection("sequence", values, opened, ended)


def _mapping(opened: _Open, ended: Any) -> YamlNode:
    _refuse_tag(opened.event, "map")
    stated: dict[str, Any] = {}
    merged: list[YamlNode] = []
    keys = iter(opened.members)
    for key, value in zip(keys, keys, strict=True):
        if is_merge_key(key):
            merged += _merged(value)
        elif key.kind != "scalar" or not isinstance(key.value, str):
            _refuse_at(key, "a key must be a text; quote it" if key.kind == "scalar" else "a key must be a text")
        elif key.value in stated:
            told = f"the key {key.value!r} stands twice in one mapping"
            raise StrictYamlError("duplicate_key", told, key.line, key.column)
        else:
            stated[key.value] = value.value
    for node in merged:
        stated |= {name: value for name, value in node.value.items() if name not in stated}
    return _collection("mapping", stated, opened, ended)


def is_merge_key(key: YamlNode) -> bool:
    """Tell whether a key is `<<`, which takes in the keys of other mappings (YAML 1.1's merge type)."""
    return key.plain and key.value == "<<"


def _merged(value: YamlNode) -> list[YamlNode]:
    nodes = list(value.members) if value.kind == "sequence" else [value]
    for node in nodes:
        if not isinstance(node.value, dict):
            _refuse_at(node, "a merge key `<<` takes a mapping, or a list of mappings")
    return nodes


def _collection(kind: Kind, value: Any, opened: _Open, ended: Any) -> YamlNode:
    start, members = opened.event.start_mark, opened.members
    flow = bool(opened.event.flow_style)
    end = ended.end_mark.index if flow else members[-1].end if members else opened.event.end_mark.index
    weight = 1 + sum(node.weight for node in members)
    if weight > MAX_VALUES:
        _refuse(opened.event, f"its aliases expand to more than {MAX_VALUES} values")
    return YamlNode(
        kind, value, start.index, end, start.line + 1, start.column + 1, flow, False, weight, tuple(members)
    )


def _alias(event: Any, anchors: dict[str, YamlNode | None]) -> YamlNode:
    target = anchors.get(event.anchor)
    if target is None:
        known = event.anchor in anchors
        _refuse(event, f"the alias *{event.anchor} {'stands inside its own anchor' if known else 'has no anchor'}")
    start = event.start_mark
    return YamlNode(
        "alias",
        target.value,
        start.index,
        event.end_mark.index,
        start.line + 1,
        start.column + 1,
        False,
        False,
        target.weight,
        (),
    )


def _refuse_tag(event: Any, kind: str) -> None:
    if event.tag is not None and event.tag not in ("!", f"{CORE}{kind}"):
        _refuse(event, f"the tag {event.tag} is not read; only YAML's own are")


def _refuse(event: Any, message: str) -> NoReturn:
    raise StrictYamlError("invalid", message, event.start_mark.line + 1, event.start_mark.column + 1)


def _refuse_at(node: YamlNode, message: str) -> NoReturn:
    raise StrictYamlError("invalid", message, node.line, node.column)
