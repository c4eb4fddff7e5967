"""The nodes of a strict YAML text: composed from libyaml's events, each value with its place (SPEC 10)."""

from __future__ import annotations

import codecs
import gc
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple, NoReturn

from registry_pipeline.yaml.scalars import CORE, MAY_BE_MORE, read_plain_scalar, read_tagged_scalar

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

    `begin` and `stop` are libyaml's marks; a block collection stops with its last value. `members` are the items of a
    sequence, or key and value in turn of a mapping. `flow` is set for `[…]` and `{…}`, `plain` for a scalar without
    quotes and tag. `weight` is the number of values with all aliases expanded.
    """

    kind: Kind
    value: Any
    begin: Any
    stop: Any
    flow: bool = False
    plain: bool = False
    weight: int = 1
    members: tuple[YamlNode, ...] = ()

    @property
    def start(self) -> int:
        """The code point at which it begins."""
        return int(self.begin.index)

    @property
    def end(self) -> int:
        """The code point behind its last one."""
        return int(self.stop.index)

    @property
    def line(self) -> int:
        """Its line, counted from 1."""
        return int(self.begin.line) + 1

    @property
    def column(self) -> int:
        """Its column, counted from 1."""
        return int(self.begin.column) + 1

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


class _Open:
    """A collection whose end was not read yet."""

    __slots__ = ("event", "members")

    def __init__(self, event: Any, members: list[YamlNode]) -> None:
        self.event = event
        self.members = members


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
    text = read_yaml_text(data)
    with as_strict_error() as yaml:
        return tuple(_composed(text, yaml))


def same_value(one: Any, other: Any) -> bool:
    """Tell whether two values are the same for JSON: `1`, `1.0` and `true` differ, the order of keys does not."""
    # What is not equal for Python is not the same for JSON, and that is told much sooner.
    return bool(one == other) and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@contextmanager
def as_strict_error() -> Iterator[Any]:
    """Give PyYAML, and tell what it cannot read as a `StrictYamlError`."""
    import yaml  # noqa: PLC0415  # lazily: no verb that reads no YAML pays for it

    collects = gc.isenabled()
    gc.disable()  # half of the time would go into looking for cycles among values that have none
    try:
        yield yaml
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise StrictYamlError("invalid", str(error.problem or error.context or "not YAML"), line, column) from None
    except yaml.YAMLError as error:
        raise StrictYamlError("invalid", str(error).splitlines()[0], 1, 1) from None
    finally:
        if collects:
            gc.enable()


def _composed(text: str, yaml: Any) -> Iterator[YamlNode]:
    scalar, mapping_end, sequence_end = yaml.ScalarEvent, yaml.MappingEndEvent, yaml.SequenceEndEvent
    starts = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
    anchors: dict[str, YamlNode | None] = {}
    opened: list[_Open] = []
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        kind = type(event)
        if kind is scalar:
            node, anchor = _scalar(event), event.anchor
        elif kind in starts:
            if len(opened) == MAX_DEPTH:
                _refuse(event, f"nested deeper than {MAX_DEPTH} levels")
            if event.anchor is not None:
                anchors[event.anchor] = None  # not whole yet: an alias inside it would have no end
            opened.append(_Open(event, []))
            continue
        elif kind is mapping_end or kind is sequence_end:
            closed = opened.pop()
            node, anchor = (_mapping if kind is mapping_end else _sequence)(closed, event), closed.event.anchor
        elif kind is yaml.AliasEvent:
            node, anchor = _alias(event, anchors), None
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
    value: Any = event.value
    plain = not event.style and event.implicit[0]
    if plain and (not value or value[0] in MAY_BE_MORE):
        try:
            value = read_plain_scalar(value)
        except ValueError as error:
            _refuse_number(event, error)
    elif not plain and event.tag is not None and event.tag != "!":
        try:
            value = read_tagged_scalar(event.tag, value)
        except ValueError as error:
            _refuse_number(event, error)
    return YamlNode("scalar", value, event.start_mark, event.end_mark, False, plain)


def _refuse_number(event: Any, error: ValueError) -> NoReturn:
    _refuse(event, "a number of too many digits" if "int_max_str_digits" in str(error) else str(error))


def _sequence(opened: _Open, ended: Any) -> YamlNode:
    _refuse_tag(opened.event, "seq")
    return _collection("sequence", [node.value for node in opened.members], opened, ended)


def _mapping(opened: _Open, ended: Any) -> YamlNode:
    _refuse_tag(opened.event, "map")
    stated: dict[str, Any] = {}
    merged: list[YamlNode] = []
    keys = iter(opened.members)
    for key, value in zip(keys, keys, strict=True):
        name = key.value
        if type(name) is not str or key.kind != "scalar":
            _refuse_at(key, "a key must be a text; quote it" if key.kind == "scalar" else "a key must be a text")
        elif name == "<<" and key.plain:
            merged += _merged(value)
        elif name in stated:
            told = f"the key {name!r} stands twice in one mapping"
            raise StrictYamlError("duplicate_key", told, key.line, key.column)
        else:
            stated[name] = value.value
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
    event, members = opened.event, opened.members
    flow = bool(event.flow_style)
    stop = ended.end_mark if flow else members[-1].stop if members else event.end_mark
    weight = 1
    for node in members:
        weight += node.weight
    if weight > MAX_VALUES:
        _refuse(event, f"its aliases expand to more than {MAX_VALUES} values")
    return YamlNode(kind, value, event.start_mark, stop, flow, False, weight, tuple(members))


def _alias(event: Any, anchors: dict[str, YamlNode | None]) -> YamlNode:
    target = anchors.get(event.anchor)
    if target is None:
        known = event.anchor in anchors
        _refuse(event, f"the alias *{event.anchor} {'stands inside its own anchor' if known else 'has no anchor'}")
    return YamlNode("alias", target.value, event.start_mark, event.end_mark, weight=target.weight)


def _refuse_tag(event: Any, kind: str) -> None:
    if event.tag is not None and event.tag not in ("!", f"{CORE}{kind}"):
        _refuse(event, f"the tag {event.tag} is not read; only YAML's own are")


def _refuse(event: Any, message: str) -> NoReturn:
    raise StrictYamlError("invalid", message, event.start_mark.line + 1, event.start_mark.column + 1)


def _refuse_at(node: YamlNode, message: str) -> NoReturn:
    raise StrictYamlError("invalid", message, node.line, node.column)
