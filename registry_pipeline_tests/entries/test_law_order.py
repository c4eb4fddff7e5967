"""Law: the file does not depend on the order in which entries are inserted."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline_tests.entries.test_law_idempotent import inserted
from registry_pipeline_tests.entries.yaml_texts import IDS, entries


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    made = [draw(entries(key=each)) for each in sorted(draw(st.sets(IDS, min_size=1, max_size=5)))]
    return made, draw(st.permutations(made))


@given(shuffled())
def test_the_order_of_insertion_does_not_matter(both: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    ends = []
    for order in both:
        data = b"types: []\n"
        for entry in order:
            data = inserted(data, entry)
        ends.append(data)

    assert ends[0] == ends[1]
