"""From handles to a comparison's files."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.evaluate.certainty import certainty
from tasks.evaluate.choices import Choices
from tasks.evaluate.comparison import Job, Outcome, Setting, run_jobs
from tasks.evaluate.extrapolation import extrapolate, groups_of
from tasks.evaluate.summary import best_choice, predictions_table, summarise
from tasks.featurize import Table, load
from tasks.handles import Checkpoint, Comparison, Features
from tasks.learn import Limits, contents
from tasks.recipe import Evaluation, Transfer
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet, units

Mask = npt.NDArray[np.bool_]

log = logging.getLogger(__name__)


def compare(
    store: Store,
    checkpoint: Checkpoint,
    target: Features,
    transfer: Transfer,
    evaluation: Evaluation,
    limits: Limits = None,
) -> dict[str, bytes]:
    """Return the files of a Comparison: metrics, choices, held-out predictions, intervals, the seconds of a fit."""
    table = load(store, target)
    weights, about = (store.read(checkpoint, name) for name in ("weights.safetensors", "model.json"))
    of = {"checkpoint": checkpoint.path, "transfer": transfer.model_dump(mode="json"), "limits": limits}
    of |= evaluation.model_dump(mode="json", include={"folds", "repeats", "seed"})
    before = _before(store, evaluation.choices, of)
    setting = Setting(weights, about, table, transfer, evaluation, limits, _kept(before))
    outcomes, scratch = run_jobs(setting)
    full = [outcome for outcome in outcomes if outcome.job.size is None]
    in_source = are_in_source(table, store.read(checkpoint, "keys.parquet"))
    rows = store.read(target, "rows.parquet")
    unit, state = units(rows)["value"], json.loads(store.read(target, "state.json"))
    metrics = {"unit": unit, "of": state["of"], **summarise(outcomes, table, in_source, evaluation.seed)}
    if before:
        metrics["kept"] = {"comparison": evaluation.choices, "rows": before["rows"]}
    if groups := groups_of(table, state["of"], state["elements"], evaluation):
        metrics["extrapolation"] = extrapolate(setting, groups, best_choice(full, scratch=False), in_source)
    predictions = predictions_table([outcome for outcome in full if not outcome.job.repeat], table, in_source)
    has = contents(table, state["elements"], from_parquet(rows)["foreign"].tolist())
    seen = np.array(state["elements"])[json.loads(store.read(checkpoint, "seen.json"))].tolist()
    certain = certainty(setting, predictions, metrics["best"]["method"], scratch, has, seen)
    of_value = ("value", *full[0].predictions, "low", "high", "spread")
    numbers = {"fold": "1", "in_source": "1", "distance": "1", **dict.fromkeys(of_value, unit)}
    return {
        "metrics.json": json.dumps({**metrics, "intervals": certain.metrics}, indent=1).encode(),
        "choices.json": json.dumps(before or {"of": of, "rows": len(table), "jobs": _choices(full)}, indent=1).encode(),
        "seconds_per_fit.json": json.dumps(_seconds(full), indent=1).encode(),
        "predictions.parquet": to_parquet(predictions.join(certain.columns), numbers),
        **certain.files,
    }


def _before(store: Store, comparison: str | None, of: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the choices of an earlier comparison; None if there is none, or if it was of something else.

    Args:
        store: holds it.
        comparison: its fingerprint.
        of: source, folds and plan that it has to be of.

    Raises:
        MatliftError: the store does not have it.
    """
    if comparison is None:
        return None
    earlier = Comparison(comparison)
    before: Mapping[str, Any] = json.loads(store.read(earlier, "choices.json"))
    if before["of"] != json.loads(json.dumps(of)):
        log.warning("the choices of %s are of another source, plan or folds: they are made anew", earlier.path)
        return None
    return before


def _kept(before: Mapping[str, Any] | None) -> dict[Job, Choices]:
    """Return the choices of each job that made its own before."""
    jobs = before["jobs"] if before else []
    return {Job(job["fold"], None, job["repeat"]): Choices.from_state(job) for job in jobs}


def _choices(full: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the choices of the jobs of the full size, for JSON."""
    return [{"fold": one.job.fold, "repeat": one.job.repeat, **one.choices.state()} for one in full]


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
