"""How a YAML text is laid out, and how the items of two lists correspond (SPEC 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

from registry_pipeline.yaml.compose import YamlNode, same_value
from registry_pipeline.yaml.emit import Style, flow_text


def layout_of(documents: Sequence[YamlNode], newline: str) -> Style:
    """Return the layout that the first list and the first mapping inside a mapping have."""
    found: dict[str, int] = {}
    waiting = [node for node in documents if not node.flow]
    for _ in range(1000):
        if not waiting or len(found) == 2:
            break
        node = waiting.pop(0)
        for _, value in node.pairs() if node.kind == "mapping" else ():
            if value.kind in ("mapping", "sequence") and not value.flow:
                found.setdefault(value.kind, value.column - node.column)
        waiting += [each for each in node.members[:40] if each.kind in ("mapping", "sequence") and not each.flow]
    return Style(found.get("sequence", 2), found.get("mapping", 2), newline)


def aligned(
    old: list[bytes], value: list[Any], identity: Callable[[Any], bytes]
) -> list[tuple[str, int, int, int, int]]:
    """Return the steps that lead from the old items to the new ones, as `SequenceMatcher` tells them."""
    new = [identity(item) for item in value]
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old[-1 - i] != new[-1 - i]), shorter - head)
    a, b, c, d = head, len(old) - tail, head, len(new) - tail
    middle = SequenceMatcher(None, old[a:b], new[c:d], autojunk=False).get_opcodes()
    steps = [("equal", 0, head, 0, head)]
    steps += [(kind, i + a, j + a, k + c, m + c) for kind, i, j, k, m in middle]
    return [*steps, ("equal", b, len(old), d, len(new))]


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
