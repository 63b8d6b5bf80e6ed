"""Elemental fractions: the share of each element among the atoms of a composition."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.errors import MatliftError
from tasks.formulas import amounts


def fraction_rows(formulas: Sequence[str], *, elements: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the fractions of some compositions: rows by elements, each row adding up to 1.

    D. Jha et al., Sci. Rep. 8 (2018) 17593, doi:10.1038/s41598-018-35934-y.

    Args:
        formulas: of the compositions.
        elements: in the order of the columns; a composition has no others.

    Raises:
        MatliftError: a composition has another element, or a formula is unreadable.
    """
    counts = count_rows(formulas, elements=elements)
    fractions: npt.NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return fractions


def count_rows(formulas: Sequence[str], *, elements: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return how many atoms of each element some formulas have: rows by elements; see `fraction_rows`."""
    column = {element: place for place, element in enumerate(elements)}
    matrix = np.zeros((len(formulas), len(elements)))
    for row, formula in zip(matrix, formulas, strict=True):
        for element, amount in amounts(formula).items():
            if element not in column:
                raise MatliftError(
                    f"{formula} has {element}, which no row of the source has: take it out, or add some to the source"
                )
            row[column[element]] = float(amount)
    return matrix
