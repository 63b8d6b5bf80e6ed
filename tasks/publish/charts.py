"""The drawings of a report: errors by group, the elements' on their periodic table, and how true the intervals are.

They are SVG with text as outlines, so that no font is needed, and hold neither a date nor anything drawn by lot: the
same numbers give the same bytes. Colours are those of `figures`; nothing is told by colour alone.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from textwrap import shorten
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from ase.data import atomic_numbers
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tasks.publish.figures import BLUE, GREEN, GREY, ORANGE, VERMILION, plain, round_numbers
from tasks.publish.groups import LEAST, Group
from tasks.publish.words import number
from tasks.recipe import Property

WIDTH = 9.0  # inches, of every drawing: one size of letters on the whole page
LONG = 5.0  # largest over smallest error from which an axis is logarithmic
GAP = 0.4  # between the periodic table and what stands below it
MOST = 0.5  # gain or loss whose colour is full
BINS = 10
LONGEST = 36  # letters of a name
NOBLE = (2, 10, 18, 36, 54, 86, 118)  # atomic numbers with which the periods end
GAINS = LinearSegmentedColormap.from_list("gains", [ORANGE, "#FFFFFF", "#56B4E9"])  # Okabe and Ito's sky blue


def dumbbells(groups: Sequence[Group], transfer: str, of: Property) -> bytes:
    """Draw a line for each group, from the error of scratch to that of transfer, the largest error first.

    Args:
        groups: at least one, with errors above zero.
        transfer: the name of the method that stands for transfer.
        of: the property.
    """
    ordered = sorted(groups, key=lambda group: (group.transfer, group.name))
    height = 1.15 + 0.235 * len(ordered)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes: Axes = figure.subplots()
    places = range(len(ordered))
    tuned, scratch = (np.array([getattr(group, side) for group in ordered]) for side in ("transfer", "scratch"))
    axes.hlines(places, tuned, scratch, color=GREY, linewidth=1.2, alpha=0.6, zorder=1)
    axes.scatter(scratch, places, s=34, marker="s", color=VERMILION, zorder=2, label="scratch")
    axes.scatter(tuned, places, s=40, marker="o", color=GREEN, zorder=3, label=transfer)
    axes.set_yticks(places, [shorten(group.name, LONGEST, placeholder=" …") for group in ordered], parse_math=False)
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    _error_axis(axes, np.concatenate([tuned, scratch]))
    plain(axes)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for place, group in zip(places, ordered, strict=True):
        axes.text(
            1.045, place, f"{group.rows:,}", transform=axes.get_yaxis_transform(), ha="right", va="center", size=10
        )
    axes.text(1.045, len(ordered) - 0.25, "rows", transform=axes.get_yaxis_transform(), ha="right", size=10, color=GREY)
    axes.set_xlabel(f"mean absolute error of {of.symbol} ({of.unit})", fontsize=11)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False, fontsize=11)
    return _svg(figure)


def periodic_table(groups: Sequence[Group], of: Property) -> bytes:
    """Draw the errors by element on the periodic table: that of transfer, and how much less than scratch's it is.

    Args:
        groups: one per element.
        of: the property.
    """
    placed = {group: _place(group.name) for group in groups}
    last = max(period for _, period, outside in placed.values() if not outside)
    below = last - 5 + GAP  # where the lanthanides stand, from their own period on
    bottom = max(period + below * outside for _, period, outside in placed.values())
    figure = Figure(figsize=(WIDTH, 0.53 * (bottom + 0.2)), layout="constrained")
    axes: Axes = figure.subplots()
    axes.set(xlim=(0.4, 18.6), ylim=(bottom + 0.6, 0.4))
    axes.set_axis_off()
    for group, (column, period, outside) in placed.items():
        _cell(axes, group, column, period + below * outside)
    scale = ScalarMappable(Normalize(-MOST, MOST), GAINS)
    bar = figure.colorbar(
        scale, cax=axes.inset_axes((3.9, 1.0, 7.4, 0.22), transform=axes.transData), orientation="horizontal"
    )
    bar.set_ticks([-0.5, -0.25, 0, 0.25, 0.5], labels=["50 % more", "25 % more", "the same", "25 % less", "50 % less"])
    bar.ax.set_title("error after transfer, compared with scratch", size=9.5)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8.5, length=2)
    legend = f"in each cell: element, mean absolute error\nafter transfer ({of.unit}), number of rows"
    axes.text(3.9, 2.15, legend, size=9, va="top", color=GREY)
    return _svg(figure)


def calibration(intervals: Mapping[str, Any], rows: int, of: Property, binned: pd.DataFrame | None) -> bytes:
    """Draw how many measurements lie inside of their intervals, and the error that was expected against the real one.

    Args:
        intervals: of the metrics.
        rows: on which they were tested.
        of: the property.
        binned: as `bins` gives it; None where the predictions have no spread.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(1, 1 if binned is None else 2, squeeze=False)[0]
    levels = np.array([point["level"] for point in intervals["calibration"]])
    covered = np.array([point["coverage"] for point in intervals["calibration"]])
    fine = np.linspace(0, 1, 101)
    chance = 1.96 * np.sqrt(fine * (1 - fine) / rows)
    axes: Axes = panels[0]
    axes.fill_between(100 * fine, 100 * (fine - chance), 100 * (fine + chance), color="#D9D9D9", linewidth=0)
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1)
    axes.plot(100 * levels, 100 * covered, color=BLUE, marker="o", markersize=6, linewidth=1.5)
    axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axes.set_xlabel("level of the interval (%)", fontsize=11)
    axes.set_ylabel("measurements inside (%)", fontsize=11)
    axes.set_title("coverage", loc="left", fontsize=12, fontweight="bold")
    plain(axes)
    if binned is not None:
        _expected(panels[1], binned, of)
    return _svg(figure)


