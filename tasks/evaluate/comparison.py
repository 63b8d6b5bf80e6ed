"""The comparison: every method on the same grouped folds, at every size of the training set.

A job is one fold at one size. What is chosen is chosen on part of its training rows; its held-out rows are only
predicted. Those of the full size are done in two pieces, so that no processor waits long for another.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tasks.evaluate.baselines import BASELINES
from tasks.evaluate.choices import Choices, choose
from tasks.evaluate.folds import Rows, grouped_folds, keep_apart, subset
from tasks.featurize import Table
from tasks.learn import Choice, Fitted, fit_choice
from tasks.parallel import run_chunks
from tasks.recipe import Evaluation, Transfer

Vector = npt.NDArray[np.float64]
Files = dict[str, bytes]

TRANSFER = "transfer"  # the method that is chosen in each fold, of those that use the source


@dataclass(frozen=True)
class Setting:
    """What all jobs share.

    Attributes:
        weights: the checkpoint's weights.safetensors.
        about: the checkpoint's model.json.
        target: the target's features.
        transfer: how to fit.
        evaluation: folds, repeats, sizes and seed.
        limits: least and greatest value that there can be, if there are such.
        kept: choices that were made before, of the jobs that need not make their own.
    """

    weights: bytes
    about: bytes
    target: Table
    transfer: Transfer
    evaluation: Evaluation
    limits: tuple[float, float] | None = None
    kept: Mapping["Job", Choices] = field(default_factory=dict)

    def folds(self, repeat: int = 0) -> Rows:
        """Return the fold of each row of the target, drawn anew in each repeat."""
        seed = self.evaluation.seed
        return grouped_folds(self.target.keys, self.evaluation.folds, f"{seed}/{repeat}" if repeat else seed)

    def split(self, job: "Job") -> tuple[Rows, Rows]:
        """Return the rows of the target that a job trains on, and those that it holds out."""
        folds = self.folds(job.repeat)
        rows, held_out = np.flatnonzero(folds != job.fold), np.flatnonzero(folds == job.fold)
        if job.size is not None:
            rows = subset(rows, self.target.keys, job.size, f"{self.evaluation.seed}/{job.draw}")
        return rows, held_out

    def seed(self, job: "Job") -> int:
        """Return what tells the fits of a job from those of the others."""
        return job.fold + self.evaluation.folds * job.draw

    def source(self) -> Fitted:
        """Return the source's model, which predicts nothing beyond the limits; nor will what is made of it."""
        return replace(Fitted.from_files(self.weights, self.about), limits=self.limits)


@dataclass(frozen=True)
class Job:
    """One fold at one size.

    Attributes:
        fold: the one held out.
        size: training rows; None for all that the other folds have.
        draw: which of several training sets of that size; of the full size, which of several repeats, each with folds
            of its own.
    """

    fold: int
    size: int | None
    draw: int = 0

    @property
    def repeat(self) -> int:
        """Which repeat the folds are of."""
        return self.draw if self.size is None else 0


class Predicted(NamedTuple):
    """What some methods predicted of the held-out rows of a job, and the seconds that each took to fit and predict."""

    predictions: dict[str, Vector]
    seconds: dict[str, float]

    def add(self, method: str, predicted: Callable[[], Vector]) -> None:
        """Add what a method predicts."""
        start = time.perf_counter()
        self.predictions[method] = predicted()
        self.seconds[method] = time.perf_counter() - start


@dataclass(frozen=True)
class Outcome:
    """What came of one job.

    Attributes:
        job: which one.
        trained_on: number of training rows.
        held_out: rows of the target that were predicted.
        predictions: for each method, of the held-out rows in that order.
        choices: made inside of the training rows; the best of them is TRANSFER.
        seconds: each method took to fit and predict, without the choice.
    """

    job: Job
    trained_on: int
    held_out: Rows
    predictions: dict[str, Vector]
    choices: Choices
    seconds: dict[str, float]

    def joined(self, others: Predicted) -> "Outcome":
        """Return the outcome with the methods that do not use the source, scratch in the place next to transfer."""
        first = {TRANSFER: self.predictions[TRANSFER], "scratch": others.predictions["scratch"]}
        predictions = {**first, **self.predictions, **others.predictions}
        return replace(self, predictions=predictions, seconds={**self.seconds, **others.seconds})


class Piece(NamedTuple):
    """What one process does at a time.

    Attributes:
        job: which one; None for the model from scratch on all rows.
        source: of a job of the full size, whether this is the part that uses the source, or the other one.
    """

    job: Job | None = None
    source: bool = True


