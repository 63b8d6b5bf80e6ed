"""Statistics of the elements' properties over a composition, which describe elements that the source never has, too."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from tasks.featurize.fractions import fraction_rows
from tasks.featurize.properties import property_names, property_rows
from tasks.recipe import Statistics

Matrix = npt.NDArray[np.float64]

OVER_ELEMENTS = ("mean", "deviation", "minimum", "maximum", "range", "mode")
NORMS = (2, 3, 5, 7, 10)


@cache
def statistics_names(*, fractions: bool = False) -> tuple[str, ...]:
    """Return the names of the columns of `statistics_rows`: `melting_mean`, `norm_2`, `elements`, `fraction_Fe`, ….

    What stands before the underscore is the kind of a column, as `tasks.featurize.scale` takes it: a property's
    statistics share a unit, and the least of elements' f electrons, which few rows have, gets the spread of the others.
    """
    statistics = (f"{name}_{statistic}" for name in property_names() for statistic in OVER_ELEMENTS)
    elements = Statistics.elements if fractions else ()
    return (
        *statistics,
        *(f"norm_{power}" for power in NORMS),
        "elements",
        *(f"fraction_{element}" for element in elements),
    )


def statistics_rows(formulas: Sequence[str], *, fractions: bool = False) -> Matrix:
    """Return the statistics of some compositions: rows by the columns of `statistics_names`.

    L. Ward et al., npj Comput. Mater. 2 (2016) 16028, doi:10.1038/npjcompumats.2016.28. With x the fractions and v the
    values of a property: the mean Σ x v, the average deviation Σ x |v - mean|, minimum, maximum and range over the
    elements, and the mode, the value of the most abundant element, the mean of several if they are equally abundant.
    The norms are (Σ x^p)^(1/p); that of p = 0 is the number of elements.

    Args:
        formulas: of compositions of the elements of `Statistics`.
        fractions: whether to add the fractions of those elements.

    Returns:
        In the units of the properties; see `property_rows`.

    Raises:
        MatliftError: a composition has another element, or a formula is unreadable.
    """
    whole = fraction_rows(formulas, elements=Statistics.elements)
    share, element = _packed(whole)
    values = _table()[element]  # rows by places by properties
    weights = share[:, :, None]
    there = weights > 0
    mean = (weights * values).sum(axis=1)
    deviation = (weights * np.abs(values - mean[:, None])).sum(axis=1)
    least = np.where(there, values, np.inf).min(axis=1)
    most = np.where(there, values, -np.inf).max(axis=1)
    main = weights == weights.max(axis=1, keepdims=True)
    mode = (main * values).sum(axis=1) / main.sum(axis=1)
    statistics = np.stack([mean, deviation, least, most, most - least, mode], axis=2).reshape(len(formulas), -1)
    norms = (weights**NORMS).sum(axis=1) ** np.divide(1, NORMS)
    return np.hstack([statistics, norms, there.sum(axis=1), *([whole] if fractions else [])])


@cache
def _table() -> Matrix:
    """Return the elements of `Statistics` by properties."""
    return property_rows(Statistics.elements)


def _packed(fractions: Matrix) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Return the fractions that are not zero, and the column of each, on the first places of each row.

    Few of ninety elements are in a composition, so this is faster by as much; and sums are made in the order of the
    places, so that they do not depend on what other rows there are, as those of matrix products do.
    """
    row, column = np.nonzero(fractions)
    number = np.bincount(row, minlength=len(fractions))
    place = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    share = np.zeros((len(fractions), number.max(initial=1)))
    element = np.zeros(share.shape, np.int64)
    share[row, place] = fractions[row, column]
    element[row, place] = column
    return share, element