def bins(predictions: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the mean expected and the mean real absolute error of ten equal parts of the rows, by expected error."""
    parts = np.array_split(predictions.sort_values(["spread", "record"]).index, min(BINS, len(predictions)))
    real = (predictions[method] - predictions["value"]).abs()
    means = [(predictions.loc[part, "spread"].mean(), real[part].mean()) for part in parts]
    return pd.DataFrame(means, columns=["expected", "real"])


def _expected(axes: Axes, binned: pd.DataFrame, of: Property) -> None:
    """Draw expected against real errors on logarithmic axes of the same range."""
    low, high = binned.to_numpy().min() / 1.25, binned.to_numpy().max() * 1.25
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.axline((low, low), (high, high), color=GREY, linewidth=1)
    axes.plot(binned["expected"], binned["real"], color=BLUE, marker="o", markersize=6, linewidth=1.5)
    ticks = _thinned(round_numbers(low, high))
    axes.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axes.set_xlabel(f"expected absolute error ({of.unit})", fontsize=11)
    axes.set_ylabel(f"mean absolute error ({of.unit})", fontsize=11)
    axes.set_title("expected and real error", loc="left", fontsize=12, fontweight="bold")
    plain(axes)


def _error_axis(axes: Axes, errors: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Frame errors on the x axis: from zero, or logarithmic where they differ much."""
    if errors.min() <= 0 or errors.max() < LONG * errors.min():
        axes.set_xlim(0, 1.06 * errors.max() or 1)
        return
    low, high = errors.min() / 1.15, errors.max() * 1.15
    ticks = _thinned(round_numbers(low, high))
    axes.set(xscale="log", xlim=(low, high))
    axes.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])


def _thinned(ticks: Sequence[float]) -> list[float]:
    """Return no more than nine of the ticks, those of 1, 2 and 5 rather than others."""
    if len(ticks) <= 9:
        return list(ticks)
    return [tick for tick in ticks if f"{tick:e}"[0] in "124" and f"{tick:e}"[2] == "0"]


def _cell(axes: Axes, group: Group, column: float, row: float) -> None:
    """Draw one element: pale and without an error where its rows are too few for a mean."""
    gain = 1 - group.transfer / group.scratch if group.scratch else 0.0
    few = group.rows < LEAST
    colour = "#F4F4F4" if few else GAINS(Normalize(-MOST, MOST, clip=True)(gain))
    axes.add_patch(
        Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, edgecolor="#B5B5B5", linewidth=0.5)
    )
    ink = "#777777" if few else "#111111"
    axes.text(column, row - 0.27, group.name, ha="center", va="center", size=9.5, weight="bold", color=ink)
    if not few:
        axes.text(column, row + 0.07, number(group.transfer), ha="center", va="center", size=7.5, color=ink)
    axes.text(column, row + 0.34, f"{group.rows:,}", ha="center", va="center", size=6.5, color="#444444")


def _place(element: str) -> tuple[int, int, bool]:
    """Return column and period of an element, and whether it stands below the others, with La to Yb or Ac to No."""
    z = atomic_numbers[element]
    period = next(place for place, last in enumerate(NOBLE, start=1) if z <= last)
    if 57 <= z <= 70 or 89 <= z <= 102:
        return z - (54 if period == 6 else 86), period, True
    since = z - (0, *NOBLE)[period - 1]
    if since <= (1 if period == 1 else 2):
        return since, period, False
    return 18 - (NOBLE[period - 1] - z), period, False


def _svg(figure: Figure) -> bytes:
    """Return the figure as SVG, without date and version."""
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "matlift", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
