"""Compare two versions of a file of lines that are mostly the same. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from registry_pipeline.values import value_type

_BLOCK: Final = 2**16
# After a difference the next common line is searched in so many bytes.
_WINDOW: Final = 2**17
# A part takes 0.2 ms. The last one is all that is left, so that files without common lines take no longer.
_MAX_PARTS: Final = 100


@value_type
class DifferingLines:
    """Lines of two files between common lines; `before` is the number of lines of the new file before `new`."""

    before: int
    old: bytes
    new: bytes


def find_differing_lines(old: bytes, new: bytes) -> tuple[DifferingLines, ...]:
    """Return the parts of two files of lines that differ, in their order; the lines between the parts are common.

    A line of one file may be in a part although the other file has it in another part, or between parts.
    """
    return tuple(_find_parts(old, new))


def _find_parts(old: bytes, new: bytes) -> Iterator[DifferingLines]:
    # (1) The common last lines. They begin with a whole line: behind a line feed that both files have before it.
    last = _count_common(
        min(len(old), len(new)), lambda a, b: old.endswith(new[len(new) - b : len(new) - a], 0, len(old) - a)
    )
    line_feed = old.find(b"\n", len(old) - last)
    kept = 0 if line_feed < 0 else len(old) - line_feed - 1
    old_end, new_end = len(old) - kept, len(new) - kept
    # (2) Before them, common lines and a part that differs by turns.
    old_start = new_start = number = 0
    for parts_left in reversed(range(_MAX_PARTS)):
        size = _count_common_lines(old, new, old_start, new_start, min(old_end - old_start, new_end - new_start))
        number += old.count(b"\n", old_start, old_start + size)
        old_start, new_start = old_start + size, new_start + size
        if (old_start, new_start) == (old_end, new_end):
            return
        old_window = old[old_start : min(old_start + _WINDOW, old_end)]
        new_window = new[new_start : min(new_start + _WINDOW, new_end)]
        sizes = _find_common_line(old_window, new_window) if parts_left else None
        old_size, new_size = sizes or (old_end - old_start, new_end - new_start)
        part = DifferingLines(number, old[old_start : old_start + old_size], new[new_start : new_start + new_size])
        yield part
        number += part.new.count(b"\n")
        old_start, new_start = old_start + old_size, new_start + new_size


def _count_common_lines(old: bytes, new: bytes, old_start: int, new_start: int, most: int) -> int:
    """Return the size of the lines, of at most `most` bytes, that both files have from these positions on."""
    size = _count_common(most, lambda a, b: old.startswith(new[new_start + a : new_start + b], old_start + a))
    return max(old.rfind(b"\n", old_start, old_start + size) + 1 - old_start, 0)


def _find_common_line(old: bytes, new: bytes) -> tuple[int, int] | None:
    """Return the positions of the first line of `old` that `new` has too, or None."""
    positions: dict[bytes, int] = {}
    position = 0
    for line in new.split(b"\n")[:-1]:
        positions.setdefault(line, position)
        position += len(line) + 1
    position = 0
    for line in old.split(b"\n")[:-1]:
        if line in positions:
            return position, positions[line]
        position += len(line) + 1
    return None


def _count_common(most: int, is_equal: Callable[[int, int], bool]) -> int:
    """Return the length of the longest equal part, of at most `most` bytes; `is_equal` compares a part of it."""
    # Blocks first, then halves of the first block that differs: comparing bytes one by one would take seconds.
    start = 0
    while start < most and is_equal(start, min(start + _BLOCK, most)):
        start = min(start + _BLOCK, most)
    end = min(start + _BLOCK, most)
    return start + bisect_left(range(1, end - start + 1), True, key=lambda size: not is_equal(start, start + size))
