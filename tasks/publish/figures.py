"""The two figures of a bundle: measured against predicted, and scratch versus transfer.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which colour-blind readers can tell apart.
Figures are made without pyplot, whose state is global, and hold no date: the same numbers give the same bytes.
"""

import math
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tasks.publish.words import TRANSFER, number, times
from tasks.recipe import Property

BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
METHODS = {"transfer": (GREEN, "o"), "scratch": (VERMILION, "s")}
MEMBERSHIP = {False: (ORANGE, "not in the source"), True: (BLUE, "in the source")}  # in the order of drawing
CLOSE = 0.9  # of the error of the arrow above: from there on two labels would overlap
TICKS = (1, 1.5, 2, 3, 4, 5, 6, 8)  # of each power of ten
INSIDE = 0.97  # of the values and of the predictions, at least, decide the frame of the parity plot
DPI = 200

Metrics = Mapping[str, Any]
Vector = npt.NDArray[np.float64]


class Picture(NamedTuple):
    """A figure with what it shows in words.

    Attributes:
        png: the file.
        caption: a few plain sentences.
    """

    png: bytes
    caption: str


def parity(predictions: pd.DataFrame, metrics: Metrics, of: Property) -> Picture:
    """Draw measured against held-out predicted values, for transfer and scratch.

    The frame leaves out the extreme values, which would squash all others; they are drawn on its edge and counted.

    Args:
        predictions: one row each: `value`, `in_source` and a column for each method.
        metrics: of the comparison.
        of: the property.
    """
    figure = Figure(figsize=(9, 4.9), dpi=DPI, layout="constrained")
    methods = TRANSFER, "scratch"
    panels = figure.subplots(1, len(methods), sharex=True, sharey=True)
    frame = _frame(predictions[["value", *methods]].to_numpy())
    beyond = {method: _panel(axes, predictions, method, frame) for axes, method in zip(panels, methods, strict=True)}
    for axes, method in zip(panels, methods, strict=True):
        errors = metrics["methods"][method]
        lines = (
            f"mean absolute error {number(errors['mae'])} {of.unit}",
            f"median {number(errors['median'])} {of.unit}",
            f"{beyond[method]:,} {metrics['of']} beyond the frame",
        )
        axes.text(0.04, 0.97, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=10, linespacing=1.4)
        axes.set_title(method, loc="left", fontsize=12, fontweight="bold")
        axes.set_xlabel(f"predicted {of.symbol} ({of.unit})", fontsize=11)
    panels[0].set_ylabel(f"measured {of.symbol} ({of.unit})", fontsize=11)
    panels[-1].legend(handles=_keys(predictions), loc="lower right", frameon=False, fontsize=10, handletextpad=0.1)
    caption = (
        f"Measured against predicted {of.name}, in {of.unit}: each of the {len(predictions):,} {metrics['of']} was "
        f"predicted by networks that had not seen it. On the grey line both agree. Those beyond the frame "
        f"({', '.join(f'{method} {count:,}' for method, count in beyond.items())}) are open circles on its edge."
    )
    return Picture(_png(figure), caption)


def learning_curve(metrics: Metrics, of: Property) -> Picture:
    """Draw the error of transfer and scratch against the number of measurements learnt from.

    Args:
        metrics: of the comparison.
        of: the property.
    """
    points = metrics["learning_curve"]
    sizes = [point["size"] for point in points]
    figure = Figure(figsize=(8, 5), dpi=DPI, layout="constrained")
    axes: Axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlim=(0.52 * sizes[0], 1.12 * sizes[-1]))
    drawn = [_curve(axes, points, method) for method in METHODS]
    for before, point in zip([None, *points], points, strict=False):
        _arrow(axes, point, before["transfer"]["mae"] if before else math.inf)
    _name_curves(axes, points[0])
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    _tick_errors(axes, np.concatenate(drawn))
    axes.set_xlabel("measurements learnt from", fontsize=11)
    axes.set_ylabel(f"mean absolute error of {of.symbol} ({of.unit})", fontsize=11)
    if any(times(point) for point in points):
        said = "arrows: how many times as many\nmeasurements scratch needs to be as good"
        axes.text(0.98, 0.97, said, transform=axes.transAxes, ha="right", va="top", fontsize=10, color=GREY)
    plain(axes)
    folds = len(points[0]["scratch"]["mae_per_fold"])
    caption = (
        f"Scratch versus transfer: mean absolute error on held-out {metrics['of']} against the number of measurements "
        f"learnt from. Bars: one standard deviation over the {folds} folds either way. Both methods have the same "
        f"folds, so that their difference is surer than the bars suggest."
    )
    return Picture(_png(figure), caption)


