"""Prediction intervals that cover: cross-conformal, as wide as a row is difficult.

Cross-conformal prediction: V. Vovk, Ann. Math. Artif. Intell. 74 (2015) 9, doi:10.1007/s10472-013-9368-4. Divided by a
difficulty: H. Papadopoulos, V. Vovk, A. Gammerman, J. Artif. Intell. Res. 40 (2011) 815, doi:10.1613/jair.3198.
Shapes: n rows, m rows of the domain, k neighbours.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import GammaRegressor

from tasks.learn import Near

Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

LEVEL = 0.9
LEVELS = (*(tenths / 10 for tenths in range(1, 10)), 0.95)
NEIGHBOURS = 10  # whose errors tell how difficult a row is
FLOOR = 0.2  # of the mean error: smaller errors and disagreements are as good as none
NEAR = 0.1  # the same for distances, in units of the domain
LEAST = 1e-4  # of the mean error: no error is less, for its logarithm's sake
EVEN = 0.5  # distance by which neighbours must differ to count differently
INPUTS = ("distance", "neighbours' errors", "disagreement")


@dataclass(frozen=True)
class Judged:
    """What is known of n rows that a method has predicted while they were held out.

    Attributes:
        missed: (n,), absolute errors, in the unit of the property.
        gap: (n,), absolute difference from the prediction of another method, the rival.
        near: of each row the nearest among the rows of the domain, those of its own key apart.
        rows: (m,), which of the n rows the domain keeps.
        folds: (n,), in which each row was held out.
    """

    missed: Vector
    gap: Vector
    near: Near
    rows: Rows
    folds: Rows

    @property
    def distance(self) -> Vector:
        """The distance (n,) from the rows that the method was fitted on: those of the other folds."""
        same_fold = self.folds[self.rows][self.near.places] == self.folds[:, None]
        return self.near.without(same_fold).distance

    def about(self, some: npt.NDArray[np.bool_]) -> tuple[Vector, Vector, Near]:
        """Return gap, distance and neighbours of some rows."""
        return self.gap[some], self.distance[some], Near(self.near.distances[some], self.near.places[some])


@dataclass(frozen=True)
class Intervals:
    """Tells the error to be expected of a prediction, and the interval that holds the measurement.

    The expected error is log-linear in the distance from the training rows, in the errors of the nearest of them and in
    the disagreement with a rival.

    Attributes:
        errors: (m,), absolute error of each row of the domain while it was held out, in the unit of the property.
        scale: their mean.
        intercept: of the logarithm of the expected error, in units of the scale.
        slopes: (3,), by the logarithms of distance, neighbours' errors and disagreement.
        factors: for each level the half width of the interval, in units of the expected error.
    """

    errors: Vector
    scale: float
    intercept: float
    slopes: Vector
    factors: dict[float, float]

    @classmethod
    def fit(cls, judged: Judged, without: int | None = None) -> "Intervals":
        """Fit on rows that were held out, and on no error of the fold that is left out.

        The absolute errors follow a Laplace distribution whose width is the expected error. The factor of a level is
        the quantile of error by expected error: so many rows of the fold left out will have less.

        Args:
            judged: n rows.
            without: the fold that is left out, if any.
        """
        known = judged.folds != without
        errors = np.where(known, judged.missed, np.nan)
        scale = float(np.mean(errors[known])) or 1.0
        blank = cls(errors[judged.rows], scale, 0.0, np.zeros(3), {})
        inputs = blank.inputs(*judged.about(known))
        gamma = GammaRegressor(alpha=1 / len(inputs), tol=1e-6, max_iter=1000)  # Laplace, by another name
        gamma.fit(inputs, np.maximum(errors[known] / scale, LEAST))
        fitted = cls(blank.errors, scale, float(gamma.intercept_), np.asarray(gamma.coef_, np.float64), {})
        ratios = np.sort(errors[known] / fitted.expected(inputs))
        places = {level: min(math.ceil((len(ratios) + 1) * level), len(ratios)) - 1 for level in LEVELS}
        factors = {level: float(ratios[place]) for level, place in places.items()}
        return cls(fitted.errors, scale, fitted.intercept, fitted.slopes, factors)

    def inputs(self, gap: Vector, distance: Vector, near: Near) -> Vector:
        """Return what the expected error depends on: (n, 3).

        Args:
            gap: (n,), absolute difference from the rival's prediction.
            distance: (n,), from the training rows.
            near: the nearest rows of the domain; those of unknown error have no say.
        """
        errors = self.errors[near.places]
        near = near.without(np.isnan(errors))
        distances, errors = near.distances[:, :NEIGHBOURS], self.errors[near.places[:, :NEIGHBOURS]]
        logs = np.log(np.nan_to_num(errors) / self.scale + FLOOR)
        weights = 1 / (distances + EVEN)
        weights[~weights.any(axis=1)] = 1e-9  # infinitely far, all of them
        neighbours = np.sum(weights * logs, axis=1) / np.sum(weights, axis=1)
        return np.column_stack([np.log(distance + NEAR), neighbours, np.log(gap / self.scale + FLOOR)])

    def expected(self, inputs: Vector) -> Vector:
        """Return the expected absolute error (n,), in the unit of the property."""
        return self.scale * np.exp(self.intercept + inputs @ self.slopes)

    def apply(
        self, predicted: Vector, rival: Vector, near: Near, level: float = LEVEL
    ) -> tuple[Vector, Vector, Vector]:
        """Return low and high end of the interval and the expected absolute error of new rows, each (n,).

        Args:
            predicted: (n,) by the model.
            rival: (n,) by the other one.
            near: the nearest rows of the domain, NEIGHBOURS of them.
            level: how many measurements of 1 the interval is to hold, one of LEVELS.
        """
        spread = self.expected(self.inputs(np.abs(predicted - rival), near.distance, near))
        half = self.factors[level] * spread
        return predicted - half, predicted + half, spread

    def to_json(self) -> bytes:
        """Return it as JSON."""
        state = {
            "errors": self.errors.tolist(),
            "scale": self.scale,
            "intercept": self.intercept,
            "slopes": dict(zip(INPUTS, self.slopes.tolist(), strict=True)),
            "factors": [{"level": level, "factor": factor} for level, factor in self.factors.items()],
        }
        return json.dumps(state, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Intervals":
        """Make it again from `to_json()`."""
        state = json.loads(content)
        factors = {entry["level"]: entry["factor"] for entry in state["factors"]}
        slopes = np.array([state["slopes"][name] for name in INPUTS])
        return cls(np.array(state["errors"]), state["scale"], state["intercept"], slopes, factors)


def cross_conformal(judged: Judged) -> tuple[Vector, Vector]:
    """Return the expected error (n,) of each row and the half widths (n, 10) of its intervals at LEVELS.

    Those of a fold are fitted on the errors of the other folds: no row's own error has a say in its interval.
    """
    spread, half = np.empty(len(judged.missed)), np.empty((len(judged.missed), len(LEVELS)))
    for fold in np.unique(judged.folds):
        held_out = judged.folds == fold
        fitted = Intervals.fit(judged, without=fold)
        spread[held_out] = fitted.expected(fitted.inputs(*judged.about(held_out)))
        half[held_out] = np.outer(spread[held_out], list(fitted.factors.values()))
    return spread, half


def quality(missed: Vector, spread: Vector, half: Vector) -> dict[str, Any]:
    """Return how many measurements the intervals hold, how wide they are, and whether most so where errors are large.

    Args:
        missed: (n,), absolute errors.
        spread: (n,), expected ones.
        half: (n, 10), half widths of the intervals at LEVELS.
    """
    covered = dict(zip(LEVELS, np.mean(missed[:, None] <= half, axis=0).tolist(), strict=True))
    first, second = (pd.Series(numbers).rank().to_numpy(np.float64) for numbers in (spread, missed))
    varied = np.ptp(first) > 0 and np.ptp(second) > 0
    return {
        "level": LEVEL,
        "coverage": covered[LEVEL],
        "width": float(np.mean(2 * half[:, LEVELS.index(LEVEL)])),
        "rank_correlation": float(np.corrcoef(first, second)[0, 1]) if varied else None,
        "calibration": [{"level": level, "coverage": share} for level, share in covered.items()],
    }
