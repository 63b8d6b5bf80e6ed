"""Ranks candidates for a published model: which of them to measure next."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.curate import compositions, molecules
from tasks.errors import MatliftError
from tasks.parallel import run_parts
from tasks.predict import Predictor
from tasks.suggest.belief import Array, Belief
from tasks.suggest.choice import choose
from tasks.suggest.measured import Measured

PART = 2000  # candidates that a process takes at once
NUMBERS = ("value", "lower", "upper")


class Suggestions(NamedTuple):
    """Candidates that are worth measuring, the best first, and what became of the others.

    Attributes:
        rows: `item` as it was given, `value`, `lower` and `upper` as the model predicts them, and `gain`: by how many
            percent of what it is now measuring it, after those before it, lowers the mean squared error that is
            expected of the candidates.
        candidates: how many different ones there are.
        measured: of these the model has learnt from.
        outside: are new, and out of its domain.
        bad: it cannot predict.
    """

    rows: pd.DataFrame
    candidates: int
    measured: int
    outside: int
    bad: int


class Looked(NamedTuple):
    """What is known of some candidates.

    Attributes:
        rows: as `Predictor.predict` has them, with the `key` of each that can be predicted.
        activations: (g, w), of those in the domain.
    """

    rows: pd.DataFrame
    activations: Array


def suggest(predictor: Predictor, measured: Measured, items: Iterable[str | None], count: int) -> Suggestions:
    """Suggest what to measure next.

    The order of the candidates does not matter: they are sorted first. Of several that are the same, a molecule and its
    mirror image say, one can be chosen.

    Args:
        predictor: the model.
        measured: the rows that it was made from.
        items: the candidates: SMILES or formulas; bad ones stop nothing.
        count: how many to suggest; fewer if there are no more.

    Raises:
        MatliftError: there is none to choose from.
    """
    names = sorted({(item or "").strip() for item in items})
    parts = (names[start : start + PART] for start in range(0, len(names), PART))
    looked = list(run_parts(look, predictor, parts, label="suggest", libraries=["tasks.suggest.suggestions"]))
    rows = pd.concat([part.rows for part in looked], ignore_index=True) if looked else pd.DataFrame()
    if rows.empty:
        raise MatliftError("there are no candidates: name some, or files of them")
    bad, inside = rows["value"].isna(), rows["in_domain"]
    known = rows["key"].isin(list(measured.keys))
    usable = inside & ~known
    usable &= ~rows["key"].where(usable).duplicated()
    said = len(rows), int(known.sum()), int((~inside & ~known & ~bad).sum()), int(bad.sum())
    if not usable.any():
        raise MatliftError(
            f"none of {said[0]:,} candidates can be suggested: {said[1]:,} are measured, {said[2]:,} are out of the "
            f"model's domain and {said[3]:,} cannot be predicted"
        )
    activations = np.concatenate([part.activations for part in looked])[usable[inside].to_numpy()]
    belief = Belief.after(measured.activations, measured.missed, activations)
    chosen = list(islice(choose(belief, activations), count))
    best = rows[usable].iloc[[one.place for one in chosen]][["item", *NUMBERS]].reset_index(drop=True)
    best["gain"] = [100 * one.gain for one in chosen]
    return Suggestions(best, *said)


def look(predictor: Predictor, items: Sequence[str]) -> Looked:
    """Return what is known of some candidates."""
    rows = predictor.predict(items)
    good = rows["value"].notna()
    rows["key"] = ""
    rows.loc[good, "key"] = keys(predictor, rows["item"][good].tolist())
    return Looked(rows, predictor.represent(rows["item"][rows["in_domain"]].tolist()))


def keys(predictor: Predictor, items: Sequence[str]) -> list[str]:
    """Return by what items are told apart: compositions, or which atoms are bonded to which."""
    if predictor.takes == "formula":
        found = compositions.describe(items)
    else:
        found = molecules.describe([(item, None) for item in items])
    return [one.key or item for one, item in zip(found, items, strict=True)]
