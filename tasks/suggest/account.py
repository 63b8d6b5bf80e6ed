"""What a simulation says: a sentence, a table, and a picture."""

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.publish.figures import DPI, GREEN, GREY, VERMILION, plain, round_numbers
from tasks.publish.words import number
from tasks.suggest.simulation import Simulation

CHOICES = (("drawn by lot", VERMILION, "s"), ("suggested", GREEN, "o"))


def headline(simulation: Simulation, unit: str) -> str:
    """Say how many measurements suggestions save."""
    final, goal = int(simulation.sizes[-1]), number(simulation.curves[0, -1])
    by_lot = f"{final:,} that are drawn by lot (a mean absolute error of {goal} {unit} on rows held out)"
    if simulation.needed is None:
        return f"Suggestions save nothing here: {final:,} suggested measurements do worse than {by_lot}."
    low, high = (share(simulation, end) for end in reversed(simulation.interval()))
    return (
        f"{simulation.needed:,.0f} suggested measurements do what {by_lot} do: "
        f"{share(simulation, simulation.needed)} % fewer (95 % interval {low} to {high} %)."
    )


def share(simulation: Simulation, needed: float) -> str:
    """Return how many percent of the measurements are saved if so many are needed."""
    return f"{100 * (1 - needed / simulation.sizes[-1]):.0f}"


def method(simulation: Simulation) -> str:
    """Say how it was found out."""
    rows, first = simulation.errors.shape[3], f"{simulation.sizes[0]:,}"
    return (
        f"Of {rows:,} measured rows a fifth is held out in turn, {len(simulation.errors)} times anew. Of the others "
        f"{first} drawn by lot are measured first; {len(simulation.sizes) - 1} times more are added, as suggested from "
        "what was measured so far or by lot. After each time both learn by a Gaussian process what the source's model "
        "misses."
    )


def table(simulation: Simulation) -> list[tuple[str, str, str]]:
    """Return number of measurements and both errors with their standard deviations over the draws, line by line."""
    columns = zip(simulation.sizes, simulation.curves.T, simulation.spread.T, strict=True)
    return [
        (f"{size:,}", *(f"{number(mean)} ± {number(sd)}" for mean, sd in zip(means, sds, strict=True)))  # type: ignore[misc]
        for size, means, sds in columns
    ]


def picture(simulation: Simulation, symbol: str, unit: str) -> bytes:
    """Draw the error against the number of measurements as PNG, for both ways to choose them.

    Args:
        simulation: what came of it.
        symbol: of the property.
        unit: of the errors.
    """
    figure = Figure(figsize=(8, 5), dpi=DPI, layout="constrained")
    axes: Axes = figure.subplots()
    axes.set(xscale="log", yscale="log")
    for (label, colour, marker), errors, spread in zip(CHOICES, simulation.curves, simulation.spread, strict=True):
        axes.fill_between(simulation.sizes, errors - spread, errors + spread, color=colour, alpha=0.2, linewidth=0)
        axes.plot(simulation.sizes, errors, color=colour, marker=marker, markersize=5, linewidth=2)
        above = label == CHOICES[0][0]
        axes.annotate(
            label,
            (simulation.sizes[4], errors[4]),
            (4, 12) if above else (-4, -12),
            textcoords="offset points",
            ha="left" if above else "right",
            va="bottom" if above else "top",
            color=colour,
            fontsize=12,
            weight="bold",
        )
    _arrow(axes, simulation)
    ticks = simulation.sizes[::3]
    axes.set_xticks(ticks, [f"{size:,}" for size in ticks])
    low, high = axes.get_ylim()
    rounded = round_numbers(low, high)
    axes.set_yticks(rounded, [f"{tick:,.10g}" for tick in rounded])
    axes.set_xlabel("measurements", fontsize=11)
    axes.set_ylabel(f"mean absolute error of {symbol} ({unit})", fontsize=11)
    plain(axes)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _arrow(axes: Axes, simulation: Simulation) -> None:
    """Point from where measurements drawn by lot end to where suggested ones are as good."""
    if simulation.needed is None:
        return
    height, last = simulation.curves[0, -1], simulation.sizes[-1]
    arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.2, "shrinkA": 4, "shrinkB": 1}
    axes.annotate("", (simulation.needed, height), (last, height), arrowprops=arrow, zorder=4)
    label = f"{share(simulation, simulation.needed)} % fewer"
    middle = float(np.sqrt(simulation.needed * last))
    axes.annotate(label, (middle, height), (0, 3), textcoords="offset points", va="bottom", ha="center", color=GREY)
