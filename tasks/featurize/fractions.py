"""Elemental fractions: the share of each element among the atoms of a composition."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tasks.errors import MatliftError
from tasks.featurize.plain import read_plain
from tasks.formulas import Amounts, amounts


def fraction_rows(formulas: Sequence[str], *, elements: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the fractions of some compositions: rows by elements, each row adding up to 1.

    D. Jha et al., Sci. Rep. 8 (2018) 17593, doi:10.1038/s41598-018-35934-y. Each is the nearest floating-point number
    to the exact fraction: the same to the last bit for Fe2O3, O3Fe2, Fe4O6 and Fe0.4O0.6.

    Args:
        formulas: of the compositions.
        elements: in the order of the columns; a composition has no others.

    Raises:
        MatliftError: a composition has another element, or a formula is unreadable.
    """
    columns = {element: place for place, element in enumerate(elements)}
    matrix, odd = read_plain(formulas, columns, fractions=True)
    for row, parts in _one_by_one(formulas, odd, columns):
        atoms = sum(parts.values())
        matrix[row, [columns[element] for element in parts]] = [float(part / atoms) for part in parts.values()]
    return matrix


def count_rows(formulas: Sequence[str], *, elements: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return how many atoms of each element some formulas have: rows by elements; see `fraction_rows`."""
    columns = {element: place for place, element in enumerate(elements)}
    matrix, odd = read_plain(formulas, columns, fractions=False)
    for row, parts in _one_by_one(formulas, odd, columns):
        matrix[row, [columns[element] for element in parts]] = [float(part) for part in parts.values()]
    return matrix


def _one_by_one(
    formulas: Sequence[str], rows: npt.NDArray[np.int64], columns: Mapping[str, int]
) -> Iterator[tuple[int, Amounts]]:
    """Read the formulas of some rows, exactly, and return each with its row."""
    for row in rows.tolist():
        parts = amounts(formulas[row])
        for element in parts:
            if element not in columns:
                raise MatliftError(
                    f"{formulas[row]} has {element}, which no row of the source has: "
                    "take it out, or add some to the source"
                )
        yield row, parts
