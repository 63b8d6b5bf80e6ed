"""Elemental fractions say what share of the atoms each element has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import MatliftError
from tasks.featurize.fractions import fraction_rows
from tasks.recipe import Fractions

ELEMENTS = Fractions(kind="fractions").elements


def test_the_86_elements_of_elemnet_are_the_default() -> None:
    assert len(ELEMENTS) == 86
    assert {"H", "Xe", "Pu"} < set(ELEMENTS)
    assert not {"He", "Ne", "Ar", "Po", "At", "Rn", "Fr", "Ra"} & set(ELEMENTS)


def test_fractions_are_shares_of_the_atoms() -> None:
    rows = fraction_rows(["Al2O3", "Zn0.15Ga0.85As", "Fe"], elements=("O", "Al", "As", "Fe", "Ga", "Zn"))
    np.testing.assert_allclose(rows[0], [0.6, 0.4, 0, 0, 0, 0])
    np.testing.assert_allclose(rows[1], [0, 0, 0.5, 0, 0.425, 0.075])
    np.testing.assert_allclose(rows[2], [0, 0, 0, 1, 0, 0])


parts = st.lists(st.tuples(st.sampled_from(ELEMENTS), st.integers(1, 30)), min_size=1, max_size=8)


@given(parts, st.integers(2, 9))
def test_every_row_adds_up_to_1_and_multiples_make_no_difference(parts: list[tuple[str, int]], times: int) -> None:
    formula = "".join(f"{element}{count}" for element, count in parts)
    one, other = fraction_rows([formula, f"({formula}){times}"], elements=ELEMENTS)
    assert one.sum() == pytest.approx(1)
    np.testing.assert_allclose(one, other)


def test_an_element_without_a_column_is_not_left_out_silently() -> None:
    with pytest.raises(MatliftError, match="XeF2 has Xe, which no row of the source has"):
        fraction_rows(["XeF2"], elements=("F",))
