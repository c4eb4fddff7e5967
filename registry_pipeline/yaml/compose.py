"""Read YAML 1.2 strictly, as a tree of nodes with positions; scalars by its core schema (section 10.3.2)."""

from __future__ import annotations

import codecs
import gc
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple, NoReturn

_CORE: Final = "tag:yaml.org,2002:"  # the prefix of YAML's own tags
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NON_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Python reads an octal or hexadecimal number of any length, but writes at most 4300 decimal digits.
_MAX_BASED: Final = 3_500
# A plain scalar that starts with none of these is a text; an empty one is null.
_MAY_BE_MORE: Final = frozenset("~nNtTfF0123456789.-+")
_TYPES_BY_TAG: Final[dict[str, tuple[type, ...]]] = {
    f"{_CORE}int": (int,),
    f"{_CORE}float": (float, int),
    f"{_CORE}bool": (bool,),
    f"{_CORE}null": (type(None),),
}
_MAX_DEPTH: Final = 64
# Limits the memory that a small file of nested aliases can take.
_MAX_VALUES: Final = 1_000_000
Kind = Literal["scalar", "mapping", "sequence", "alias"]
ErrorKind = Literal["invalid", "duplicate_key"]


def parse_plain_scalar(text: str) -> Any:
    """Return the value of a scalar without quotes and tag: None, a boolean, a number, or else the text itself.

    Raises:
        ValueError: a number that JSON cannot represent, or one of too many digits.
    """
    if text and text[0] not in _MAY_BE_MORE:
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


def _parse_tagged_scalar(tag: str, text: str) -> Any:
    """Return the value of a scalar with one of YAML's own tags; raise ValueError if the text is not of that type."""
    if tag == f"{_CORE}str":
        return text
    value = parse_plain_scalar(text)
    if tag not in _TYPES_BY_TAG:
        raise ValueError(f"the tag {tag} is not supported; only YAML's own tags are")
    if type(value) not in _TYPES_BY_TAG[tag]:
        raise ValueError(f"{text!r} is not of type {tag.removeprefix(_CORE)}")
    return float(value) if tag == f"{_CORE}float" else value


class StrictYamlError(ValueError):
    """Bytes that are not strict YAML; `location` is `line:column`, counted from 1."""

    def __init__(self, message: str, location: str, kind: ErrorKind = "invalid") -> None:
        super().__init__(message)
        self.location = location
        self.kind = kind


def format_location(mark: Any) -> str:
    """Return a mark of a YAML library, which counts from 0, as `line:column`."""
    return f"{mark.line + 1}:{mark.column + 1}"


class YamlNode(NamedTuple):
    """One value and its position in the text."""

    kind: Kind
    value: Any
    begin: Any  # libyaml's mark of the first character
    stop: Any  # libyaml's mark after the last character; a block collection stops with its last value
    flow: bool = False  # written as `[...]` or `{...}`
    plain: bool = False  # a scalar without quotes and tag
    weight: int = 1  # the number of values with all aliases expanded
    members: tuple[YamlNode, ...] = ()  # the items of a sequence, or the alternating keys and values of a mapping

    @property
    def start(self) -> int:
        """The index of the first code point."""
        return int(self.begin.index)

    @property
    def end(self) -> int:
        """The index after the last code point."""
        return int(self.stop.index)

    @property
    def column(self) -> int:
        """The column, counted from 0."""
        return int(self.begin.column)

    @property
    def location(self) -> str:
        """The location of a finding: `line:column`, counted from 1."""
        return format_location(self.begin)

    @property
    def is_merge_key(self) -> bool:
        """Whether a key is `<<`, the merge key of YAML 1.1, which includes the keys of other mappings."""
        return self.plain and self.value == "<<"

    def pairs(self) -> tuple[tuple[YamlNode, YamlNode], ...]:
        """Return the keys and values of a mapping, in order."""
        return tuple(zip(self.members[::2], self.members[1::2], strict=True))

    def find_nearest(self, path: Iterable[str | int]) -> YamlNode:
        """Return the node at a path of keys and indexes, or its nearest existing ancestor."""
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


def parse_yaml(data: bytes) -> tuple[YamlNode, ...]:
    """Return the root node of each document; a text of comments and blank lines has none.

    Raises:
        StrictYamlError: not UTF-8, not YAML, a duplicate key, or a value that JSON cannot represent.
    """
    import yaml  # noqa: PLC0415 - only commands that read YAML pay for it

    text = _decode(data)
    gc_was_enabled = gc.isenabled()
    gc.disable()  # parsing creates many objects and no cycles; collecting would take half of the time
    try:
        return tuple(_compose_documents(text, yaml))
    except yaml.MarkedYAMLError as error:
        # Some errors have the mark of their context only, and some have none.
        mark = error.problem_mark or error.context_mark
        location = "1:1" if mark is None else format_location(mark)
        raise StrictYamlError(str(error.problem or error.context or "not YAML"), location) from None
    except yaml.YAMLError as error:
        raise StrictYamlError(str(error).splitlines()[0], "1:1") from None
    finally:
        if gc_was_enabled:
            gc.enable()


def _decode(data: bytes) -> str:
    if data.startswith(codecs.BOM_UTF8):
        raise StrictYamlError("the file begins with a byte order mark", "1:1")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise StrictYamlError(f"not UTF-8: {error.reason}", f"{line}:{column}") from None


