"""Compare two versions of a file of lines that are mostly the same. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from registry_pipeline.values import value_type

_BLOCK: Final = 2**16


@value_type
class DifferingLines:
    """The parts of two files between the lines that both begin with and the lines that both end with.

    `before` is the number of common first lines.
    """

    before: int
    old: bytes
    new: bytes


def find_differing_lines(old: bytes, new: bytes) -> DifferingLines:
    """Return the parts of two files of lines that differ; a line in one part may also be in the other."""
    shorter = min(len(old), len(new))
    first = _count_common(shorter, lambda start, end: old[start:end] == new[start:end])
    start = old.rfind(b"\n", 0, first) + 1
    # The common end is searched behind the common beginning, which it must not overlap in either file.
    last = _count_common(
        shorter - start, lambda a, b: old[len(old) - b : len(old) - a] == new[len(new) - b : len(new) - a]
    )
    # It begins with a whole line: behind a line feed that both files have before it.
    position = old.find(b"\n", len(old) - last)
    kept = 0 if position < 0 else len(old) - position - 1
    return DifferingLines(old.count(b"\n", 0, start), old[start : len(old) - kept], new[start : len(new) - kept])


def _count_common(most: int, is_equal: Callable[[int, int], bool]) -> int:
    """Return the length of the longest equal part, of at most `most` bytes; `is_equal` compares a part of it."""
    # Blocks first, then halves of the first block that differs: comparing bytes one by one would take seconds.
    start = 0
    while start < most and is_equal(start, min(start + _BLOCK, most)):
        start = min(start + _BLOCK, most)
    end = min(start + _BLOCK, most)
    return start + bisect_left(range(1, end - start + 1), True, key=lambda size: not is_equal(start, start + size))