def _frame(values: Vector) -> tuple[float, float]:
    """Return the limits between which nearly all lie, in every column alike, with a margin."""
    rest = (1 - INSIDE) / 2
    low, high = np.quantile(values, rest, axis=0).min(), np.quantile(values, 1 - rest, axis=0).max()
    margin = 0.08 * (high - low)
    return float(low - margin), float(high + margin)


def _panel(axes: Axes, predictions: pd.DataFrame, method: str, frame: tuple[float, float]) -> int:
    """Draw one method; return how many lie outside of the frame."""
    pairs = predictions[[method, "value"]].to_numpy()
    shown = np.clip(pairs, *frame)
    outside = (shown != pairs).any(axis=1)
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1, zorder=1)
    for member, (colour, _) in MEMBERSHIP.items():
        rows = predictions["in_source"].to_numpy() == member
        x, y = shown[rows & ~outside].T
        axes.scatter(x, y, s=10, color=colour, alpha=0.6, linewidths=0, clip_on=False, zorder=2)
        x, y = shown[rows & outside].T
        axes.scatter(x, y, s=22, facecolors="white", edgecolors=colour, linewidths=1, clip_on=False, zorder=3)
    axes.set(xlim=frame, ylim=frame, aspect="equal")
    axes.locator_params(nbins=6)
    plain(axes)
    return int(outside.sum())


def _keys(predictions: pd.DataFrame) -> list[Line2D]:
    """Return the legend's entries: whether the source has it, and how many."""
    counts = {member: int((predictions["in_source"] == member).sum()) for member in MEMBERSHIP}
    return [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=f"{label} ({counts[member]:,})")
        for member, (colour, label) in MEMBERSHIP.items()
    ]


def _curve(axes: Axes, points: list[dict[str, Any]], method: str) -> Vector:
    """Draw one method's errors with their spread over the folds; return all that must be inside of the frame."""
    maes = np.array([point[method]["mae"] for point in points])
    spread = np.array([np.std(point[method]["mae_per_fold"], ddof=1) for point in points])
    sizes = [point["size"] for point in points]
    colour, marker = METHODS[method]
    style: dict[str, Any] = {
        "color": colour,
        "marker": marker,
        "markersize": 6,
        "linewidth": 2,
        "elinewidth": 4,
        "zorder": 3,
    }
    _, _, (bars,) = axes.errorbar(sizes, maes, spread, **style)
    bars.set_alpha(0.25)
    return np.concatenate([maes, maes + spread, np.maximum(maes - spread, maes / 2)])


def _name_curves(axes: Axes, first: Mapping[str, Any]) -> None:
    """Write each method's name left of its first point: the upper one's above, the lower one's below the other."""
    style: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "fontsize": 12, "weight": "bold"}
    upper = max(METHODS, key=lambda method: first[method]["mae"])
    for method, (colour, _) in METHODS.items():
        side = "bottom" if method == upper else "top"
        axes.annotate(method, (first["size"], first[method]["mae"]), (-9, 0), va=side, color=colour, **style)


def _arrow(axes: Axes, point: Mapping[str, Any], above: float) -> None:
    """Point from what transfer has learnt from to what scratch would need, where that is known.

    Args:
        axes: to draw on.
        point: of the learning curve.
        above: the error at which the arrow before is drawn.
    """
    factor, height = times(point), point["transfer"]["mae"]
    if factor is None:
        return
    ends = (point["size"], height), (point["scratch needs"], height)
    arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.2, "shrinkA": 5, "shrinkB": 1}
    axes.annotate("", ends[1], ends[0], arrowprops=arrow, zorder=4)
    label = f"{factor}\N{MULTIPLICATION SIGN}"
    style: dict[str, Any] = {"textcoords": "offset points", "color": GREY, "fontsize": 11}
    if height > CLOSE * above:
        axes.annotate(label, ends[1], (-10, -2), va="top", ha="right", **style)  # below: above it is another arrow
    else:
        axes.annotate(label, ends[1], (3, 0), va="bottom", **style)  # right of the tip, where errors have fallen


def _tick_errors(axes: Axes, errors: Vector) -> None:
    """Frame the errors and put round numbers on their axis."""
    low, high = errors.min() / 1.12, errors.max() * 1.08
    ticks = round_numbers(low, high)
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, [f"{tick:,.10g}" for tick in ticks])


def round_numbers(low: float, high: float) -> list[float]:
    """Return the round numbers between two positive ones, for a logarithmic axis."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
    return [float(tick) for tick in np.outer(powers, TICKS).ravel() if low <= tick <= high]


def plain(axes: Axes) -> None:
    """Leave out what carries no information."""
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=10)


def _png(figure: Figure) -> bytes:
    """Return the figure as PNG, without the version of matplotlib."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
