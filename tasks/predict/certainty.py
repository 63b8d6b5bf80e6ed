"""How sure a prediction is: its interval, and whether the row lies where the model has learnt something.

The same as `tasks.learn.domain` and `tasks.evaluate.intervals` say, without the libraries that these need to learn.
Shapes: n rows, m rows of the domain, w activations, k neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float64]

NEAREST = 5  # neighbours over which a distance is averaged
NEIGHBOURS = 10  # whose errors tell how difficult a row is
SPARE = 6  # neighbours more that are looked for in single precision, which may take one for another
FLOOR = 0.2  # of the mean error: smaller errors and disagreements are as good as none
NEAR = 0.1  # the same for distances, in units of the domain
EVEN = 0.5  # distance by which neighbours must differ to count differently
INPUTS = ("distance", "neighbours' errors", "disagreement")


class Sure(NamedTuple):
    """How sure n predictions are.

    Attributes:
        low, high: (n,), the ends of the interval, in the unit of the property.
        distance: (n,), from the rows that were learnt from; 1 is theirs from each other.
    """

    low: Vector
    high: Vector
    distance: Vector


@dataclass(frozen=True)
class Certainty:
    """What tells how sure predictions are.

    Attributes:
        points: (w, m), the activations of the rows of the domain, in single precision.
        squares: (m,), of their lengths.
        rows: (m, w), the same rows in double precision.
        unit: of distances.
        errors: (m,), absolute error of each row of the domain while it was held out, in the unit of the property.
        scale: their mean.
        intercept: of the logarithm of the expected error, in units of the scale.
        slopes: (3,), by the logarithms of distance, neighbours' errors and disagreement.
        factor: the half width of the interval, in units of the expected error.
    """

    points: Array
    squares: Array
    rows: Vector
    unit: float
    errors: Vector
    scale: float
    intercept: float
    slopes: Vector
    factor: float

    @classmethod
    def read(
        cls, domain: Mapping[str, Any], tensors: Mapping[str, Array], intervals: Mapping[str, Any], level: float
    ) -> "Certainty":
        """Return it from the contents of a bundle's files.

        Args:
            domain: `domain.json`.
            tensors: of `domain.safetensors`.
            intervals: `intervals.json`.
            level: how many measurements of 1 an interval is to hold.
        """
        rows = tensors["represented"].astype(np.float32)
        errors = np.array(intervals["errors"], np.float64)
        if len(errors) != len(rows):
            raise ValueError("domain and intervals are not of the same rows")
        factors = {entry["level"]: entry["factor"] for entry in intervals["factors"]}
        return cls(
            points=rows.T.copy(),
            squares=np.einsum("mw,mw->m", rows, rows),
            rows=rows.astype(np.float64),
            unit=domain["unit"],
            errors=errors,
            scale=intervals["scale"],
            intercept=intervals["intercept"],
            slopes=np.array([intervals["slopes"][name] for name in INPUTS]),
            factor=factors[level],
        )

    def judge(self, predicted: Vector, rival: Vector, represented: Array) -> Sure:
        """Return how sure some predictions are.

        Args:
            predicted: (n,) by the model.
            rival: (n,) by another one, whose disagreement tells where to be careful.
            represented: (n, w), the activations of the rows, in single precision.
        """
        distances, places = self._near(represented)
        distance = distances[:, :NEAREST].mean(axis=1)
        logs = np.log(self.errors[places] / self.scale + FLOOR)
        weights = 1 / (distances + EVEN)
        neighbours = np.sum(weights * logs, axis=1) / np.sum(weights, axis=1)
        gap = np.abs(predicted - rival)
        inputs = np.column_stack([np.log(distance + NEAR), neighbours, np.log(gap / self.scale + FLOOR)])
        half = self.factor * self.scale * np.exp(self.intercept + inputs @ self.slopes)
        return Sure(predicted - half, predicted + half, distance)

    def _near(self, represented: Array) -> tuple[Vector, npt.NDArray[np.int64]]:
        """Return the distances (n, k) of the nearest rows of the domain, the nearest first, and their places.

        They are looked for in single precision, with some to spare, and told apart in double precision.
        """
        count = len(self.squares)
        several = min(NEIGHBOURS, count)
        rough = represented @ self.points
        rough *= -2
        rough += self.squares
        if count > several + SPARE:
            places = np.argpartition(rough, several + SPARE, axis=1)[:, : several + SPARE]
        else:
            places = np.broadcast_to(np.arange(count), (len(represented), count))
        apart = self.rows[places] - represented[:, None, :]
        exact = np.sqrt(np.einsum("nkw,nkw->nk", apart, apart)) / self.unit
        order = np.argsort(exact, axis=1, kind="stable")[:, :several]
        return np.take_along_axis(exact, order, axis=1), np.take_along_axis(places, order, axis=1)
