"""Read YAML as JSON values with their lines or as texts, and write values as YAML in block style."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from registry_pipeline.values import value_type
from registry_pipeline.yaml.compose import YamlNode, format_location

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


# YAML 1.1 and 1.2 readers get the same values: what YAML 1.1 reads as something else (`no`, `010`, a date) is quoted.
_PLAIN: Final = re.compile(r"[A-Za-z_/][^\x00-\x1f\x7f]*")
_YAML_1_1_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_FLOW_SIGNS: Final = frozenset("[]{},")
_ESCAPED: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


@value_type
class Style:
    """The layout of a file: the columns by which a list and a mapping are indented from their key, and the line end."""

    sequence: int = 2
    mapping: int = 2
    newline: str = "\n"


def measure_style(documents: Sequence[YamlNode], newline: str) -> Style:
    """Return the style of a file: the first list and mapping inside a mapping count; 2 columns if there are none."""
    indents: dict[str, int] = {}
    queue = [node for node in documents if not node.flow]
    for _ in range(1000):  # a large file shows its layout early
        if not queue or len(indents) == 2:
            break
        node = queue.pop(0)
        for _, value in node.pairs() if node.kind == "mapping" else ():
            if value.kind in ("mapping", "sequence") and not value.flow:
                indents.setdefault(value.kind, value.column - node.column)
        queue += [child for child in node.members[:40] if child.kind in ("mapping", "sequence") and not child.flow]
    return Style(indents.get("sequence", 2), indents.get("mapping", 2), newline)


def format_block_lines(value: Any, column: int, style: Style) -> list[str]:
    """Return the lines of a mapping or list that is not empty, each indented to `column` (from 0)."""
    if isinstance(value, dict):
        return [line for key, member in value.items() for line in format_member_lines(str(key), member, column, style)]
    return [line for item in value for line in format_item_lines(item, column, style)]


def format_member_lines(key: str, value: Any, column: int, style: Style) -> list[str]:
    """Return the lines of one key with its value."""
    head = " " * column + format_scalar(key)
    if is_block(value):
        indent = style.mapping if isinstance(value, dict) else style.sequence
        return [f"{head}:", *format_block_lines(value, column + indent, style)]
    first, *rest = format_inline_lines(value, column + style.mapping)
    return [f"{head}: {first}", *rest]


def format_item_lines(item: Any, column: int, style: Style) -> list[str]:
    """Return the lines of one list item, with its dash at `column`."""
    dash = f"{' ' * column}- "
    if is_block(item):
        first, *rest = format_block_lines(item, column + 2, style)
        return [dash + first[column + 2 :], *rest]
    first, *rest = format_inline_lines(item, column + 2)
    return [dash + first, *rest]


def is_block(value: Any) -> bool:
    """Return whether a value is written on lines of its own: a mapping or list that is not empty."""
    return isinstance(value, dict | list) and bool(value)


def format_inline_lines(value: Any, column: int) -> list[str]:
    """Return the lines that follow `key: ` or `- `: a value on one line, or a literal block indented to `column`."""
    # A literal block keeps a text of several lines readable.
    if isinstance(value, str) and "\n" in value and _is_literal(value):
        indent = " " * column
        lines = value.removesuffix("\n").split("\n")
        return ["|" if value.endswith("\n") else "|-", *(f"{indent}{line}" if line else "" for line in lines)]
    return [format_flow(value)]


def format_flow(value: Any) -> str:
    """Return a value on one line; collections are written as `[...]` and `{...}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{format_scalar(str(k), flow=True)}: {format_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(format_flow(item) for item in value) + "]"
    return format_scalar(value, flow=True)


def format_scalar(value: Any, *, flow: bool = False) -> str:
    """Return a scalar on one line; a text is quoted unless YAML 1.1 and 1.2 read it plain (`flow`: in brackets)."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _is_plain(value) and not (flow and _FLOW_SIGNS.intersection(value)):
        return value
    # JSON strings are YAML strings, except for these characters.
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def _is_plain(text: str) -> bool:
    if _PLAIN.fullmatch(text) is None or not text.isprintable() or text.casefold() in _YAML_1_1_WORDS:
        return False
    return ": " not in text and " #" not in text and text[-1] not in ": "


def _is_literal(text: str) -> bool:
    # Blanks at the start and blank lines at the end would need indicators behind the `|`.
    lines = text.split("\n")
    is_delimited = bool(lines[0].strip()) and not lines[0].startswith(" ") and not text.endswith("\n\n")
    return is_delimited and all(not line or (line.strip() and line.isprintable()) for line in lines)
