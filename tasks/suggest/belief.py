"""What measurements say of what was not measured: a Gaussian process of what the source's model misses.

It lives in the activations of the source's trunk, as difference learning does, and knows that some materials are more
difficult than others. Shapes: n rows, m measured ones, w activations, r landmarks.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular

Array = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

LANDMARKS = 300  # rows whose covariances with the others say all that is known of these
DRAWN = 150  # measured rows at most, on which length and noise are found
LENGTHS = np.geomspace(0.25, 4, 5)  # to choose from, in units of the median distance of two rows
NOISES = np.geomspace(0.02, 2, 7)  # variances to choose from, in units of that of the process
JITTER = 1e-6  # added to variances of landmarks, of which two may be the same
NEIGHBOURS = 10  # measured rows that tell how difficult a row is
EVEN = 0.5  # distance by which neighbours must differ to count differently, in units of the median nearest one
FLOOR = 0.2  # of the mean error: smaller ones are as good as none
CHUNK = 4096  # rows at once


@dataclass(frozen=True)
class Kernel:
    """The covariance of rows, by what they have in common with landmarks: the Matérn function of order 3/2.

    As the fully independent conditional, E. Snelson, Z. Ghahramani, Advances in Neural Information Processing Systems
    18 (2006) 1257: exact if all rows are landmarks, otherwise what landmarks do not say of a row is a row's own.

    Attributes:
        landmarks: (r, w).
        length: over which activations have to differ for rows to have little in common.
        root: (r, r), turns covariances with the landmarks into features whose products are covariances.
    """

    landmarks: Vector
    length: float
    root: Vector

    @classmethod
    def of(cls, landmarks: Vector, length: float) -> Self:
        """Return the kernel of some landmarks (r, w) and a length."""
        own = matern(distances(landmarks, landmarks) / length)
        factor = np.linalg.cholesky(own + JITTER * np.eye(len(own)))
        return cls(landmarks, length, solve_triangular(factor, np.eye(len(own)), lower=True).T)

    def features(self, activations: Array) -> Vector:
        """Return features (n, r) of rows: their products are covariances, their squares at most 1."""
        return matern(distances(activations, self.landmarks) / self.length) @ self.root


@dataclass(frozen=True)
class Belief:
    """What is known of what the source's model misses, after some measurements.

    It misses `centre + difficulty * process`, and measurements add noise. The mean is exact; of the variance, which is
    asked for more often and of more rows, landmarks tell.

    Attributes:
        kernel: the covariance of rows, without unit.
        noise: the variance of a measurement, in units of the covariance.
        difficulty: what errors are measured in at each place.
        centre: in the unit of the property.
        weights: (m,), of the covariances with the measured rows, whose sum is the mean of the process.
        covariance: (r, r), of the coefficients of the kernel's features.
    """

    kernel: Kernel
    noise: float
    difficulty: "Difficulty"
    centre: float
    weights: Vector
    covariance: Vector

    @classmethod
    def after(cls, measured: Array, missed: Vector, others: Array) -> Self:
        """Return what is known after some measurements.

        Args:
            measured: (m, w), the activations of measured rows, two or more.
            missed: (m,), what the source's model misses of them, in the unit of the property.
            others: (n, w), rows that it will be asked about; only the landmarks depend on them.
        """
        centre = float(np.median(missed))
        difficulty = Difficulty.of(measured, np.abs(missed - centre))
        wanted = (missed - centre) / difficulty.own
        length, noise = likeliest(measured, wanted)
        kernel = Kernel.of(_landmarks(measured, others), length)
        features = kernel.features(measured)
        precision = 1 / (noise + remainder(features))
        every = np.eye(features.shape[1])
        covariance = cho_solve(cho_factor(every + (features.T * precision) @ features, lower=True), every)
        exact = matern(distances(measured, measured) / length) + noise * np.eye(len(measured))
        weights = cho_solve(cho_factor(exact, lower=True), wanted)
        return cls(kernel, noise, difficulty, centre, weights, covariance)

    def missed(self, activations: Array) -> Vector:
        """Return what the source's model is expected to miss of rows (n,), in the unit of the property."""
        common = matern(distances(activations, self.difficulty.points) / self.kernel.length)
        expected: Vector = common @ self.weights
        return self.centre + self.difficulty.at(activations) * expected


