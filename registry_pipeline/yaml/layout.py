"""Measure the layout of a YAML text, and compare the items of two lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

from registry_pipeline.yaml.compose import YamlNode, same_value
from registry_pipeline.yaml.emit import Style, flow_text


def layout_of(documents: Sequence[YamlNode], newline: str) -> Style:
    """Return the layout, measured at the first list and the first mapping inside a mapping."""
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


def align_items(
    old: list[bytes], value: list[Any], identity: Callable[[Any], bytes]
) -> list[tuple[str, int, int, int, int]]:
    """Return the steps from the old items to the new ones, as `SequenceMatcher.get_opcodes`."""
    new = [identity(item) for item in value]
    # `SequenceMatcher` takes quadratic time, so it only gets what is between the common head and tail.
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old[-1 - i] != new[-1 - i]), shorter - head)
    old_end, new_end = len(old) - tail, len(new) - tail
    middle = SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False).get_opcodes()
    steps = [("equal", 0, head, 0, head)]
    steps += [(kind, a + head, b + head, c + head, d + head) for kind, a, b, c, d in middle]
    return [*steps, ("equal", old_end, len(old), new_end, len(new))]


def flow_insertion(text: str, node: YamlNode, value: Any, newline: str) -> tuple[int, int, str] | None:
    """Return the edit that adds one item to a `[...]` list with one item a line, or None if another edit is needed."""
    items = node.members
    if node.kind != "sequence" or not isinstance(value, list) or len(value) != len(items) + 1:
        return None
    at = next((i for i, item in enumerate(items) if not same_value(item.value, value[i])), len(items))
    if not same_value([item.value for item in items[at:]], value[at + 1 :]):
        return None
    margins = [_margin(text, item) for item in items]
    # A comment beside the new item would be read as the comment of that item.
    following = items[at].start if at < len(items) else node.end
    if not all(margins) or "#" in text[items[at - 1].end if at else node.start : following]:
        return None
    if at == len(items):  # a comma after the last item then follows the new one
        return (items[-1].end, items[-1].end, f",{newline}{margins[0]}{flow_text(value[at])}")
    return (items[at].start, items[at].start, f"{flow_text(value[at])},{newline}{margins[0]}")


def _margin(text: str, item: YamlNode) -> str:
    """Return the blanks before an item that begins a line, or ""."""
    before = text[text.rfind("\n", 0, item.start) + 1 : item.start]
    return "" if before.strip(" \t") else before
