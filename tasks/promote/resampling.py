"""How sure a mean difference is, at any confidence: a bootstrap over groups."""

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

RESAMPLES = 4000
AT_ONCE = 500  # of them, lest they take gigabytes


def resampled(differences: Vector, keys: npt.NDArray[np.object_]) -> Vector:
    """Return the mean difference in each of many resamples, the same ones whenever it is asked.

    Whole groups are drawn with replacement, so that near-copies do not count as independent evidence, as in
    `tasks.evaluate.metrics.paired_difference`, which gives its interval at one level alone.

    Args:
        differences: (n,) of the absolute errors of two models on the same rows.
        keys: (n,) the group of each row.
    """
    _, group = np.unique(keys.astype(str), return_inverse=True)
    sums, sizes = np.bincount(group, weights=differences), np.bincount(group)
    random = np.random.default_rng(0)
    drawn = (random.integers(len(sums), size=(AT_ONCE, len(sums))) for _ in range(RESAMPLES // AT_ONCE))
    return np.concatenate([sums[part].sum(axis=1) / sizes[part].sum(axis=1) for part in drawn])


def describe(differences: Vector, keys: npt.NDArray[np.object_]) -> dict[str, float]:
    """Return a mean difference, its 95 % interval, and in which share of the resamples it is below and above zero.

    Args:
        differences: (n,), n > 0.
        keys: (n,) the group of each row.
    """
    means = resampled(differences, keys)
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "mean": float(differences.mean()),
        "low": float(low),
        "high": float(high),
        "below": float(np.mean(means < 0)),
        "above": float(np.mean(means > 0)),
    }
