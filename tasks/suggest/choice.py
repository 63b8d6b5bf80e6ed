"""Which rows to measure next: one after the other, each the one that lowers the errors expected of all others most.

Greedy selection by the expected reduction of the mean variance (D. A. Cohn, Z. Ghahramani, M. I. Jordan, J. Artif.
Intell. Res. 4 (1996) 129, doi:10.1613/jair.295). The variance does not depend on what will be measured, so a whole
batch is chosen at once; and because each choice counts as measured for the next one, no two of a batch say the same.
Shapes: n rows, w activations, r landmarks.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tasks.suggest.belief import CHUNK, Array, Belief, Vector, remainder

TWIN = 0.01  # of the kernel's length apart: the model cannot tell such rows from each other
TIE = 1e-6  # rows whose gains differ by less, relatively, are as good: the first one is taken


class Chosen(NamedTuple):
    """A row that is worth measuring.

    Attributes:
        place: which one.
        gain: by how much measuring it lowers the expected squared errors of all rows, as a share of what they are
            before the first choice.
    """

    place: int
    gain: float


def choose(belief: Belief, activations: Array) -> Iterator[Chosen]:
    """Yield rows in the order in which they are worth measuring, until none is left.

    Rows that the model cannot tell from a chosen one come after all others, however noisy measurements are. Each choice
    costs O(n r): the gain of every row is a quotient whose parts are brought up to date after each choice.

    Args:
        belief: what is known before.
        activations: (n, w), of all rows that matter; of those that are as good as each other the first is chosen.
    """
    features, own = _features(belief, activations)
    weights = importance(belief, activations)
    covariance = belief.covariance.copy()
    weighed = _weighed(features, weights)
    known = _quadratic(features, covariance)  # variance (n,) that a measurement elsewhere may lower
    shared = _quadratic(features, covariance @ weighed @ covariance)  # sum over all rows of their covariances, squared
    total = float(np.sum(weights * (known + own)))
    waiting, fresh = np.ones((2, len(features)), bool)
    squares, near = np.einsum("nw,nw->n", activations, activations), (TWIN * belief.kernel.length) ** 2
    while waiting.any():
        variance = known + own + belief.noise
        gains = (shared + weights * own * (2 * known + own)) / variance
        gains[~(fresh if fresh.any() else waiting)] = -np.inf
        place = int(np.argmax(gains >= (1 - TIE) * gains.max()))
        fresh = fresh & (squares + squares[place] - 2 * (activations @ activations[place]) > near)
        waiting[place] = fresh[place] = False
        yield Chosen(place, float(gains[place]) / total)
        towards = covariance @ features[place].astype(np.float64)
        pulled = weighed @ towards
        along = (features @ towards.astype(np.float32)).astype(np.float64)
        across = (features @ (covariance @ pulled).astype(np.float32)).astype(np.float64)
        share = along / variance[place]
        shared += share * (share * (towards @ pulled) - 2 * across)
        known -= share * along
        covariance -= np.outer(towards, towards / variance[place])


def importance(belief: Belief, activations: Array) -> Vector:
    """Return how much the variance of each row matters (n,): in the unit of the property, not in that of the rows."""
    weights: Vector = belief.difficulty.at(activations) ** 2
    return weights


def _features(belief: Belief, activations: Array) -> tuple[Array, Vector]:
    """Return features (n, r) in single precision, and the variance (n,) that they leave out."""
    features = np.empty((len(activations), len(belief.covariance)), np.float32)
    own = np.empty(len(activations))
    for start in range(0, len(activations), CHUNK):
        some = slice(start, start + CHUNK)
        exact = belief.kernel.features(activations[some])
        features[some], own[some] = exact, remainder(exact)
    return features, own


def _weighed(features: Array, weights: Vector) -> Vector:
    """Return the weighted sum (r, r) of the products of each row's features."""
    total = np.zeros((features.shape[1],) * 2)
    for start in range(0, len(features), CHUNK):
        some = features[start : start + CHUNK]
        total += (some * weights[start : start + CHUNK, None].astype(np.float32)).T @ some
    return total


def _quadratic(features: Array, matrix: Vector) -> Vector:
    """Return the quadratic form of each row's features (n,)."""
    form = np.empty(len(features))
    single = matrix.astype(np.float32)
    for start in range(0, len(features), CHUNK):
        some = features[start : start + CHUNK]
        form[start : start + CHUNK] = np.einsum("nr,nr->n", some @ single, some)
    return form
