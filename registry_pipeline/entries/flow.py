"""A new item in a list in brackets that stands on several lines: the lines of the others stay (SPEC 10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from registry_pipeline.entries.rendering import flow_text
from registry_pipeline.yaml_values.nodes import YamlNode, same_value


def flow_insertion(text: str, node: YamlNode, value: Any, newline: str) -> tuple[int, int, str] | None:
    """Return the edit that puts one new item on a line of its own, None where that is not what changes.

    Each item begins a line, and no comment stands where the new one would go, which might be taken for its own.
    """
    items = node.members
    at = _inserted_at([item.value for item in items], value)
    if at is None or node.kind != "sequence" or not all(_margin(text, item) for item in items):
        return None
    behind = items[at].start if at < len(items) else node.end
    if "#" in text[items[at - 1].end if at else node.start : behind]:
        return None
    new, margin = flow_text(value[at]), _margin(text, items[0])
    if at == len(items):  # a comma that stands behind the last item stands behind the new one then
        return (items[-1].end, items[-1].end, f",{newline}{margin}{new}")
    return (items[at].start, items[at].start, f"{new},{newline}{margin}")


def _inserted_at(old: Sequence[Any], new: Any) -> int | None:
    """Return where a list has one item more than another, None where they differ otherwise."""
    if not isinstance(new, list) or len(new) != len(old) + 1:
        return None
    at = next((i for i, item in enumerate(old) if not same_value(item, new[i])), len(old))
    return at if same_value(list(old[at:]), new[at + 1 :]) else None


def _margin(text: str, item: YamlNode) -> str:
    """Return what stands before an item that begins a line, "" where it does not."""
    before = text[text.rfind("\n", 0, item.start) + 1 : item.start]
    return "" if before.strip(" \t") else before
