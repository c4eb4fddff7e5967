"""Of two versions of a file, only the lines that are not common need a look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline import differing_lines
from registry_pipeline.differing_lines import find_differing_lines

LINES = st.lists(st.sampled_from([b"\n", b"a\n", b"ab\n", b"b\n"]), max_size=8).map(b"".join)


CHANGES = st.tuples(LINES, LINES)


@given(
    st.tuples(LINES, LINES, LINES), CHANGES, CHANGES, st.sampled_from([b"", b"a"]), st.integers(1, 9), st.integers(1, 4)
)
def test_the_parts_with_the_same_lines_between_them_are_the_files(
    common_lines: tuple[bytes, bytes, bytes],
    change: tuple[bytes, bytes],
    other_change: tuple[bytes, bytes],
    rest: bytes,
    window: int,
    most_parts: int,
) -> None:
    first, middle, last = common_lines
    old_file, new_file = (
        first + lines + middle + more + last for lines, more in zip(change, other_change, strict=True)
    )
    old_file += rest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(differing_lines, "_WINDOW", window)
        patch.setattr(differing_lines, "_MAX_PARTS", most_parts)
        parts = find_differing_lines(old_file, new_file)

    new_lines = new_file.splitlines(keepends=True)
    old_position = new_position = 0
    for part in parts:
        start = len(b"".join(new_lines[: part.before]))
        common = new_file[new_position:start]
        assert common[-1:] in (b"", b"\n")
        assert old_file[old_position : old_position + len(common) + len(part.old)] == common + part.old
        assert new_file[start : start + len(part.new)] == part.new
        old_position, new_position = old_position + len(common) + len(part.old), start + len(part.new)
    assert old_file[old_position:] == new_file[new_position:]
    assert len(parts) <= most_parts


def test_only_the_added_line_differs() -> None:
    (part,) = find_differing_lines(b"a\nb\n" * 100_000, b"a\nb\n" * 100_000 + b"c\n")

    assert (part.before, part.old, part.new) == (200_000, b"", b"c\n")


def test_lines_at_several_places_are_found() -> None:
    lines = [b"%d\n" % number for number in range(100_000)]
    changed = [*lines[:20], b"new\n", *lines[20:50_000], b"other\n", *lines[50_001:90_000], *lines[90_002:]]

    parts = find_differing_lines(b"".join(lines), b"".join(changed))

    assert [(part.before, part.old, part.new) for part in parts] == [
        (20, b"", b"new\n"),
        (50_001, b"50000\n", b"other\n"),
        (90_001, b"90000\n90001\n", b""),
    ]


def test_files_without_common_lines_are_few_parts() -> None:
    old, new = (b"".join(b"%s%d\n" % (name, number) for number in range(100_000)) for name in (b"a", b"b"))

    (part,) = find_differing_lines(old, new)

    assert (part.before, part.old, part.new) == (0, old, new)


def test_equal_files_do_not_differ() -> None:
    assert find_differing_lines(b"a\nb\n", b"a\nb\n") == ()