def run_jobs(setting: Setting) -> tuple[list[Outcome], Files]:
    """Run every fold at every size, the largest first, on all processors; and fit scratch on all rows beside them.

    Returns:
        The outcomes, and the files of that model: it is the rival by which the certainty of predictions is told.
    """
    plan, folds = setting.evaluation, setting.folds()
    least = len(folds) - int(np.bincount(folds).max())
    full = [Job(fold, None, repeat) for repeat in range(plan.repeats) for fold in range(plan.folds)]
    smaller = [
        Job(fold, size, draw)
        for size in sorted((size for size in plan.sizes if size < least), reverse=True)
        for draw in range(min(plan.draws, least // size))
        for fold in range(plan.folds)
    ]
    pieces = [*map(Piece, full), *(Piece(job, source=False) for job in full), Piece(), *map(Piece, smaller)]
    results = run_chunks(partial(_run, setting), pieces, chunk=1, label="compare")
    done: dict[Piece, Any] = dict(zip(pieces, (result for chunk in results for result in chunk), strict=True))
    outcomes = [done[Piece(job)].joined(done[Piece(job, source=False)]) for job in full]
    return [*outcomes, *(done[Piece(job)] for job in smaller)], done[Piece()]


def _run(setting: Setting, pieces: Sequence[Piece]) -> list[Outcome | Predicted | Files]:
    with threadpool_limits(1):  # pieces share the processors: threads of each would wait for those of the others
        return [_run_piece(setting, piece) for piece in pieces]


def _run_piece(setting: Setting, piece: Piece) -> Outcome | Predicted | Files:
    if piece.job is None:
        return fit_all(Choice("scratch"), setting)
    if piece.job.size is not None:
        return run_job(setting, piece.job)
    return _with_source(setting, piece.job) if piece.source else _without_source(setting, piece.job)


def fit_all(choice: Choice, setting: Setting) -> Files:
    """Return the files of a model that is fitted on all rows of the target."""
    return fit_choice(choice, setting.source(), setting.target, setting.transfer, seed=0).files()


def run_job(setting: Setting, job: Job) -> Outcome:
    """Fit and predict one fold at one size: all methods at the full size, transfer and scratch at a smaller one."""
    outcome = _with_source(setting, job)
    if job.size is None:
        return outcome.joined(_without_source(setting, job))
    found = {TRANSFER: outcome.predictions[TRANSFER], **_scratch(setting, job).predictions}
    return replace(outcome, predictions=found)


def _with_source(setting: Setting, job: Job) -> Outcome:
    """Make the choices, and fit and predict by the methods that use the source; at a smaller size by the best alone."""
    rows, held_out = setting.split(job)
    training, test = setting.target.take(rows), setting.target.take(held_out)
    keep_apart(training, test)
    source, full = setting.source(), job.size is None
    choices = setting.kept.get(job) or choose(source, training, setting.transfer, setting.seed(job), scratch=full)
    best, stack = choices.best, choices.stack
    others = [choice for choice in choices.inner if choice.method not in {"scratch", "fine-tune", "stack"}]
    parts = [choice for choice, _ in stack.parts] if best == stack else [best]
    found = Predicted({}, {})
    for choice in [*others, choices.tuned] if full else parts:
        found.add(choice.method, _fitting(setting, job, choice, training, test))
    if full or best == stack:
        terms = [weight * found.predictions[choice.method] for choice, weight in stack.parts]
        found.predictions[stack.method] = np.sum(terms, axis=0)
        found.seconds[stack.method] = sum(found.seconds[choice.method] for choice, _ in stack.parts)
    predictions = {TRANSFER: found.predictions[best.method], **found.predictions}
    return Outcome(job, len(rows), held_out, predictions, choices, found.seconds)


def _scratch(setting: Setting, job: Job) -> Predicted:
    """Fit and predict from scratch."""
    training, test = (setting.target.take(rows) for rows in setting.split(job))
    found = Predicted({}, {})
    found.add("scratch", _fitting(setting, job, Choice("scratch"), training, test))
    return found


def _without_source(setting: Setting, job: Job) -> Predicted:
    """Fit and predict by the methods that do not use the source: scratch, and the plain ones."""
    training, test = (setting.target.take(rows) for rows in setting.split(job))
    source, found = setting.source(), _scratch(setting, job)
    for name, baseline in BASELINES.items():
        found.add(name, lambda baseline=baseline: source.within(baseline(training, test)))  # type: ignore[misc]
    return found


def _fitting(setting: Setting, job: Job, choice: Choice, training: Table, test: Table) -> Callable[[], Vector]:
    """Return what fits a method and predicts."""
    return lambda: fit_choice(choice, setting.source(), training, setting.transfer, setting.seed(job)).predict(test)
