"""Errors of predictions, and how sure a difference between two methods is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Curve = tuple[Vector, Vector, npt.NDArray[np.object_]]

RESAMPLES = 4000
CURVES = 1000  # resampled, of which each is read as a whole


def errors(values: Vector, predictions: Vector, folds: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return MAE, median absolute error, RMSE (in the unit of the values), R² and the MAE of each fold.

    Args:
        values: (n,) measured.
        predictions: (n,) made for rows while they were held out.
        folds: (n,) in which each row was held out.
    """
    missed = predictions - values
    spread = float(np.sum((values - values.mean()) ** 2))
    return {
        "mae": float(np.mean(np.abs(missed))),
        "median": float(np.median(np.abs(missed))),
        "rmse": float(np.sqrt(np.mean(missed**2))),
        "r2": 1 - float(np.sum(missed**2)) / spread if spread else None,
        "mae_per_fold": [float(np.mean(np.abs(missed[folds == fold]))) for fold in np.unique(folds)],
    }


def paired_difference(first: Vector, second: Vector, keys: npt.NDArray[np.object_], seed: int) -> dict[str, float]:
    """Return the mean of `first - second` with its 95 % interval, from a bootstrap over groups.

    Whole groups are drawn with replacement, so that near-copies do not count as independent evidence (A. C. Davison,
    D. V. Hinkley, Bootstrap Methods and their Application, 1997, doi:10.1017/CBO9780511802843).

    Args:
        first: (n,) absolute errors of one method.
        second: (n,) absolute errors of the other on the same rows.
        keys: (n,) the group of each row.
        seed: of the draws.
    """
    _, group = np.unique(keys.astype(str), return_inverse=True)
    sums = np.bincount(group, weights=first - second)
    sizes = np.bincount(group)
    draws = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": float(np.mean(first - second)), "low": float(low), "high": float(high)}


def size_for_error(sizes: list[int], maes: list[float], wanted: float) -> float | None:
    """Return how many training rows reach an error, on a learning curve that is straight between its points in log-log.

    Args:
        sizes: training rows at each point, increasing.
        maes: the error at each point.
        wanted: the error to reach.

    Returns:
        The number of rows; None if no point of the curve is as good.
    """
    reached = next((place for place, mae in enumerate(maes) if mae <= wanted), None)
    if reached is None:
        return None
    if reached == 0:
        return float(sizes[0])
    (x0, x1), (y0, y1) = np.log(sizes[reached - 1 : reached + 1]), np.log(maes[reached - 1 : reached + 1])
    return float(np.exp(x0 + (x1 - x0) * (y0 - np.log(wanted)) / (y0 - y1)))


def size_intervals(sizes: list[int], curves: Sequence[Curve], seed: int) -> list[dict[str, float | None]]:
    """Return the 95 % interval of the rows that one method needs to be as good as the other is at each size.

    From a bootstrap over groups as in `paired_difference`: all points of both curves with the same groups.

    Args:
        sizes: training rows at each point, increasing.
        curves: at each point, absolute errors of the method that needs rows and of the other, and the groups; (n,)
            each, with rows of the same groups at all points.
        seed: of the draws.

    Returns:
        `low` and `high` of each point; None where the curve does not reach so far.
    """
    groups = len(np.unique(curves[0][2].astype(str)))
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=CURVES)
    needing = np.array([_resampled(missed, keys, drawn) for missed, _, keys in curves])
    other = np.array([_resampled(missed, keys, drawn) for _, missed, keys in curves])
    found = []
    for wanted in other:
        needs = [
            size_for_error(sizes, maes.tolist(), error) or np.inf for maes, error in zip(needing.T, wanted, strict=True)
        ]
        low = float(np.percentile(needs, 2.5, method="lower"))
        high = float(np.percentile(needs, 97.5, method="higher"))
        found.append({"low": low if np.isfinite(low) else None, "high": high if np.isfinite(high) else None})
    return found


def _resampled(missed: Vector, keys: npt.NDArray[np.object_], drawn: npt.NDArray[np.int64]) -> Vector:
    """Return the mean of absolute errors in each resample, of which each draws a group so many times."""
    _, group = np.unique(keys.astype(str), return_inverse=True)
    means: Vector = (drawn @ np.bincount(group, weights=missed)) / (drawn @ np.bincount(group))
    return means
