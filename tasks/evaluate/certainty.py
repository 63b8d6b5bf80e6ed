"""How sure each prediction is: intervals and domain of the held-out rows, and the files that give them to new rows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluate.comparison import Files, Setting, fit_all
from tasks.evaluate.intervals import LEVEL, LEVELS, Intervals, Judged, cross_conformal, quality
from tasks.learn import Choice, Domain, represent

REACH = 40  # neighbours looked up of each row: enough are left without those of its fold and of the one held out


@dataclass(frozen=True)
class Certainty:
    """What is known of the certainty of predictions.

    Attributes:
        columns: of each held-out row low, high, spread, distance and unseen.
        metrics: how well the intervals hold.
        files: `intervals.json`, the domain's, and the rival's, which is fitted on the whole target.
    """

    columns: pd.DataFrame
    metrics: dict[str, Any]
    files: Files


def certainty(
    setting: Setting,
    predictions: pd.DataFrame,
    method: str,
    scratch: Files,
    contents: Sequence[frozenset[str]],
    seen: Collection[str],
) -> Certainty:
    """Judge the held-out predictions of a method, and fit on all of them what tells the certainty of new ones.

    Args:
        setting: of the comparison.
        predictions: of each row of the target while it was held out.
        method: the one judged.
        scratch: the files of the model from scratch, fitted on all rows: the rival of every method but itself.
        contents: of each row the elements, and the atom types that the source lacks.
        seen: the elements of the source.
    """
    source, target = setting.source(), setting.target
    rival = Choice("scratch" if method != "scratch" else "direct")
    represented = represent(source, target)
    domain = Domain.fit(represented, target.keys, {*seen, *frozenset().union(*contents)})
    near = domain.near(represented, REACH, target.keys, target.keys[domain.rows])
    predicted, folds = predictions[method].to_numpy(), predictions["fold"].to_numpy()
    missed = np.abs(predicted - target.values)
    judged = Judged(missed, np.abs(predicted - predictions[rival.method].to_numpy()), near, domain.rows, folds)
    spread, half = cross_conformal(judged)
    at_level = half[:, LEVELS.index(LEVEL)]
    columns = {
        "low": source.within(predicted - at_level),
        "high": source.within(predicted + at_level),
        "spread": spread,
        "distance": judged.distance,
        "unseen": _unseen(contents, folds, seen),
    }
    fitted = scratch if rival.method == "scratch" else fit_all(rival, setting)
    files = {
        "intervals.json": Intervals.fit(judged).to_json(),
        **domain.files(),
        "rival.safetensors": fitted["weights.safetensors"],
        "rival.json": fitted["model.json"],
    }
    return Certainty(pd.DataFrame(columns, index=predictions.index), quality(missed, spread, half), files)


def _unseen(contents: Sequence[frozenset[str]], folds: npt.NDArray[np.int64], seen: Collection[str]) -> list[str]:
    """Return of each row, as text, what neither the source nor a row of another fold has."""
    known = {
        fold: frozenset(seen).union(*(has for has, other in zip(contents, folds, strict=True) if other != fold))
        for fold in np.unique(folds)
    }
    return [", ".join(sorted(has - known[fold])) for has, fold in zip(contents, folds, strict=True)]
