"""The comparison: every method on the same grouped folds, at every size of the training set.

A job is one fold at one size. Inside it the number of frozen layers is chosen on part of its training rows; its
held-out rows are only predicted.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tasks.evaluate.baselines import BASELINES
from tasks.evaluate.folds import Rows, grouped_folds, keep_apart, subset
from tasks.featurize import Table
from tasks.learn import Choice, Fitted, fit_choice, fit_weights
from tasks.parallel import run_chunks
from tasks.recipe import Evaluation, Transfer

Vector = npt.NDArray[np.float64]

INNER_FOLDS = 5
TRANSFER = "transfer"  # the method that is chosen in each fold, of those that use the source
STACK = Choice("stack")  # whose weights differ from fold to fold
VALIDATING = 100  # rows at least on which a choice is made, if there are as many


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
    """

    weights: bytes
    about: bytes
    target: Table
    transfer: Transfer
    evaluation: Evaluation
    limits: tuple[float, float] | None = None

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
        inner: mean absolute error of each candidate on the validating part of the training rows.
        stack: of all that use the source, weighted as that part has it.
        chosen: of those that use the source, the one that `_beats` fine-tuning by most, or this: it is TRANSFER.
        seconds: each method took to fit and predict, without the choice.
    """

    job: Job
    trained_on: int
    held_out: Rows
    predictions: dict[str, Vector]
    inner: dict[Choice, float]
    stack: Choice
    chosen: Choice
    seconds: dict[str, float]


@dataclass(frozen=True)
class Tried:
    """What candidates predicted of training rows that they were not fitted on.

    Attributes:
        values: (n,), measured.
        keys: (n,), the group of each row.
        predictions: (n,) of each candidate.
    """

    values: Vector
    keys: npt.NDArray[np.object_]
    predictions: dict[Choice, Vector]

    def missed(self) -> dict[Choice, Vector]:
        """Return the absolute errors (n,) of each candidate."""
        return {choice: np.abs(predicted - self.values) for choice, predicted in self.predictions.items()}


def run_jobs(setting: Setting) -> list[Outcome]:
    """Run every fold at every size, the largest first, on all processors."""
    folds = setting.folds()
    least = len(folds) - int(np.bincount(folds).max())
    sizes: list[int | None] = [None, *sorted((size for size in setting.evaluation.sizes if size < least), reverse=True)]
    jobs = [
        Job(fold, size, draw)
        for size in sizes
        for draw in range(setting.evaluation.repeats if size is None else min(setting.evaluation.draws, least // size))
        for fold in range(setting.evaluation.folds)
    ]
    outcomes = run_chunks(partial(_run, setting), jobs, chunk=1, label="compare")
    return [outcome for chunk in outcomes for outcome in chunk]


def _run(setting: Setting, jobs: Sequence[Job]) -> list[Outcome]:
    with threadpool_limits(1):  # jobs share the processors: threads of each would wait for those of the others
        return [run_job(setting, job) for job in jobs]


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
    tuned = [Choice("fine-tune", layers) for layers in setting.transfer.freeze]
    others = [Choice("direct"), Choice("featurizer"), Choice("difference"), *map(Choice, setting.transfer.variants)]
    predictions: dict[str, Vector] = {}
    seconds: dict[str, float] = {}

    def predict(method: str, predicted: Callable[[], Vector]) -> None:
        start = time.perf_counter()
        predictions[method] = predicted()
        seconds[method] = time.perf_counter() - start

    scratch = Choice("scratch")
    first = [scratch] if job.size is None else []
    tried = validate([*first, *others, *tuned], source, training, setting.transfer, seed)
    missed = tried.missed()
    frozen = min(tuned, key=lambda choice: float(missed[choice].mean()))
    stack, missed[STACK] = weigh(tried, [*others, frozen], seed)
    inner = {choice: float(errors.mean()) for choice, errors in missed.items()}
    rivals = [choice for choice in (*others, STACK) if _beats(missed[choice], missed[frozen])]
    best = min([frozen, *rivals], key=lambda choice: inner[choice])
    parts = [choice for choice, _ in stack.parts] if best == STACK else [best]
    for choice in [scratch, *others, frozen] if job.size is None else [scratch, *parts]:
        fitted = partial(fit_choice, choice, source, training, setting.transfer, seed)
        predict(choice.method, lambda fitted=fitted: fitted().predict(test))  # type: ignore[misc]
    if job.size is None or best == STACK:
        terms = [weight * predictions[choice.method] for choice, weight in stack.parts]
        predictions[STACK.method] = np.sum(terms, axis=0)
        seconds[STACK.method] = sum(seconds[choice.method] for choice, _ in stack.parts)
    predictions = {TRANSFER: predictions[best.method]} | predictions
    if job.size is not None:
        predictions = {method: predictions[method] for method in (TRANSFER, scratch.method)}
    for name, baseline in BASELINES.items() if job.size is None else ():
        predict(name, lambda baseline=baseline: source.within(baseline(training, test)))  # type: ignore[misc]
    return Outcome(job, len(rows), held_out, predictions, inner, stack, stack if best == STACK else best, seconds)


def _beats(errors: Vector, usual: Vector) -> bool:
    """Tell whether errors are less than the usual ones by more than the standard error of their mean difference.

    Of several methods on a few rows, the one with the least error is often not the best but the luckiest: the rule of
    one standard error, L. Breiman et al., Classification and Regression Trees, 1984, doi:10.1201/9781315139470.
    """
    gain = usual - errors
    return bool(gain.mean() > gain.std() / math.sqrt(len(gain)))


def weigh(tried: Tried, choices: Sequence[Choice], seed: int) -> tuple[Choice, Vector]:
    """Return the stack of some choices, and its absolute errors (n,) with weights that the row had no say in."""
    predictions = np.column_stack([tried.predictions[choice] for choice in choices])
    folds = grouped_folds(tried.keys, INNER_FOLDS, f"stack:{seed}")
    missed = np.empty(len(folds))
    for fold in np.unique(folds):
        aside = folds == fold
        weights = fit_weights(predictions[~aside], tried.values[~aside])
        missed[aside] = np.abs(predictions[aside] @ weights - tried.values[aside])
    weights = fit_weights(predictions, tried.values)
    return Choice.stack(dict(zip(choices, weights.tolist(), strict=True))), missed


def validate(choices: Sequence[Choice], source: Fitted, training: Table, plan: Transfer, seed: int) -> Tried:
    """Return what each choice predicts of training rows that it was not fitted on, the same rows for all.

    One inner fold validates if there are many rows; of few rows all folds do in turn, until a hundred rows have spoken.
    """
    folds = grouped_folds(training.keys, INNER_FOLDS, f"inner:{seed}")
    turns = min(INNER_FOLDS, math.ceil(VALIDATING * INNER_FOLDS / len(training)))
    predictions: dict[Choice, list[Vector]] = {choice: [] for choice in choices}
    for fold in range(turns):
        fitting, aside = training.take(np.flatnonzero(folds != fold)), training.take(np.flatnonzero(folds == fold))
        keep_apart(fitting, aside)
        for choice in choices:
            predictions[choice].append(fit_choice(choice, source, fitting, plan, seed).predict(aside))
    judged = training.take(np.concatenate([np.flatnonzero(folds == fold) for fold in range(turns)]))
    return Tried(judged.values, judged.keys, {choice: np.concatenate(parts) for choice, parts in predictions.items()})
