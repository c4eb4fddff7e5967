"""Read YAML 1.2 strictly, as a tree of nodes with positions; scalars by its core schema (section 10.3.2)."""

from __future__ import annotations

import codecs
import gc
import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple, NoReturn

CORE: Final = "tag:yaml.org,2002:"  # the prefix of YAML's own tags
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NON_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Python reads an octal or hexadecimal number of any length, but writes at most 4300 decimal digits.
_MAX_BASED: Final = 3_500
# A plain scalar that starts with none of these is a text; an empty one is null.
MAY_BE_MORE: Final = frozenset("~nNtTfF0123456789.-+")
_TYPES_BY_TAG: Final[dict[str, tuple[type, ...]]] = {
    f"{CORE}int": (int,),
    f"{CORE}float": (float, int),
    f"{CORE}bool": (bool,),
    f"{CORE}null": (type(None),),
}


def read_plain_scalar(text: str) -> Any:
    """Return the value of a scalar without quotes and tag.

    Raises:
        ValueError: a number that JSON cannot represent, or one of too many digits.
    """
    if text and text[0] not in MAY_BE_MORE:
        return text
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        if len(text) > _MAX_BASED:
            raise ValueError(f"a number of more than {_MAX_BASED} digits")
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _NON_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a JSON number")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"{text} is beyond the range of a double")
        return number
    return text


def read_tagged_scalar(tag: str, text: str) -> Any:
    """Return the value of a scalar with an explicit tag.

    Raises:
        ValueError: the tag is not one of YAML's own, or the text does not fit it.
    """
    if tag == f"{CORE}str":
        return text
    value = read_plain_scalar(text)
    if tag not in _TYPES_BY_TAG:
        raise ValueError(f"the tag {tag} is not supported; only YAML's own tags are")
    if type(value) not in _TYPES_BY_TAG[tag]:
        raise ValueError(f"{text!r} is not of type {tag.removeprefix(CORE)}")
    return float(value) if tag == f"{CORE}float" else value


MAX_DEPTH: Final = 64
# Limits the memory that a small file of nested aliases can take.
MAX_VALUES: Final = 1_000_000
Kind = Literal["scalar", "mapping", "sequence", "alias"]


