from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.cli.exit_codes import MEANINGS, combine_exit_codes


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ((), 0),
        ((0, 0), 0),
        ((4,), 4),
        ((4, 5), 5),
        ((5, 7), 7),
        ((7, 3), 3),
        ((3, 6), 6),
        ((6, 2), 2),
        ((2, 1), 1),
        ((0, 4, 5, 7, 3, 6, 2, 1), 1),
        ((5, 4, 0), 5),
        ((8, 5), 5),
        ((4, 8), 8),
        ((3, 4, 5), 3),
    ],
)
def test_of_several_codes_the_first_of_1_2_6_3_7_5_8_4_is_used(held: tuple[int, ...], expected: int) -> None:
    assert expected == combine_exit_codes(held)


@given(st.lists(st.sampled_from([int(code) for code in MEANINGS])))
def test_the_combined_exit_code_does_not_depend_on_the_order(held: list[int]) -> None:
    combined = combine_exit_codes(held)

    assert combined in {*held, 0}
    assert combined == combine_exit_codes(reversed(held))
    assert (combined == 0) == (not any(held))
