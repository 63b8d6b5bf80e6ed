"""Tables of the metrics, as rows for the dashboard and as Markdown for the card."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.publish.words import interval, number, places, signed

Rows = Sequence[Mapping[str, str]]

MEANINGS = {
    "transfer": "in each fold fine-tuning, or what uses the source and is surely better inside of its training rows",
    "fine-tune": "the source's network: first layers frozen, the others trained on the measurements",
    "difference": "the source's network as it is, and a Gaussian process on what it represents for what it misses",
    "stack": "the weighted mean of all that use the source, with weights that err least inside of its training rows",
    "gradual unfreezing": "fine-tuning in which the layers join the head one by one, the last first",
    "discriminative rates": "fine-tuning with learning rates that fall from the head to the first layer",
    "L2-SP": "fine-tuning with weights that are drawn back to where they started",
    "featurizer": "the source's network frozen, ridge regression on what it represents",
    "direct": "the source's network as it is",
    "scratch": "the same kind of network, trained on the measurements alone",
    "ridge": "baseline: ridge regression on the same features",
    "boosted trees": "baseline: gradient-boosted trees on the same features",
    "mean": "baseline: the mean of the measurements",
}


def method_rows(methods: Mapping[str, Any], unit: str) -> Rows:
    """Return a row for each method, the one with the least mean absolute error first.

    Args:
        methods: errors of each method.
        unit: of the errors.
    """
    return [
        {
            "method": name,
            f"MAE ({unit})": number(errors["mae"]),
            "± sd over folds": _spread(errors),
            f"median ({unit})": number(errors["median"]),
            f"RMSE ({unit})": number(errors["rmse"]),
            "R²": "" if errors["r2"] is None else signed(errors["r2"], 3),
        }
        for name, errors in sorted(methods.items(), key=lambda item: item[1]["mae"])
    ]


def curve_rows(points: Sequence[Mapping[str, Any]], unit: str) -> Rows:
    """Return a row for each point of the learning curve: both errors and their difference with its 95 % interval."""
    return [
        {
            "measurements": f"{point['size']:,}",
            f"transfer ({unit})": _both(point["transfer"]),
            f"scratch ({unit})": _both(point["scratch"]),
            "difference": interval(point["difference"]),
            "difference, not in the source": _interval(point["difference not in source"]),
            "scratch needs": "more" if point["scratch needs"] is None else f"{point['scratch needs']:,.0f}",
        }
        for point in points
    ]


def group_rows(groups: Sequence[Mapping[str, Any]], unit: str, label: str) -> Rows:
    """Return a row for each group that was held out as a whole, with the errors of three methods.

    Args:
        groups: of one kind.
        unit: of the errors.
        label: what a group is.
    """
    return [
        {
            label: group["name"],
            "held out": f"{group['rows']:,}",
            "of them in the source": f"{group['in source']:,}",
            **{f"{method} ({unit})": number(group[method]) for method in ("transfer", "scratch", "direct")},
        }
        for group in groups
    ]


def rejection_rows(source: Mapping[str, Any], target: Mapping[str, Any]) -> Rows:
    """Return a row for each outcome of curation, from the reports of both snapshots."""
    counts = [
        {"rows": report["rows"], "accepted": report["accepted"], **report["rejected"]} for report in (source, target)
    ]
    reasons = sorted({*counts[0], *counts[1]} - {"rows", "accepted"})
    return [
        {
            "outcome": outcome,
            **{side: f"{count.get(outcome, 0):,}" for side, count in zip(("source", "target"), counts, strict=True)},
        }
        for outcome in ("rows", "accepted", *reasons)
    ]


def markdown(rows: Rows) -> str:
    """Return rows as a Markdown table: text to the left in the first column, all else to the right."""
    columns = list(rows[0])
    ruler = ["---", *["---:"] * (len(columns) - 1)]
    lines = [columns, ruler, *([row[column] for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(difference: Mapping[str, float] | None) -> str:
    return "" if difference is None else interval(difference)


def _spread(errors: Mapping[str, Any]) -> str:
    """Return the standard deviation of the mean absolute error over the folds, in as many decimals as the error."""
    folds = errors["mae_per_fold"]
    return signed(float(np.std(folds, ddof=1)), places(errors["mae"])) if len(folds) > 1 else ""


def _both(errors: Mapping[str, Any]) -> str:
    return f"{number(errors['mae'])} ± {_spread(errors)}"
