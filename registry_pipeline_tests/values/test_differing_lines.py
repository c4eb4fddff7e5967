"""Of two versions of a file, only the lines between the common first and last ones need a look."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.differing_lines import find_differing_lines

LINES = st.lists(st.sampled_from([b"\n", b"a\n", b"ab\n", b"b\n"]), max_size=8).map(b"".join)


@given(LINES, LINES, LINES, LINES, st.sampled_from([b"", b"a"]))
def test_the_differing_parts_with_the_common_lines_around_them_are_the_files(
    first: bytes, old: bytes, new: bytes, last: bytes, rest: bytes
) -> None:
    old_file, new_file = first + old + last + rest, first + new + last
    parts = find_differing_lines(old_file, new_file)

    beginning = b"".join(old_file.splitlines(keepends=True)[: parts.before])
    ending = old_file[len(beginning) + len(parts.old) :]
    assert old_file == beginning + parts.old + ending
    assert new_file == beginning + parts.new + ending
    assert beginning[-1:] in (b"", b"\n")
    assert not ending or (beginning + parts.old)[-1:] in (b"", b"\n")


def test_only_the_added_line_differs() -> None:
    parts = find_differing_lines(b"a\nb\n" * 100_000, b"a\nb\n" * 100_000 + b"c\n")

    assert (parts.before, parts.old, parts.new) == (200_000, b"", b"c\n")


def test_a_line_in_the_middle_of_many_is_found() -> None:
    lines = [b"%d\n" % number for number in range(100_000)]

    parts = find_differing_lines(b"".join(lines), b"".join([*lines[:50_000], b"new\n", *lines[50_001:]]))

    assert parts.before == 50_000
    assert len(parts.new) < 40


def test_equal_files_do_not_differ() -> None:
    parts = find_differing_lines(b"a\nb\n", b"a\nb\n")

    assert (parts.old, parts.new) == (b"", b"")
