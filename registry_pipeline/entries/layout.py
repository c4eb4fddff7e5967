"""How a YAML text is laid out, and how the items of two lists correspond (SPEC 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

from registry_pipeline.entries.rendering import Style
from registry_pipeline.yaml_values.nodes import YamlNode


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