@dataclass(frozen=True)
class Difficulty:
    """By how much the source's model goes wrong in the neighbourhood of a row.

    Attributes:
        points: (m, w), measured rows.
        logs: (m,), the logarithms of their errors.
        unit: of distances.
        own: (m,), the difficulty of the measured rows, in which the row's own error has no say.
    """

    points: Array
    logs: Vector
    unit: float
    own: Vector

    @classmethod
    def of(cls, points: Array, errors: Vector) -> Self:
        """Return it for measured rows (m, w) whose errors (m,) are known, in any unit."""
        apart = distances(points, points)
        np.fill_diagonal(apart, np.inf)
        unit = float(np.median(apart.min(axis=1))) or 1.0
        logs = np.log(errors / (errors.mean() or 1.0) + FLOOR)
        return cls(points, logs, unit, _smoothed(apart / unit, logs, len(points) - 1))

    def at(self, activations: Array) -> Vector:
        """Return the difficulty (n,) of rows."""
        return _smoothed(distances(activations, self.points) / self.unit, self.logs, len(self.points))


def likeliest(measured: Array, wanted: Vector) -> tuple[float, float]:
    """Return length and noise of the greatest marginal likelihood, on some of the measured rows.

    Args:
        measured: (m, w).
        wanted: (m,).
    """
    some = np.random.default_rng(0).permutation(len(measured))[:DRAWN]
    apart, values = distances(measured[some], measured[some]), wanted[some]
    unit = float(np.median(apart[np.triu_indices(len(some), 1)])) or 1.0
    best, found = np.inf, (unit, 1.0)
    for length in LENGTHS * unit:
        variances, axes = np.linalg.eigh(matern(apart / length))
        turned = (axes.T @ values) ** 2
        for noise in NOISES:
            total = np.maximum(variances, 0) + noise
            loss = len(some) * np.log(np.mean(turned / total)) + np.log(total).sum()
            if loss < best:
                best, found = loss, (float(length), float(noise))
    return found


def remainder(features: Vector) -> Vector:
    """Return the part of each row's variance (n,) that landmarks say nothing about."""
    left: Vector = np.maximum(1 - np.einsum("nr,nr->n", features, features), 0)
    return left


def distances(some: Array | Vector, others: Array | Vector) -> Vector:
    """Return the distances (n, m) of rows."""
    one, two = some.astype(np.float64), others.astype(np.float64)
    squares = np.einsum("nw,nw->n", one, one)[:, None] + np.einsum("mw,mw->m", two, two) - 2 * (one @ two.T)
    apart: Vector = np.sqrt(np.maximum(squares, 0))
    return apart


def matern(scaled: Vector) -> Vector:
    """Return the Matérn function of order 3/2 of distances in units of its length."""
    steep = np.sqrt(3) * scaled
    common: Vector = (1 + steep) * np.exp(-steep)
    return common


def _landmarks(measured: Array, others: Array) -> Vector:
    """Draw landmarks among measured rows and others, half of them each if there are enough of both."""
    draw = np.random.default_rng(0)
    half = max(LANDMARKS // 2, LANDMARKS - len(others))
    first = measured[np.sort(draw.permutation(len(measured))[:half])]
    rest = others[np.sort(draw.permutation(len(others))[: LANDMARKS - len(first)])]
    return np.concatenate([first, rest]).astype(np.float64)


def _smoothed(apart: Vector, logs: Vector, most: int) -> Vector:
    """Return the mean over the nearest measured rows (n,), by distances (n, m), of which so many count at most."""
    several = min(NEIGHBOURS, most)
    places = np.argpartition(apart, several - 1, axis=1)[:, :several]
    weights = 1 / (np.take_along_axis(apart, places, axis=1) + EVEN)
    smoothed: Vector = np.exp(np.sum(weights * logs[places], axis=1) / weights.sum(axis=1))
    return smoothed