def parse_yaml_values(data: bytes) -> list[Any]:
    """Return the value of each document, without positions; raises as `parse_yaml`."""
    return [node.value for node in parse_yaml(data)]


def is_same_value(left: Any, right: Any) -> bool:
    """Return whether two values are equal as JSON: `1`, `1.0` and `true` differ, the order of keys does not matter."""
    # Python's comparison is much faster, and values that differ for Python differ for JSON too.
    return bool(left == right) and json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _compose_documents(text: str, yaml: Any) -> Iterator[YamlNode]:
    """Yield the root node of each document, made from the events of libyaml."""
    scalar, mapping_end, sequence_end = yaml.ScalarEvent, yaml.MappingEndEvent, yaml.SequenceEndEvent
    starts = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
    anchors: dict[str, YamlNode | None] = {}
    # The collections whose ends have not been read yet: their start events and their members so far.
    stack: list[tuple[Any, list[YamlNode]]] = []
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        kind = type(event)
        if kind is scalar:
            node, anchor = _make_scalar(event), event.anchor
        elif kind in starts:
            if len(stack) == _MAX_DEPTH:
                _refuse(event.start_mark, f"nested deeper than {_MAX_DEPTH} levels")
            if event.anchor is not None:
                anchors[event.anchor] = None  # incomplete: an alias inside its own anchor would be infinite
            stack.append((event, []))
            continue
        elif kind is mapping_end or kind is sequence_end:
            start, members = stack.pop()
            node, anchor = _make_collection(start, members, event, is_mapping=kind is mapping_end), start.anchor
        elif kind is yaml.AliasEvent:
            node, anchor = _make_alias(event, anchors), None
        else:
            # Anchors are valid in one document only.
            anchors = {} if kind is yaml.DocumentStartEvent else anchors
            continue
        if anchor is not None:
            anchors[anchor] = node
        if stack:
            stack[-1][1].append(node)
        else:
            yield node


def _make_scalar(event: Any) -> YamlNode:
    value: Any = event.value
    plain = not event.style and event.implicit[0]
    try:
        if plain:
            value = parse_plain_scalar(value)
        elif event.tag is not None and event.tag != "!":
            value = _parse_tagged_scalar(event.tag, value)
    except ValueError as error:
        # Python's own message names a setting of the interpreter.
        message = "a number of too many digits" if "int_max_str_digits" in str(error) else str(error)
        _refuse(event.start_mark, message)
    return YamlNode("scalar", value, event.start_mark, event.end_mark, False, plain)


def _make_collection(start: Any, members: list[YamlNode], end: Any, *, is_mapping: bool) -> YamlNode:
    value = _make_mapping_value(members) if is_mapping else [node.value for node in members]
    if start.tag is not None and start.tag not in ("!", f"{_CORE}{'map' if is_mapping else 'seq'}"):
        _refuse(start.start_mark, f"the tag {start.tag} is not supported; only YAML's own tags are")
    flow = bool(start.flow_style)
    # libyaml ends a block collection at the next token, behind blank lines and comments.
    stop = end.end_mark if flow else members[-1].stop if members else start.end_mark
    # An alias shares the value of its anchor, but code that iterates over the value visits it again.
    weight = 1 + sum([node.weight for node in members])
    if weight > _MAX_VALUES:
        _refuse(start.start_mark, f"its aliases expand to more than {_MAX_VALUES} values")
    kind: Kind = "mapping" if is_mapping else "sequence"
    return YamlNode(kind, value, start.start_mark, stop, flow, False, weight, tuple(members))


def _make_mapping_value(members: list[YamlNode]) -> dict[str, Any]:
    """Return the dictionary of alternating keys and values, its own keys before merged ones.

    Raises:
        StrictYamlError: a key is duplicated or is no text, or `<<` has a value that is no mapping.
    """
    own: dict[str, Any] = {}
    merged: list[YamlNode] = []
    for key, value in zip(members[::2], members[1::2], strict=True):
        if type(key.value) is not str or key.kind != "scalar":
            _refuse(key.begin, "a key must be a text; quote it" if key.kind == "scalar" else "a key must be a text")
        elif key.is_merge_key:
            merged += value.members if value.kind == "sequence" else [value]
        elif key.value in own:
            _refuse(key.begin, f"the key {key.value!r} is duplicated", "duplicate_key")
        else:
            own[key.value] = value.value
    # The mapping's own keys win over merged keys, and earlier merged mappings over later ones.
    for node in merged:
        if not isinstance(node.value, dict):
            _refuse(node.begin, "a merge key `<<` takes a mapping, or a list of mappings")
        own |= {name: value for name, value in node.value.items() if name not in own}
    return own


def _make_alias(event: Any, anchors: dict[str, YamlNode | None]) -> YamlNode:
    target = anchors.get(event.anchor)
    if target is None:
        reason = "is inside its own anchor" if event.anchor in anchors else "has no anchor"
        _refuse(event.start_mark, f"the alias *{event.anchor} {reason}")
    return YamlNode("alias", target.value, event.start_mark, event.end_mark, weight=target.weight)


def _refuse(mark: Any, message: str, kind: ErrorKind = "invalid") -> NoReturn:
    raise StrictYamlError(message, format_location(mark), kind)
