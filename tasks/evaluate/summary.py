"""What the comparison says: metrics of each method, differences with intervals, the learning curve, the best choice."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluate.choices import STACK, state_of
from tasks.evaluate.comparison import TRANSFER, Outcome
from tasks.evaluate.metrics import Curve, errors, paired_difference, size_for_error, size_intervals
from tasks.featurize import Table
from tasks.learn import Choice, worth_a_fit

Mask = npt.NDArray[np.bool_]

COMPARED = (TRANSFER, "scratch")
DIFFERENCE = " - ".join(COMPARED)


def predictions_table(outcomes: Sequence[Outcome], target: Table, in_source: Mask) -> pd.DataFrame:
    """Return each row of the target with its value, its fold and what each method predicted while it was held out.

    Args:
        outcomes: of one size and draw; each row of the target is held out in exactly one of them.
        target: the target's features.
        in_source: (n,) whether the source has a row of the same key.
    """
    parts = [
        pd.DataFrame({**outcome.predictions, "fold": outcome.job.fold}, index=outcome.held_out) for outcome in outcomes
    ]
    rows = pd.DataFrame({"record": target.records, "key": target.keys, "value": target.values, "in_source": in_source})
    return rows.join(pd.concat(parts), validate="one_to_one")


def summarise(outcomes: Sequence[Outcome], target: Table, in_source: Mask, seed: int) -> dict[str, Any]:
    """Return the metrics: of all held-out rows, and again of those whose key the source does not have.

    Args:
        outcomes: of every fold at every size and draw.
        target: the target's features.
        in_source: (n,) whether the source has a row of the same key.
        seed: of the bootstrap.
    """
    by_size = {
        size: _all_draws(list(group), target, in_source)
        for size, group in groupby(sorted(outcomes, key=_size), key=_size)
    }
    full = [outcome for outcome in outcomes if outcome.job.size is None]
    table = by_size[_size(full[0])]
    return {
        "rows": {"all": len(target), "not in source": int(np.sum(~in_source))},
        "methods": _methods(table),
        "differences": {DIFFERENCE: _difference(table, seed)},
        "not in source": _not_in_source(table, seed),
        "learning_curve": _curve(by_size, outcomes, seed),
        "best": {**state_of(best_choice(full)), "inner_mae": {_label(c): e for c, e in _inner(full).items()}},
    }


def _all_draws(outcomes: Sequence[Outcome], target: Table, in_source: Mask) -> pd.DataFrame:
    """Return the predictions of one size: each row of the target as many times as there are draws or repeats."""
    draws = sorted({outcome.job.draw for outcome in outcomes})
    tables = [predictions_table([o for o in outcomes if o.job.draw == draw], target, in_source) for draw in draws]
    folds = 1 + max(outcome.job.fold for outcome in outcomes)
    if outcomes[0].job.size is None:  # folds of another repeat are other folds
        tables = [table.assign(fold=table["fold"] + folds * draw) for draw, table in enumerate(tables)]
    return pd.concat(tables, ignore_index=True)


def best_choice(outcomes: Sequence[Outcome], *, scratch: bool = True) -> Choice:
    """Return the choice with the least mean error on the validating parts of the training rows, over the folds.

    Args:
        outcomes: of the full size.
        scratch: whether training from scratch may be chosen.
    """
    inner = _inner(outcomes)
    best = min((choice for choice in inner if scratch or choice.method != "scratch"), key=lambda choice: inner[choice])
    return _mean_stack(outcomes) if best == STACK else best


def _mean_stack(outcomes: Sequence[Outcome]) -> Choice:
    """Return the stack with the mean weights of all folds; fine-tuning is that of the least inner error."""
    inner = _inner(outcomes)
    tuned = min((choice for choice in inner if choice.method == "fine-tune"), key=lambda choice: inner[choice])
    weights: dict[Choice, float] = defaultdict(float)
    for outcome in outcomes:
        for choice, weight in outcome.choices.stack.parts:
            weights[tuned if choice.method == "fine-tune" else choice] += weight / len(outcomes)
    shares = worth_a_fit(np.array(list(weights.values())))
    return Choice.stack(dict(zip(weights, shares.tolist(), strict=True)))


def _inner(outcomes: Sequence[Outcome]) -> dict[Choice, float]:
    return {choice: float(np.mean([o.choices.inner[choice] for o in outcomes])) for choice in outcomes[0].choices.inner}


def _label(choice: Choice) -> str:
    return f"{choice.method}, {choice.frozen} frozen" if choice.method == "fine-tune" else choice.method


def _size(outcome: Outcome) -> float:
    """Return the size for sorting: that of all training rows is the largest."""
    return float("inf") if outcome.job.size is None else outcome.job.size


def _methods(table: pd.DataFrame) -> dict[str, Any]:
    """Return the errors of each method in a table of predictions."""
    values, folds = table["value"].to_numpy(), table["fold"].to_numpy()
    methods = [name for name in table.columns if name not in {"record", "key", "value", "in_source", "fold"}]
    return {method: errors(values, table[method].to_numpy(), folds) for method in methods}


def _difference(table: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the difference of the absolute errors of the two methods compared, with its interval."""
    first, second = ((table[method] - table["value"]).abs().to_numpy() for method in COMPARED)
    return paired_difference(first, second, table["key"].to_numpy(object), seed)


def _not_in_source(table: pd.DataFrame, seed: int) -> dict[str, Any] | None:
    """Return the metrics of the rows whose key the source does not have; None if it has all."""
    if table["in_source"].all():
        return None
    return {"methods": _methods(_unseen(table)), "differences": {DIFFERENCE: _difference(_unseen(table), seed)}}


def _unseen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose key the source does not have."""
    return table[~table["in_source"]]


def _curve(by_size: dict[float, pd.DataFrame], outcomes: Sequence[Outcome], seed: int) -> list[dict[str, Any]]:
    """Return a point for each size: both errors, their difference, and the rows that scratch needs to be as good."""
    points: list[dict[str, Any]] = []
    for size, table in by_size.items():
        of_size = [outcome for outcome in outcomes if _size(outcome) == size]
        methods = _methods(table)
        points.append(
            {
                "size": round(float(np.mean([outcome.trained_on for outcome in of_size]))),
                **{name: {key: methods[name][key] for key in ("mae", "median", "mae_per_fold")} for name in COMPARED},
                "chosen": [_label(outcome.choices.best) for outcome in of_size],
                "difference": _difference(table, seed),
                "difference not in source": None if table["in_source"].all() else _difference(_unseen(table), seed),
            }
        )
    sizes = [point["size"] for point in points]
    maes = [point["scratch"]["mae"] for point in points]
    curves = [_curve_point(table) for table in by_size.values()]
    for point, interval in zip(points, size_intervals(sizes, curves, seed), strict=True):
        point["scratch needs"] = size_for_error(sizes, maes, point[TRANSFER]["mae"])
        point["scratch needs interval"] = interval
    return points


def _curve_point(table: pd.DataFrame) -> Curve:
    """Return the absolute errors of scratch and of transfer, and the keys."""
    tuned, scratch = ((table[method] - table["value"]).abs().to_numpy() for method in COMPARED)
    return scratch, tuned, table["key"].to_numpy(object)
