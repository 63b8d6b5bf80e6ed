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
FLOOR = 0.2  # of the mean error: smaller errors and disagreements are as good as none
NEAR = 0.1  # the same for distances, in units of the domain
EVEN = 0.5  # distance by which neighbours must differ to count differently
GROUPS = 128  # into which the rows of the domain are dealt out; the least of each is looked at first
SOME = 128  # rows whose neighbours are looked for at once: their products stay in the processor's cache
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
        rows: (m, w), the activations of the rows of the domain, in single precision as the trunk gives them.
        points: (w + 1, M), the same times -2, and below them the squares of their lengths; filled up to a multiple of
            GROUPS with rows infinitely far away.
        longest: the greatest of the squares.
        unit: of distances.
        errors: (m,), absolute error of each row of the domain while it was held out, in the unit of the property.
        scale: their mean.
        intercept: of the logarithm of the expected error, in units of the scale.
        slopes: (3,), by the logarithms of distance, neighbours' errors and disagreement.
        factor: the half width of the interval, in units of the expected error.
    """

    rows: Array
    points: Array
    longest: float
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
        squares = np.sum(rows.astype(np.float64) ** 2, axis=1)
        points = np.zeros((rows.shape[1] + 1, -(-len(rows) // GROUPS) * GROUPS), np.float32)
        points[-1] = np.inf
        points[:, : len(rows)] = np.vstack([-2 * rows.T, squares])
        factors = {entry["level"]: entry["factor"] for entry in intervals["factors"]}
        return cls(
            rows=rows,
            points=points,
            longest=float(squares.max()),
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
            represented: (n, w), the activations of the rows.
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

        Products of matrices in single precision find those that may be among the nearest, and more of them where the
        digits do not tell; their distances are then taken from differences, which lose none.
        """
        room = np.empty((min(SOME, len(represented)), self.points.shape[1]), np.float32)  # new memory costs time
        parts = [self._nearest(represented[start : start + SOME], room) for start in range(0, len(represented), SOME)]
        squares, places = (np.concatenate(one) for one in zip(*parts, strict=True))
        return np.sqrt(squares) / self.unit, places

    def _nearest(self, some: Array, room: Array) -> tuple[Vector, npt.NDArray[np.int64]]:
        """Return the squares of the distances, in activations, and the places of what `_near` returns.

        Args:
            some: (n, w), activations.
            room: (n or more, M), for what is computed.
        """
        several = min(NEIGHBOURS, len(self.errors))
        rough = room[: len(some)]  # squares of distances, less those of the rows' own lengths
        np.matmul(np.hstack([some, np.ones((len(some), 1), np.float32)]), self.points, out=rough)
        dealt = rough.reshape(len(some), -1, GROUPS)
        # Each group's least is one row's, so the k-th least of them is no less than the k-th least of all.
        least = dealt.min(axis=1)
        own = np.einsum("nw,nw->n", some, some)
        doubt = 2 * (some.shape[1] + 3) * np.finfo(np.float32).eps * (own + self.longest)  # no rounding is more
        bound = np.partition(least, several - 1, axis=1)[:, several - 1] + doubt
        row, group = np.divmod(np.flatnonzero(least <= bound[:, None]), GROUPS)  # few groups have a row so near
        likely, turn = np.divmod(np.flatnonzero(dealt[row, :, group] <= bound[row, None]), dealt.shape[1])
        row, place = row[likely], group[likely] + turn * GROUPS
        apart = self.rows.take(place, axis=0)
        number = np.bincount(row, minlength=len(some))  # of those that are looked at, several or a few more
        apart -= some.repeat(number, axis=0)
        first = np.cumsum(number) - number
        squares = np.full((len(some), number.max()), np.inf, np.float32)
        squares[row, np.arange(len(row)) - first[row]] = np.vecdot(apart, apart)
        order = np.argsort(squares, axis=1, kind="stable")[:, :several]
        return np.take_along_axis(squares, order, axis=1).astype(np.float64), place[first[:, None] + order]
