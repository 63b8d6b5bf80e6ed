"""Whether the bundle just published takes over: challenger against champion on the rows that both have held out.

What is compared. Each bundle has, for every measurement of its own snapshot, a prediction made while that one and its
near-copies were held out; the fold of a material depends on the material and the seed alone. So the materials that
both snapshots have were held out in the same folds, neither model has seen what it is judged by, and the errors pair
row by row. The champion's are those with which it was published: nothing is trained again, nothing can leak. Both are
judged by the value on which the snapshots agree.

What is not compared, and why. To fit the champion's settings anew in the folds of the newest snapshot would be fairest
to its recipe, but takes as long as the comparison itself, and what came out would not be the bundle that people use.
What is new in the newest snapshot was held out by the challenger alone, and the champion would have to predict it from
features made by its own state: those rows have no say, which is not to the challenger's advantage, but that it learnt
from more decides between equals. Rows whose value has changed have no say either, for nobody knows here which value is
right. If most have changed the table is suspect, and the gate leaves the decision to people: on shuffled labels a
model without any skill looks better than a good one.

Errors are reported twice, on all rows and on those that neither source has: a challenger that is surely worse on the
latter has gained by its source holding the answers, and is not promoted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.promote.candidate import Candidate
from tasks.promote.resampling import describe
from tasks.promote.validation import Check, validate
from tasks.publish.words import interval, number

LEAST = 30  # rows that both have, below which nothing can be told
MARGIN = (
    0.02  # of the champion's error, by which an equal one may err by more: or many equals would add up to a decline
)
CHANGED = 0.5  # share of the rows that both have with another value, from which on the table is suspect


@dataclass(frozen=True)
class Decision:
    """What the gate, or a person, has decided on a bundle.

    Attributes:
        recipe: whose bundle it is.
        challenger: its facts.
        champion: those of the bundle in use, None if there is none, or none that is whole.
        confidence: with which one must err by less to be better.
        by: `gate` or `hand`.
        promote: whether it takes over.
        verdict: why, in a sentence.
        checks: the validation.
        comparison: errors of both and their difference, in the unit of the property, on all rows that both have and on
            those `not in source`; None if there was nothing to compare.
    """

    recipe: str
    challenger: Mapping[str, Any]
    champion: Mapping[str, Any] | None
    confidence: float
    by: str
    promote: bool
    verdict: str
    checks: list[Check]
    comparison: Mapping[str, Any] | None = None


def judge(challenger: Candidate, champion: Candidate | None, confidence: float, refused: str = "") -> Decision:
    """Decide on a challenger.

    Args:
        challenger: the bundle just published.
        champion: the one in use, if there is one that is whole.
        confidence: of the recipe.
        refused: why it may not be promoted whatever its errors, if so.
    """
    checks = validate(challenger, confidence)
    if champion is None:
        comparison = None
        promote, verdict = True, "There was no champion, and this bundle is valid."
    else:
        pairs = pair(challenger, champion)
        comparison = compare(pairs)
        promote, verdict = _verdict(challenger, champion, pairs, comparison, confidence)
    if failed := [check for check in checks if not check.passed]:
        promote, verdict = False, f"The validation failed: {failed[0].name}. {failed[0].said}"
    elif refused:
        promote, verdict = False, refused
    return Decision(
        challenger.bundle.recipe,
        challenger.facts(),
        champion.facts() if champion else None,
        confidence,
        "gate",
        promote,
        verdict,
        checks,
        comparison,
    )


def pair(challenger: Candidate, champion: Candidate) -> pd.DataFrame:
    """Return the rows that both have, in the order of their keys.

    Rows are told by their keys, and those of one key by their values: names of records may be numbers of lines. A key
    that has more rows in one than in the other is left out.

    Returns:
        Columns `key`; `challenger` and `champion`, the absolute errors; `same value` and `same fold`; `in_source`,
        whether either source has it.
    """
    first, second = (
        one.predictions[["key", "value", "fold", "in_source"]]
        .assign(missed=one.missed, rows=lambda table: table.groupby("key")["key"].transform("size"))
        .sort_values(["key", "value"], kind="stable")
        .assign(place=lambda table: table.groupby("key").cumcount())
        for one in (challenger, champion)
    )
    both = first.merge(second, on=["key", "rows", "place"], suffixes=(" of challenger", " of champion"))
    return pd.DataFrame(
        {
            "key": both["key"],
            "challenger": both["missed of challenger"],
            "champion": both["missed of champion"],
            "same value": np.isclose(both["value of challenger"], both["value of champion"], rtol=1e-6, atol=1e-9),
            "same fold": both["fold of challenger"] == both["fold of champion"],
            "in_source": both["in_source of challenger"] | both["in_source of champion"],
        }
    )


def compare(pairs: pd.DataFrame) -> dict[str, Any] | None:
    """Return the errors of both on the rows with the same value, and on those that neither source has."""
    judged = pairs[pairs["same value"]]
    if judged.empty:
        return None
    unseen = judged[~judged["in_source"]]
    shared = {"rows in both": len(pairs), "with another value": len(pairs) - len(judged)}
    return {**shared, **_compared(judged), "not in source": None if unseen.empty else _compared(unseen)}


def _compared(rows: pd.DataFrame) -> dict[str, Any]:
    """Return rows, errors and their difference, challenger less champion."""
    differences = (rows["challenger"] - rows["champion"]).to_numpy(np.float64)
    return {
        "rows": len(rows),
        "challenger": float(rows["challenger"].mean()),
        "champion": float(rows["champion"].mean()),
        "difference": describe(differences, rows["key"].to_numpy(object)),
    }


def _verdict(
    challenger: Candidate,
    champion: Candidate,
    pairs: pd.DataFrame,
    comparison: Mapping[str, Any] | None,
    confidence: float,
) -> tuple[bool, str]:
    """Return whether a valid challenger takes over, and why, in a sentence."""
    if challenger.lineage["model"] == champion.lineage["model"]:
        newer = challenger.made > champion.made
        return newer, f"It is the champion's model, published anew {'later' if newer else 'earlier'}."
    obstacle = _obstacle(challenger, champion, pairs)
    if obstacle or comparison is None:
        return False, f"They cannot be compared: {obstacle}. Promote it by hand if it is right."
    return _by_errors(challenger, champion, comparison, confidence)


def _obstacle(challenger: Candidate, champion: Candidate, pairs: pd.DataFrame) -> str:
    """Return why the errors of the two tell nothing, if so."""
    units = [one.metrics["unit"] for one in (challenger, champion)]
    judged = pairs[pairs["same value"]]
    if units[0] != units[1]:
        return f"one is in {units[0]}, the other in {units[1]}"
    if len(pairs) < LEAST:
        return f"the two have only {len(pairs)} rows in common"
    if len(judged) < CHANGED * len(pairs):
        return f"{len(pairs) - len(judged):,} of {len(pairs):,} rows have another value than in the champion's snapshot"
    if not judged["same fold"].all():
        return "they were held out in other folds, so that each learnt from another share of the rows"
    return ""


def _by_errors(
    challenger: Candidate, champion: Candidate, comparison: Mapping[str, Any], confidence: float
) -> tuple[bool, str]:
    """Return whether a challenger takes over that can be compared, and why."""
    difference, unseen, unit = comparison["difference"], comparison["not in source"], challenger.metrics["unit"]
    said = (
        f"on {comparison['rows']:,} rows that both held out it errs by {number(comparison['challenger'])} {unit}, the "
        f"champion by {number(comparison['champion'])}: a difference of "
        f"{interval(difference).replace('(', '(95 % interval ')}"
    )
    if difference["above"] >= confidence or difference["mean"] > MARGIN * comparison["champion"]:
        return False, f"It is not as good: {said}."
    if unseen and unseen["rows"] >= LEAST and unseen["difference"]["above"] >= confidence:
        return False, f"It is worse where it counts: it errs by more on rows that neither source has; {said}."
    if difference["below"] >= confidence:
        return True, f"It is better: {said}."
    rows = [(one.metrics["rows"]["all"], one.computed) for one in (challenger, champion)]
    learnt = f"it learnt from {rows[0][0]:,} measurements and {rows[0][1]:,} computed rows, the champion from "
    learnt += f"{rows[1][0]:,} and {rows[1][1]:,}"
    if rows[0] != rows[1] and all(ours >= its for ours, its in zip(*rows, strict=True)):
        return True, f"It is as good and learnt from more: {said}; {learnt}."
    return False, f"It is as good, but did not learn from more: {said}; {learnt}."
