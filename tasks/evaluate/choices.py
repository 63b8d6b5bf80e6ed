"""Choices inside the training rows: the number of frozen layers, the weights of the stack, the method that is transfer.

They may be kept: a fold's rows are the same ones later, but for what is new, so a choice that was made without the fold
is a choice made without its new rows, too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.evaluate.folds import grouped_folds, keep_apart
from tasks.featurize import Table
from tasks.learn import Choice, Fitted, fit_choice, fit_weights
from tasks.recipe import Transfer

Vector = npt.NDArray[np.float64]

INNER_FOLDS = 5
STACK = Choice("stack")  # whose weights differ from fold to fold
VALIDATING = 100  # rows at least on which a choice is made, if there are as many


@dataclass(frozen=True)
class Choices:
    """What was chosen inside the training rows of a job.

    Attributes:
        inner: mean absolute error of each candidate on the validating part of the training rows.
        stack: of all that use the source, weighted as that part has it.
        best: of those that use the source, the one that `_beats` fine-tuning by most, or this.
    """

    inner: dict[Choice, float]
    stack: Choice
    best: Choice

    @property
    def tuned(self) -> Choice:
        """The fine-tuning with the best number of frozen layers."""
        return min(
            (choice for choice in self.inner if choice.method == "fine-tune"), key=lambda choice: self.inner[choice]
        )

    def state(self) -> dict[str, Any]:
        """Return what makes the same choices again, for JSON."""
        inner = [{**state_of(choice), "mae": mae} for choice, mae in self.inner.items()]
        return {"inner": inner, "stack": state_of(self.stack), "best": state_of(self.best)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Choices":
        """Make choices again from what `state` returned."""
        inner = {_from_state(one): one["mae"] for one in state["inner"]}
        return cls(inner, _from_state(state["stack"]), _from_state(state["best"]))


def state_of(choice: Choice) -> dict[str, Any]:
    """Return a choice for a JSON file."""
    parts = [{"method": part.method, "frozen": part.frozen, "weight": weight} for part, weight in choice.parts]
    return {"method": choice.method, "frozen": choice.frozen, "parts": parts}


def _from_state(state: Mapping[str, Any]) -> Choice:
    parts = tuple((Choice(part["method"], part["frozen"]), part["weight"]) for part in state["parts"])
    return Choice(state["method"], state["frozen"], parts)


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


def choose(source: Fitted, training: Table, plan: Transfer, seed: int, *, scratch: bool) -> Choices:
    """Choose by what each candidate predicts of training rows that it was not fitted on.

    Args:
        source: the pretrained model.
        training: rows of the target.
        plan: how to train, and what there is to choose from.
        seed: of the parts of the training rows.
        scratch: whether training from scratch is judged beside, which is never the best of those that use the source.
    """
    tuned = [Choice("fine-tune", layers) for layers in plan.freeze]
    others = [Choice("direct"), Choice("featurizer"), Choice("difference"), *map(Choice, plan.variants)]
    first = [Choice("scratch")] if scratch else []
    tried = validate([*first, *others, *tuned], source, training, plan, seed)
    missed = tried.missed()
    frozen = min(tuned, key=lambda choice: float(missed[choice].mean()))
    stack, missed[STACK] = weigh(tried, [*others, frozen], seed)
    inner = {choice: float(errors.mean()) for choice, errors in missed.items()}
    rivals = [choice for choice in (*others, STACK) if _beats(missed[choice], missed[frozen])]
    best = min([frozen, *rivals], key=lambda choice: inner[choice])
    return Choices(inner, stack, stack if best == STACK else best)


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