class StrictYamlError(ValueError):
    """Bytes that are not strict YAML; line and column count from 1."""

    def __init__(self, kind: Literal["invalid", "duplicate_key"], message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.line = line
        self.column = column

    @property
    def location(self) -> str:
        """The location of a finding: `line:column`."""
        return f"{self.line}:{self.column}"


class YamlNode(NamedTuple):
    """One value and its position in the text.

    Attributes:
        begin: libyaml's mark of the first character.
        stop: libyaml's mark after the last character; a block collection stops with its last value.
        flow: the value is written as `[...]` or `{...}`.
        plain: a scalar without quotes and tag.
        weight: the number of values with all aliases expanded.
        members: the items of a sequence, or the alternating keys and values of a mapping.
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
        """The index of the first code point."""
        return int(self.begin.index)

    @property
    def end(self) -> int:
        """The index after the last code point."""
        return int(self.stop.index)

    @property
    def line(self) -> int:
        """The line, counted from 1."""
        return int(self.begin.line) + 1

    @property
    def column(self) -> int:
        """The column, counted from 1."""
        return int(self.begin.column) + 1

    @property
    def location(self) -> str:
        """The location of a finding: `line:column`."""
        return f"{self.line}:{self.column}"

    def pairs(self) -> tuple[tuple[YamlNode, YamlNode], ...]:
        """Return the keys and values of a mapping, in order."""
        return tuple(zip(self.members[::2], self.members[1::2], strict=True))

    def at(self, path: Iterable[str | int]) -> YamlNode:
        """Return the node at a path, or its nearest existing ancestor."""
        node = self
        for step in path:
            child = None
            if node.kind == "mapping":
                child = next((value for key, value in node.pairs() if key.value == step), None)
            elif node.kind == "sequence" and isinstance(step, int) and step < len(node.members):
                child = node.members[step]
            if child is None:
                break
            node = child
        return node


class _OpenCollection(NamedTuple):
    """A collection whose end has not been read yet."""

    event: Any
    members: list[YamlNode]


def read_yaml_text(data: bytes) -> str:
    """Return the text of UTF-8 bytes.

    Raises:
        StrictYamlError: a byte order mark, or not UTF-8.
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
    """Return the root node of each document; an empty text has none.

    Raises:
        StrictYamlError: not UTF-8, not YAML, a duplicate key, or a value that JSON cannot represent.
    """
    text = read_yaml_text(data)
    with as_strict_error() as yaml:
        return tuple(_compose(text, yaml))


def same_value(left: Any, right: Any) -> bool:
    """Return whether two values are equal as JSON: `1`, `1.0` and `true` differ, the order of keys does not matter."""
    # Python's comparison is much faster, and values that differ for Python differ for JSON too.
    return bool(left == right) and json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@contextmanager
def as_strict_error() -> Iterator[Any]:
    """Yield PyYAML, and convert its errors to `StrictYamlError`."""
    import yaml  # noqa: PLC0415 - only commands that read YAML pay for it

    gc_was_enabled = gc.isenabled()
    gc.disable()  # parsing creates many objects and no cycles; collecting would take half of the time
    try:
        yield yaml
    except yaml.MarkedYAMLError as error:
        # Some errors have the mark of their context only, and some have none.
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise StrictYamlError("invalid", str(error.problem or error.context or "not YAML"), line, column) from None
    except yaml.YAMLError as error:
        raise StrictYamlError("invalid", str(error).splitlines()[0], 1, 1) from None
    finally:
        if gc_was_enabled:
            gc.enable()


def is_merge_key(key: YamlNode) -> bool:
    """Return whether a key is `<<`, the merge key of YAML 1.1, which includes the keys of other mappings."""
    return key.plain and key.value == "<<"


def _compose(text: str, yaml: Any) -> Iterator[YamlNode]:
    scalar, mapping_end, sequence_end = yaml.ScalarEvent, yaml.MappingEndEvent, yaml.SequenceEndEvent
    starts = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
    anchors: dict[str, YamlNode | None] = {}
    stack: list[_OpenCollection] = []
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        kind = type(event)
        if kind is scalar:
            node, anchor = _scalar(event), event.anchor
        elif kind in starts:
            if len(stack) == MAX_DEPTH:
                _refuse(event, f"nested deeper than {MAX_DEPTH} levels")
            if event.anchor is not None:
                anchors[event.anchor] = None  # incomplete: an alias inside its own anchor would be infinite
            stack.append(_OpenCollection(event, []))
            continue
        elif kind is mapping_end or kind is sequence_end:
            opened = stack.pop()
            node, anchor = (_mapping if kind is mapping_end else _sequence)(opened, event), opened.event.anchor
        elif kind is yaml.AliasEvent:
            node, anchor = _alias(event, anchors), None
        else:
            # Anchors are valid in one document only.
            anchors = {} if kind is yaml.DocumentStartEvent else anchors
            continue
        if anchor is not None:
            anchors[anchor] = node
        if stack:
            stack[-1].members.append(node)
        else:
            yield node


def _scalar(event: Any) -> YamlNode:
    value: Any = event.value
    plain = not event.style and event.implicit[0]
    # Most scalars are texts, which the first character shows.
    try:
        if plain and (not value or value[0] in MAY_BE_MORE):
            value = read_plain_scalar(value)
        elif not plain and event.tag is not None and event.tag != "!":
            value = read_tagged_scalar(event.tag, value)
    except ValueError as error:
        _refuse(event, "a number of too many digits" if "int_max_str_digits" in str(error) else str(error))
    return YamlNode("scalar", value, event.start_mark, event.end_mark, False, plain)


def _sequence(opened: _OpenCollection, end_event: Any) -> YamlNode:
    return _collection("sequence", [node.value for node in opened.members], opened, end_event)


def _mapping(opened: _OpenCollection, end_event: Any) -> YamlNode:
    own: dict[str, Any] = {}
    merged: list[YamlNode] = []
    keys = iter(opened.members)
    for key, value in zip(keys, keys, strict=True):
        name = key.value
        if type(name) is not str or key.kind != "scalar":
            _refuse_node(key, "a key must be a text; quote it" if key.kind == "scalar" else "a key must be a text")
        elif name == "<<" and key.plain:
            merged += value.members if value.kind == "sequence" else [value]
        elif name in own:
            raise StrictYamlError("duplicate_key", f"the key {name!r} is duplicated", key.line, key.column)
        else:
            own[name] = value.value
    # The mapping's own keys win over merged keys, and earlier merged mappings over later ones.
    for node in merged:
        if not isinstance(node.value, dict):
            _refuse_node(node, "a merge key `<<` takes a mapping, or a list of mappings")
        own |= {name: value for name, value in node.value.items() if name not in own}
    return _collection("mapping", own, opened, end_event)


def _collection(kind: Kind, value: Any, opened: _OpenCollection, end_event: Any) -> YamlNode:
    event, members = opened
    if event.tag is not None and event.tag not in ("!", f"{CORE}{'map' if kind == 'mapping' else 'seq'}"):
        _refuse(event, f"the tag {event.tag} is not supported; only YAML's own tags are")
    flow = bool(event.flow_style)
    # libyaml ends a block collection at the next token, behind blank lines and comments.
    stop = end_event.end_mark if flow else members[-1].stop if members else event.end_mark
    weight = 1 + sum([node.weight for node in members])
    # An alias shares the value of its anchor, but whoever walks over the value visits it again.
    if weight > MAX_VALUES:
        _refuse(event, f"its aliases expand to more than {MAX_VALUES} values")
    return YamlNode(kind, value, event.start_mark, stop, flow, False, weight, tuple(members))


def _alias(event: Any, anchors: dict[str, YamlNode | None]) -> YamlNode:
    target = anchors.get(event.anchor)
    if target is None:
        reason = "is inside its own anchor" if event.anchor in anchors else "has no anchor"
        _refuse(event, f"the alias *{event.anchor} {reason}")
    return YamlNode("alias", target.value, event.start_mark, event.end_mark, weight=target.weight)


def _refuse(event: Any, message: str) -> NoReturn:
    raise StrictYamlError("invalid", message, event.start_mark.line + 1, event.start_mark.column + 1)


def _refuse_node(node: YamlNode, message: str) -> NoReturn:
    raise StrictYamlError("invalid", message, node.line, node.column)
