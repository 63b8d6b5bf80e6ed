"""Gaussian-process regression on what a network represents of rows, and on the rows' features themselves.

Shapes: n training rows, m others, w units of the representation, p features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

Vector = npt.NDArray[np.float64]

DRAWN = 500  # rows at most, on which the parameters are found; all are used then
SPREAD = 500  # rows at most, whose median distance is the unit of distance
PRIOR = 0.1  # inverse variance of the logarithms of the parameters, which keeps them finite
START = np.log([0.5, 1, 0.5, 1, 0.3])  # of height and length in each space, and of the noise
# Between which they are looked for: with heights of more, or noise of less, the covariance cannot be told from one that
# has no inverse, and a step of the search may try anything.
BOUNDS = np.log([(1e-2, 1e2), (1e-2, 1e2), (1e-2, 1e2), (1e-2, 1e2), (1e-2, 1e1)])
STEPS = 25
ROUNDS = 2  # of fitting again with more noise on rows that were missed by far
SURE = 1.5  # standard deviations, beyond which a row has more noise
SIGMA = 1.4826  # times the median absolute deviation is the standard deviation of a normal distribution


@dataclass(frozen=True)
class Process:
    """The mean of a Gaussian process on two spaces at once: a network's representation, and the features.

    The covariance of two rows is the sum over both spaces of a Matérn function of order 3/2 of their distance there,
    each with a height and a length of its own (C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine
    Learning, 2006, ISBN 0-262-18253-X): what the source taught the network nothing about, the features show.

    Attributes:
        points: (n, w) and (n, p), the training rows in both spaces, in units of the lengths.
        lengths: of both spaces.
        heights: the variances of both terms.
        weights: (n,), of the covariances with each training row.
    """

    points: tuple[Tensor, Tensor]
    lengths: tuple[float, float]
    heights: tuple[float, float]
    weights: Tensor

    @classmethod
    def fit(cls, represented: Tensor, features: Tensor, values: Tensor, seed: int) -> Self:
        """Fit to values of mean zero, with the parameters of the greatest marginal likelihood on some of the rows.

        Rows that the others miss by far get more noise, as in M-estimation (P. J. Huber, Ann. Math. Statist. 35 (1964)
        73, doi:10.1214/aoms/1177703732): tables of measurements have errors.

        Args:
            represented: (n, w).
            features: (n, p).
            values: (n,).
            seed: of which rows are drawn.
        """
        draw = torch.from_numpy(np.random.default_rng(seed).permutation(len(values)))
        spaces = [represented.double(), features.double()]
        medians = [_median_distance(space[draw[:SPREAD]]) for space in spaces]
        distances = [torch.cdist(space, space) / median for space, median in zip(spaces, medians, strict=True)]
        scale = float(values.double().std(correction=0)) or 1.0
        wanted, noise = values.double() / scale, torch.ones(len(values), dtype=torch.float64)
        some, parameters = draw[:DRAWN], START
        few = [distance[some][:, some] for distance in distances]
        for again in range(1 + ROUNDS):
            parameters = _likeliest(few, wanted[some], noise[some], parameters)
            factor = torch.linalg.cholesky(_noisy(distances, noise, torch.from_numpy(parameters)))
            weights = torch.cholesky_solve(wanted[:, None], factor)[:, 0]
            if again < ROUNDS:
                missed = (weights / torch.cholesky_inverse(factor).diagonal()).abs()  # by all others
                noise = (missed / (SURE * SIGMA * missed.median()).clamp(min=1e-9)).clamp(min=1)
        first, second = (
            median * float(np.exp(parameters[place])) for median, place in zip(medians, (1, 3), strict=True)
        )
        return cls(
            points=((represented / first).float(), (features / second).float()),
            lengths=(first, second),
            heights=(float(np.exp(2 * parameters[0])), float(np.exp(2 * parameters[2]))),
            weights=weights * scale,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return what is kept in a file of tensors."""
        represented, features = self.points
        return {"process.represented": represented, "process.features": features, "process.weights": self.weights}

    def about(self) -> dict[str, list[float]]:
        """Return the rest, for a JSON file."""
        return {"lengths": list(self.lengths), "heights": list(self.heights)}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], about: Mapping[str, list[float]]) -> Self:
        """Make the process again from what `tensors` and `about` gave."""
        points = tensors["process.represented"], tensors["process.features"]
        lengths, heights = about["lengths"], about["heights"]
        return cls(points, (lengths[0], lengths[1]), (heights[0], heights[1]), tensors["process.weights"])

    def predict(self, represented: Tensor, features: Tensor) -> Tensor:
        """Return the mean (m,) for the representation (m, w) and the features (m, p) of rows, in double precision."""
        parts = zip((represented, features), self.points, self.lengths, self.heights, strict=True)
        terms = [
            height * _matern(torch.cdist(rows.double() / length, points.double()))
            for rows, points, length, height in parts
        ]
        return torch.stack(terms).sum(dim=0) @ self.weights


def _matern(distances: Tensor) -> Tensor:
    """Return the Matérn function of order 3/2 of distances in units of its length."""
    scaled = 3**0.5 * distances
    return (1 + scaled) * torch.exp(-scaled)


def _noisy(distances: Sequence[Tensor], noise: Tensor, parameters: Tensor) -> Tensor:
    """Return the covariance (n, n) of rows, with its noise.

    Args:
        distances: (n, n) in each space.
        noise: (n,), variance of each row in units of that of most.
        parameters: (5,), the logarithms of height and length in each space, and of the noise.
    """
    terms = [
        torch.exp(2 * parameters[2 * place]) * _matern(distance * torch.exp(-parameters[2 * place + 1]))
        for place, distance in enumerate(distances)
    ]
    return torch.stack(terms).sum(dim=0) + torch.diag(torch.exp(2 * parameters[4]) * noise)


def _likeliest(distances: Sequence[Tensor], wanted: Tensor, noise: Tensor, start: Vector) -> Vector:
    """Return the parameters (5,) of the greatest marginal likelihood, as `_noisy` takes them."""

    def loss(parameters: Vector) -> tuple[float, Vector]:
        at = torch.tensor(parameters, requires_grad=True)
        factor = torch.linalg.cholesky(_noisy(distances, noise, at))
        solved = torch.cholesky_solve(wanted[:, None], factor)[:, 0]
        missed = wanted @ solved / 2 + factor.diagonal().log().sum() + PRIOR * (at**2).sum() / 2
        missed.backward()
        assert at.grad is not None  # noqa: S101 -- for mypy: backward has just set it
        return missed.item(), at.grad.numpy()

    found: Vector = minimize(
        loss, start, jac=True, bounds=BOUNDS.tolist(), method="L-BFGS-B", options={"maxiter": STEPS}
    ).x
    return found


def _median_distance(space: Tensor) -> float:
    """Return the median distance of different rows; 1 if that is nothing, or if there is one row."""
    return (float(torch.pdist(space).median()) if len(space) > 1 else 0) or 1.0
