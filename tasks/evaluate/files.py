"""From handles to a comparison's files."""

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.evaluate.certainty import certainty
from tasks.evaluate.comparison import Outcome, Setting, run_jobs
from tasks.evaluate.extrapolation import extrapolate, groups_of
from tasks.evaluate.summary import best_choice, predictions_table, summarise
from tasks.featurize import Table, load
from tasks.handles import Checkpoint, Features
from tasks.learn import Limits, contents
from tasks.recipe import Evaluation, Transfer
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet, units

Mask = npt.NDArray[np.bool_]


def compare(
    store: Store,
    checkpoint: Checkpoint,
    target: Features,
    transfer: Transfer,
    evaluation: Evaluation,
    limits: Limits = None,
) -> dict[str, bytes]:
    """Return the files of a Comparison: metrics, held-out predictions, what makes intervals, the seconds of a fit."""
    table = load(store, target)
    weights, about = (store.read(checkpoint, name) for name in ("weights.safetensors", "model.json"))
    setting = Setting(weights, about, table, transfer, evaluation, limits)
    outcomes = run_jobs(setting)
    full = [outcome for outcome in outcomes if outcome.job.size is None]
    in_source = are_in_source(table, store.read(checkpoint, "keys.parquet"))
    rows = store.read(target, "rows.parquet")
    unit, state = units(rows)["value"], json.loads(store.read(target, "state.json"))
    metrics = {"unit": unit, "of": state["of"], **summarise(outcomes, table, in_source, evaluation.seed)}
    if groups := groups_of(table, state["of"], state["elements"], evaluation):
        metrics["extrapolation"] = extrapolate(setting, groups, best_choice(full, scratch=False), in_source)
    predictions = predictions_table([outcome for outcome in full if not outcome.job.repeat], table, in_source)
    has = contents(table, state["elements"], from_parquet(rows)["foreign"].tolist())
    seen = np.array(state["elements"])[json.loads(store.read(checkpoint, "seen.json"))].tolist()
    certain = certainty(setting, predictions, metrics["best"]["method"], has, seen)
    of_value = ("value", *full[0].predictions, "low", "high", "spread")
    numbers = {"fold": "1", "in_source": "1", "distance": "1", **dict.fromkeys(of_value, unit)}
    return {
        "metrics.json": json.dumps({**metrics, "intervals": certain.metrics}, indent=1).encode(),
        "seconds_per_fit.json": json.dumps(_seconds(full), indent=1).encode(),
        "predictions.parquet": to_parquet(predictions.join(certain.columns), numbers),
        **certain.files,
    }


def are_in_source(target: Table, learnt: bytes) -> Mask:
    """Return which rows of the target (n,) share their key with a row of the source.

    Args:
        target: the target's features.
        learnt: the checkpoint's keys.parquet.
    """
    keys = from_parquet(learnt)["key"].to_numpy(str)
    return np.isin(target.keys.astype(str), keys)


def _seconds(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the mean seconds of each method over the folds; no two runs agree on them, so they are no metric."""
    return {name: float(np.mean([o.seconds[name] for o in outcomes])) for name in outcomes[0].seconds}
