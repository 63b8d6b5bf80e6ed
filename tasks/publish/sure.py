"""How sure predictions are, in a report: intervals, the domain, and what is new in earnest."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tasks.formulas import ELEMENTS
from tasks.publish.case import Case, percent
from tasks.publish.charts import bins, calibration
from tasks.publish.groups import Group, noun
from tasks.publish.losses import grouped
from tasks.publish.page import Html, element, joined, paragraph, picture, table
from tasks.publish.words import (
    TRANSFER,
    interval,
    number,
    signed,
)

PARTS = 4  # of the rows, by distance


def intervals(case: Case) -> Html:
    """Return how true the intervals are, and how the error depends on what the model knows."""
    intervals = case.metrics.get("intervals")
    if not intervals:
        return Html("")
    level, of = percent(intervals["level"], 0), case.facts.recipe.property
    said = (
        f"Each prediction has an interval that should hold the measurement with {level} certainty: it held "
        f"{percent(intervals['coverage'])} of the held-out ones. On "
        f"average it is {number(intervals['width'])} {case.unit} wide. "
        f"{_ranked(intervals['rank_correlation'])}"
    )
    binned = bins(case.predictions, case.published) if "spread" in case.predictions else None
    caption = (
        "Left: how many held-out measurements lie inside of intervals of each level; on the line they should be, "
        "in the grey band chance alone would put 95 % of such points. Right: rows in ten equal parts by the error that "
        "was expected of them, and their real mean absolute error."
        if binned is not None
        else "How many held-out measurements lie inside of intervals of each level; on the line they should be."
    )
    drawn = picture(calibration(intervals, len(case.predictions), of, binned), caption)
    return joined(paragraph(said), drawn, _domain(case))


def _ranked(correlation: float | None) -> str:
    """Say whether errors are large where they are expected to be; of errors that are all the same there is no order."""
    if correlation is None:
        return "The expected errors, or the real ones, are all the same."
    said = "Expected and real errors have a rank correlation of"
    return f"{said} {signed(correlation, 2)} (1: the same order, 0: none)."


def _domain(case: Case) -> Html:
    """Return how the error grows with the distance from what was learnt from, and with what was never seen."""
    if "distance" not in case.predictions:
        return Html("")
    predictions = case.predictions
    order = np.argsort(predictions["distance"].to_numpy(), kind="stable")
    parts = [(_span(predictions["distance"].iloc[part]), part) for part in np.array_split(order, PARTS) if len(part)]
    if "unseen" in predictions and (new := predictions["unseen"].fillna("").ne("").to_numpy()).any():
        parts.append((f"with an {noun(case.facts.recipe.target.rules.of)} never seen", np.flatnonzero(new)))
    missed = case.missed(case.published).to_numpy()
    rows = [
        {
            "distance": name,
            "rows": f"{len(part):,}",
            f"MAE ({case.unit})": number(float(missed[part].mean())),
            **_inside(predictions.iloc[part]),
        }
        for name, part in parts
    ]
    said = (
        "Quarters of the held-out rows by their distance from the training rows, in what the trunk makes of them; "
        "1 is how far a training row is from the nearest others, in the median."
    )
    return joined(element("h3", "Near and far"), paragraph(said), table(rows))


def _span(distances: pd.Series) -> str:
    return f"{number(float(distances.min()))} to {number(float(distances.max()))}"


def _inside(rows: pd.DataFrame) -> dict[str, str]:
    """Return which part of some rows lies inside of their intervals, if they have any."""
    if "low" not in rows:
        return {}
    return {"inside of the 90 % interval": percent(float(rows["value"].between(rows["low"], rows["high"]).mean()))}


def extrapolation(case: Case) -> Html:
    """Return the errors on whole clusters, and on all that has an element, when these are held out together."""
    parts = case.metrics.get("extrapolation") or {}
    said = {
        "clusters": f"Clusters of similar {case.of} are held out as a whole, each in turn.",
        "elements": f"All {case.of} with an element are held out together, for each element in turn.",
    }
    made = [
        element("h3", name.capitalize()) + _extrapolated(case, part, said.get(name, ""))
        for name, part in parts.items()
        if part and part["groups"]
    ]
    return Html("\n".join(made))


def _extrapolated(case: Case, part: Mapping[str, Any], said: str) -> Html:
    """Return one kind of extrapolation: its verdict and its errors by group."""
    groups = [Group(str(group["name"]), group["rows"], group[TRANSFER], group["scratch"]) for group in part["groups"]]
    difference = part["difference"]
    sure = (
        "transfer helps" if difference["high"] < 0 else "transfer loses" if difference["low"] > 0 else "no method wins"
    )
    verdict_said = (
        f"{said} There {TRANSFER} errs by {number(part[TRANSFER])} {case.unit} and training from scratch by "
        f"{number(part['scratch'])}: a difference of {interval(difference).replace('(', '(95 % interval ')}, {sure}."
    )
    kind = "element" if all(group.name in ELEMENTS for group in groups) else "group"
    return joined(paragraph(verdict_said.strip()), grouped(case, groups, kind))
