"""The comparison: every method on the same grouped folds, at every size of the training set.

A job is one fold at one size. What is chosen is chosen on part of its training rows; its held-out rows are only
predicted.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

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


def run_jobs(setting: Setting) -> tuple[list[Outcome], Files]:
    """Run every fold at every size, the largest first, on all processors; and fit scratch on all rows beside them.

    Returns:
        The outcomes, and the files of that model: it is the rival by which the certainty of predictions is told.
    """
    folds = setting.folds()
    least = len(folds) - int(np.bincount(folds).max())
    sizes: list[int | None] = [None, *sorted((size for size in setting.evaluation.sizes if size < least), reverse=True)]
    jobs: list[Job | None] = [
        Job(fold, size, draw)
        for size in sizes
        for draw in range(setting.evaluation.repeats if size is None else min(setting.evaluation.draws, least // size))
        for fold in range(setting.evaluation.folds)
    ]
    jobs.insert(setting.evaluation.folds * setting.evaluation.repeats, None)  # it takes as long as those before it
    done = [result for chunk in run_chunks(partial(_run, setting), jobs, chunk=1, label="compare") for result in chunk]
    (scratch,) = (result for result in done if not isinstance(result, Outcome))
    return [result for result in done if isinstance(result, Outcome)], scratch


def _run(setting: Setting, jobs: Sequence[Job | None]) -> list[Outcome | Files]:
    with threadpool_limits(1):  # jobs share the processors: threads of each would wait for those of the others
        return [run_job(setting, job) if job else fit_all(Choice("scratch"), setting) for job in jobs]


def fit_all(choice: Choice, setting: Setting) -> Files:
    """Return the files of a model that is fitted on all rows of the target."""
    return fit_choice(choice, setting.source(), setting.target, setting.transfer, seed=0).files()


def run_job(setting: Setting, job: Job) -> Outcome:
    """Fit and predict one fold at one size."""
    folds = setting.folds(job.repeat)
    rows, held_out = np.flatnonzero(folds != job.fold), np.flatnonzero(folds == job.fold)
    if job.size is not None:
        rows = subset(rows, setting.target.keys, job.size, f"{setting.evaluation.seed}/{job.draw}")
    training, test = setting.target.take(rows), setting.target.take(held_out)
    keep_apart(training, test)
    source = setting.source()
    seed = job.fold + setting.evaluation.folds * job.draw
    predictions: dict[str, Vector] = {}
    seconds: dict[str, float] = {}

    def predict(method: str, predicted: Callable[[], Vector]) -> None:
        start = time.perf_counter()
        predictions[method] = predicted()
        seconds[method] = time.perf_counter() - start

    scratch, full = Choice("scratch"), job.size is None
    choices = setting.kept.get(job) or choose(source, training, setting.transfer, seed, scratch=full)
    best, stack = choices.best, choices.stack
    parts = [choice for choice, _ in stack.parts] if best == stack else [best]
    others = [choice for choice in choices.inner if choice.method not in {"scratch", "fine-tune", "stack"}]
    for choice in [scratch, *others, choices.tuned] if full else [scratch, *parts]:
        fitted = partial(fit_choice, choice, source, training, setting.transfer, seed)
        predict(choice.method, lambda fitted=fitted: fitted().predict(test))  # type: ignore[misc]
    if full or best == stack:
        terms = [weight * predictions[choice.method] for choice, weight in stack.parts]
        predictions[stack.method] = np.sum(terms, axis=0)
        seconds[stack.method] = sum(seconds[choice.method] for choice, _ in stack.parts)
    predictions = {TRANSFER: predictions[best.method]} | predictions
    if not full:
        predictions = {method: predictions[method] for method in (TRANSFER, scratch.method)}
    for name, baseline in BASELINES.items() if full else ():
        predict(name, lambda baseline=baseline: source.within(baseline(training, test)))  # type: ignore[misc]
    return Outcome(job, len(rows), held_out, predictions, choices, seconds)
