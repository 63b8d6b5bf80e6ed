"""A simulation in retrospect: how many measurements suggestions would have saved, had the laboratory followed them.

Some measured rows are held out. Of the others a few are measured at first; then one laboratory measures what is
suggested, another what the lot says, and both learn the same way from what they have measured. Nothing that chooses
sees the value of a row that was not measured by then. Shapes: n rows, s sizes, d draws.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tasks.errors import MatliftError
from tasks.parallel import run_parts
from tasks.progress import report
from tasks.suggest.belief import Belief, Rows, Vector
from tasks.suggest.choice import choose
from tasks.suggest.measured import Measured

FOLDS = 5  # each row is held out once in every draw
DRAWS = 5  # of folds, of the rows measured at first, and of the lot
STEPS = 12  # times that a laboratory measures what was suggested, then asks again
FIRST = 0.1  # of the measurements in the end are drawn by lot for both
LEAST = 100  # rows, below which nothing can be said
RESAMPLED = 1000  # times, for an interval

Limits = tuple[float, float] | None
Curves = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Simulation:
    """What came of it.

    Attributes:
        sizes: (s,), numbers of measurements.
        errors: (d, 2, s, n), absolute error of each row while it was held out: after random choice and as suggested.
    """

    sizes: Rows
    errors: Curves

    @property
    def curves(self) -> Curves:
        """The mean absolute errors (2, s): after random choice and as suggested."""
        means: Curves = self.errors.mean(axis=(0, 3))
        return means

    @property
    def spread(self) -> Curves:
        """Their standard deviations over the draws (2, s)."""
        spread: Curves = self.errors.mean(axis=3).std(axis=0, ddof=1)
        return spread

    @property
    def needed(self) -> float | None:
        """How many suggested measurements do what all of the random ones do; None if there are not as many."""
        return needed(self.sizes, self.curves)

    def interval(self) -> tuple[float, float]:
        """Return between which numbers of measurements that is, with 95 % confidence: both draws and rows resampled."""
        draw = np.random.default_rng(0)
        draws, rows = self.errors.shape[0], self.errors.shape[3]
        found = []
        for _ in range(RESAMPLED):
            again = self.errors[draw.integers(draws, size=draws)].mean(axis=0)
            counts = np.bincount(draw.integers(rows, size=rows), minlength=rows)
            found.append(needed(self.sizes, again @ counts / rows) or float(self.sizes[-1]))
        low, high = np.quantile(found, [0.025, 0.975])
        return float(low), float(high)


def simulate(measured: Measured, limits: Limits, draws: int = DRAWS) -> Simulation:
    """Simulate on all processors.

    Args:
        measured: the rows.
        limits: least and greatest value that there can be, if there are any.
        draws: how often each row is held out.

    Raises:
        MatliftError: there are too few rows.
    """
    if len(measured) < LEAST:
        raise MatliftError(
            f"{len(measured)} measurements are too few to simulate what suggestions save: that takes {LEAST}"
        )
    jobs = [(draw, fold) for draw in range(draws) for fold in range(FOLDS)]
    errors = np.empty((draws, 2, STEPS + 1, len(measured)))
    done = run_parts(_run, (measured, limits), jobs, label="simulate", libraries=["tasks.suggest.simulation"])
    for number, ((draw, _), (held_out, found)) in enumerate(zip(jobs, done, strict=True)):
        errors[draw][:, :, held_out] = found
        report("simulate", number + 1, len(jobs))
    return Simulation(sizes_of(len(measured)), errors)


def sizes_of(rows: int) -> Rows:
    """Return how many rows are measured at first and after each step: at last half of those not held out."""
    last = rows * (FOLDS - 1) // FOLDS // 2
    return np.round(np.geomspace(FIRST * last, last, STEPS + 1)).astype(np.int64)


def needed(sizes: Rows, curves: Curves) -> float | None:
    """Return from how many measurements on the second curve stays as low as the first ends; None if it does not."""
    goal, errors = curves[0, -1], curves[1]
    above = np.flatnonzero(errors > goal)
    place = int(above[-1]) + 1 if len(above) else 0
    if place == len(sizes):
        return None
    if not place:
        return float(sizes[0])
    share = (errors[place - 1] - goal) / (errors[place - 1] - errors[place])
    return float(sizes[place - 1] + share * (sizes[place] - sizes[place - 1]))


def _run(shared: tuple[Measured, Limits], job: tuple[int, int]) -> tuple[Rows, Curves]:
    with threadpool_limits(1):  # jobs share the processors
        return run_job(*shared, *job)


def run_job(measured: Measured, limits: Limits, draw: int, fold: int) -> tuple[Rows, Curves]:
    """Return the rows held out in a fold, and their errors (2, s, h), after random choice and as suggested."""
    lots = np.random.default_rng([draw, 0]).permutation(len(measured))
    held_out = np.sort(lots[fold::FOLDS])
    rest = np.setdiff1d(lots, held_out)
    order = rest[np.random.default_rng([draw, 1 + fold]).permutation(len(rest))]
    sizes = sizes_of(len(measured))
    by_lot = [_errors(measured, order[:size], order[size:], held_out, limits)[0] for size in sizes]
    suggested, taken = [], order[: sizes[0]]
    for size in (*sizes[1:], 0):
        left = np.setdiff1d(rest, taken)
        errors, belief = _errors(measured, taken, left, held_out, limits)
        suggested.append(errors)
        if size:
            chosen = islice(choose(belief, measured.activations[left]), int(size) - len(taken))
            taken = np.concatenate([taken, left[[one.place for one in chosen]]])
    return held_out, np.array([by_lot, suggested])


def _errors(measured: Measured, taken: Rows, left: Rows, held_out: Rows, limits: Limits) -> tuple[Vector, Belief]:
    """Return the errors of rows held out after some were measured, and what is known of those that are left."""
    known, others = measured.take(taken), measured.take(left)
    belief = Belief.after(known.activations, known.missed, others.activations)
    new = measured.take(held_out)
    predicted = new.direct + belief.missed(new.activations)
    if limits:
        predicted = np.clip(predicted, *limits)
    return np.abs(predicted - new.values), belief
