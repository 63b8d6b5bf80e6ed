"""Standardisation, fitted on the source and applied to every other table."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """What a scale needs to know of some rows; that of all rows is made from those of parts of them.

    Attributes:
        rows: how many they are.
        mean: of each column.
        squares: the sum of the squared differences of each column from its mean.
        least: the least value of each column.
        greatest: the greatest value of each column.
    """

    rows: int
    mean: Matrix
    squares: Matrix
    least: Matrix
    greatest: Matrix

    @classmethod
    def of(cls, matrix: Matrix) -> Self:
        """Return those of a matrix, rows by columns, in two passes."""
        mean = matrix.mean(axis=0)
        return cls(len(matrix), mean, np.square(matrix - mean).sum(axis=0), matrix.min(axis=0), matrix.max(axis=0))

    def __add__(self, other: Self) -> Self:
        """Return those of both together, without loss of digits where mean and spread differ much in size.

        T. F. Chan, G. H. Golub, R. J. LeVeque, Am. Stat. 37 (1983) 242, doi:10.1080/00031305.1983.10483115.
        """
        rows = self.rows + other.rows
        step = other.mean - self.mean
        return type(self)(
            rows=rows,
            mean=self.mean + step * (other.rows / rows),
            squares=self.squares + other.squares + np.square(step) * (self.rows * other.rows / rows),
            least=np.minimum(self.least, other.least),
            greatest=np.maximum(self.greatest, other.greatest),
        )


@dataclass(frozen=True)
class Scale:
    """Which columns are kept, and by what each is shifted and divided.

    Attributes:
        names: the kept columns, in order.
        dropped: the columns that are constant on the source, about which it can teach nothing.
        mean: of each kept column on the source.
        spread: by which each kept column is divided.
    """

    names: tuple[str, ...]
    dropped: tuple[str, ...]
    mean: Matrix
    spread: Matrix

    @classmethod
    def fit(cls, names: tuple[str, ...], shards: Iterable[Matrix]) -> Self:
        """Fit on the source's matrix, which comes in shards, each rows by columns; their bounds decide the last digits.

        A column's spread is its standard deviation, but at least the median of its kind (counts, sums, …): a type that
        two of 130,000 source molecules have would otherwise reach hundreds of standard deviations in the target and
        rule every prediction there. QM9 has one such: the terminal =CH2, in one molecule.
        """
        whole = reduce(Moments.__add__, map(Moments.of, shards))
        deviation = np.sqrt(whole.squares / whole.rows)
        kept = (deviation > 0) & (whole.least < whole.greatest)  # rounding makes a deviation of a constant, too
        kinds = np.array([name.partition("_")[0] for name in names])
        floor = np.zeros(len(names))
        for kind in set(kinds[kept]):
            floor[kinds == kind] = np.median(deviation[kept & (kinds == kind)])
        return cls(
            names=tuple(np.array(names)[kept].tolist()),
            dropped=tuple(np.array(names)[~kept].tolist()),
            mean=whole.mean[kept],
            spread=np.maximum(deviation, floor)[kept],
        )

    def apply(self, names: tuple[str, ...], matrix: Matrix) -> npt.NDArray[np.float32]:
        """Return the kept columns of `matrix`, standardised: rows by columns, without unit."""
        place = {name: column for column, name in enumerate(names)}
        columns = matrix[:, [place[name] for name in self.names]]
        return ((columns - self.mean) / self.spread).astype(np.float32)

    def starting(self, start: str) -> tuple[str, ...]:
        """Return the columns of the source, kept or dropped, whose names start so."""
        return tuple(name for name in self.names + self.dropped if name.startswith(start))

    def state(self) -> dict[str, Any]:
        """Return everything needed to apply it again, as JSON values."""
        return {
            "names": list(self.names),
            "dropped": list(self.dropped),
            "mean": self.mean.tolist(),
            "spread": self.spread.tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Scale":
        """Make it again from `state()`."""
        names, dropped = tuple(state["names"]), tuple(state["dropped"])
        return cls(names, dropped, np.array(state["mean"]), np.array(state["spread"]))
