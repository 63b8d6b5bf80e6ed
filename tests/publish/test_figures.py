"""The figures can be read, are the same each time, and hide no point without saying so."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from tasks.publish import figures
from tasks.publish.figures import learning_curve, parity
from tasks.recipe import Recipe


def pixels(png: bytes) -> np.ndarray:
    image: np.ndarray = matplotlib.image.imread(BytesIO(png))
    return image


def coloured(png: bytes, colour: str) -> int:
    """Return how many pixels have a colour."""
    wanted = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return int(np.all(np.abs(pixels(png)[..., :3] - wanted) < 0.01, axis=-1).sum())


def test_the_same_numbers_give_the_same_bytes(compared: Any, recipe: Recipe) -> None:
    again = json.loads(json.dumps(compared.metrics))
    for draw in (
        lambda metrics: parity(compared.predictions, metrics, recipe.property),
        lambda metrics: learning_curve(metrics, recipe.property),
    ):
        assert draw(compared.metrics) == draw(again)
        assert b"tIME" not in draw(again).png
        assert b"Software" not in draw(again).png


def test_figures_are_large_enough_for_a_readme(compared: Any, recipe: Recipe) -> None:
    for picture in (
        parity(compared.predictions, compared.metrics, recipe.property),
        learning_curve(compared.metrics, recipe.property),
    ):
        height, width = pixels(picture.png).shape[:2]
        assert width >= 1600
        assert 0.5 < height / width < 0.7


def test_extreme_values_do_not_squash_the_others_and_are_counted(compared: Any, recipe: Recipe) -> None:
    rows = compared.predictions
    low, high = figures._frame(rows[["value", "transfer", "scratch"]].to_numpy())
    assert -1200 < low < -600
    assert 300 < high < 800
    beyond = {
        method: int((~rows[["value", method]].apply(lambda column: column.between(low, high))).any(axis=1).sum())
        for method in ("transfer", "scratch")
    }
    assert 4 <= beyond["transfer"] < 30
    caption = parity(rows, compared.metrics, recipe.property).caption
    assert f"(transfer {beyond['transfer']}, scratch {beyond['scratch']})" in caption


def test_both_kinds_of_molecules_are_drawn(compared: Any, recipe: Recipe) -> None:
    assert all(coloured(parity(compared.predictions, compared.metrics, recipe.property).png, colour) > 100
               for colour in (figures.BLUE, figures.ORANGE))  # fmt: skip


def test_arrows_are_drawn_only_where_transfer_is_worth_something(
    compared: Any, make_comparison: Callable[..., Any], recipe: Recipe
) -> None:
    lost = make_comparison({50: (92, 75), 100: (69, 59), None: (38, 30)}).metrics
    assert all(point["difference"]["low"] > 0 for point in lost["learning_curve"])
    won, none = (
        coloured(learning_curve(metrics, recipe.property).png, figures.GREY) for metrics in (compared.metrics, lost)
    )
    assert won > none + 500


@pytest.mark.parametrize("scales", [{None: (30, 38)}, {50: (0.075, 0.092), None: (0.03, 0.03)}])
def test_other_curves_can_be_drawn(
    scales: dict[int | None, tuple[float, float]], make_comparison: Callable[..., Any], recipe: Recipe
) -> None:
    assert learning_curve(make_comparison(scales).metrics, recipe.property).png.startswith(b"\x89PNG")
