"""Values as YAML text in block style, read alike by YAML 1.1 and 1.2 (SPEC 10).

A text that an older reader would take for something else (`no`, `010`, a date) is quoted.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from registry_pipeline.values import value_type

_PLAIN: Final = re.compile(r"[A-Za-z_/][^\x00-\x1f\x7f]*")
_OLD_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_FLOW_SIGNS: Final = frozenset("[]{},")
_ESCAPED: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


@value_type
class Style:
    """How a file is laid out: by how many columns lists and mappings stand in from the key above, and its line end."""

    sequence: int = 2
    mapping: int = 2
    newline: str = "\n"


def block_lines(value: Any, column: int, style: Style) -> list[str]:
    """Return the lines of a mapping or list that is not empty, each indented to `column` (from 0)."""
    lines: list[str] = []
    if isinstance(value, dict):
        for key, member in value.items():
            lines += member_lines(str(key), member, column, style)
    else:
        for item in value:
            lines += item_lines(item, column, style)
    return lines


def member_lines(key: str, value: Any, column: int, style: Style) -> list[str]:
    """Return the lines of one key with its value."""
    head = " " * column + scalar_text(key)
    if is_block(value):
        deeper = style.mapping if isinstance(value, dict) else style.sequence
        return [f"{head}:", *block_lines(value, column + deeper, style)]
    first, *rest = inline_text(value, column + style.mapping)
    return [f"{head}: {first}", *rest]


def item_lines(item: Any, column: int, style: Style) -> list[str]:
    """Return the lines of one item of a list, its dash at `column`."""
    if is_block(item):
        first, *rest = block_lines(item, column + 2, style)
        return [f"{' ' * column}- {first[column + 2 :]}", *rest]
    first, *rest = inline_text(item, column + 2)
    return [f"{' ' * column}- {first}", *rest]


def is_block(value: Any) -> bool:
    """Tell whether a value takes lines of its own: a mapping or list that is not empty."""
    return isinstance(value, dict | list) and bool(value)


def inline_text(value: Any, column: int) -> list[str]:
    """Return what stands behind `key: ` or `- `: a scalar, or a literal block whose further lines are indented."""
    if isinstance(value, str) and "\n" in value and _is_literal(value):
        body = value.removesuffix("\n")
        return [
            "|" if value.endswith("\n") else "|-",
            *(f"{' ' * column}{line}" if line else "" for line in body.split("\n")),
        ]
    return [flow_text(value)]


def flow_text(value: Any) -> str:
    """Return a value on one line: a scalar, or `[…]` and `{…}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar_text(str(k), flow=True)}: {flow_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow_text(item) for item in value) + "]"
    return scalar_text(value, flow=True)


def scalar_text(value: Any, *, flow: bool = False) -> str:
    """Return a scalar on one line, quoted where it must be; `flow` where it stands inside brackets."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _is_plain(value) and not (flow and _FLOW_SIGNS.intersection(value)):
        return value
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _is_plain(text: str) -> bool:
    return (
        _PLAIN.fullmatch(text) is not None
        and text.isprintable()
        and ": " not in text
        and " #" not in text
        and text[-1] not in ": "
        and text.casefold() not in _OLD_WORDS
    )


def _is_literal(text: str) -> bool:
    """Tell whether a text of several lines may stand as a literal block without an indentation sign."""
    lines = text.split("\n")
    return (
        bool(lines[0].strip())
        and not lines[0].startswith(" ")
        and not text.endswith("\n\n")
        and all(not line or (line.strip() and line.isprintable()) for line in lines)
    )
