"""Suggestions for a published model, from the command line too: what is worth measuring, and nothing else."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import models
import numpy as np
import pandas as pd
import pytest
from models import Published

from tasks.errors import MatliftError
from tasks.formulas import reduced
from tasks.predict import Predictor
from tasks.suggest import Measured, Suggestions, opened, suggest

NEW = [f"{metal}2{other}{count}" for metal, other, count in product(models.METALS, models.OTHERS, (1, 3, 5))]


@pytest.fixture(scope="module")
def model(published: Published) -> tuple[Predictor, Measured]:
    return opened(str(published.folder))


def suggested(model: tuple[Predictor, Measured], items: list[str], count: int) -> Suggestions:
    return suggest(*model, items, count)


def test_what_was_measured_is_never_suggested(model: tuple[Predictor, Measured], published: Published) -> None:
    twice = [f"({item})2" for item in published.items]
    found = suggested(model, [*published.items, *twice, *NEW], 1000)
    measured = set(map(reduced, published.items))
    assert not set(map(reduced, found.rows["item"])) & measured
    assert found.measured == 2 * len(published.items) + sum(reduced(item) in measured for item in NEW)


def test_what_is_out_of_the_domain_or_cannot_be_read_is_never_suggested(model: tuple[Predictor, Measured]) -> None:
    strange = ["Xe2", "PuI3", "nonsense", "", "Li9999F"]
    found = suggested(model, [*NEW, *strange], 1000)
    predicted = model[0].predict(sorted({*NEW, *strange}))
    assert found.outside == sum(~predicted["in_domain"] & predicted["value"].notna())
    assert found.bad == sum(predicted["value"].isna())
    assert set(found.rows["item"]) <= set(predicted["item"][predicted["in_domain"]])


def test_more_than_there_are_is_all_that_there_are(model: tuple[Predictor, Measured]) -> None:
    found = suggested(model, NEW, 10_000)
    assert len(found.rows) == found.candidates - found.measured - found.outside
    assert found.rows["item"].is_unique


def test_the_order_of_the_candidates_does_not_matter(model: tuple[Predictor, Measured]) -> None:
    once = suggested(model, NEW, 20).rows
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(NEW).tolist()
        pd.testing.assert_frame_equal(suggested(model, [*shuffled, *shuffled[:10]], 20).rows, once)


def test_one_of_several_that_are_the_same_is_suggested(model: tuple[Predictor, Measured]) -> None:
    found = suggested(model, ["K2O5", "O5K2", "K4O10", "K2S5"], 10).rows
    assert sorted(map(reduced, found["item"])) == ["K2O5", "K2S5"]


def test_values_and_intervals_are_those_of_the_prediction(model: tuple[Predictor, Measured]) -> None:
    found = suggested(model, NEW, 10).rows
    predicted = model[0].predict(found["item"].tolist())
    for name in ("value", "lower", "upper"):
        np.testing.assert_allclose(found[name], predicted[name], rtol=1e-5)
    assert (found["gain"] > 0).all()


def test_measuring_what_is_suggested_first_is_worth_most(model: tuple[Predictor, Measured]) -> None:
    gains = suggested(model, NEW, 1000).rows["gain"]
    assert gains.iloc[0] == gains.max()
    assert gains.sum() < 100


def test_nothing_to_choose_from_is_an_error(model: tuple[Predictor, Measured], published: Published) -> None:
    with pytest.raises(MatliftError, match="none of 106 candidates can be suggested: 105 are measured, 0 are out"):
        suggested(model, [*published.items, "nonsense"], 5)
    with pytest.raises(MatliftError, match="there are no candidates"):
        suggested(model, [], 5)


def matlift(*arguments: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    order = [sys.executable, "-m", "flows.cli", "suggest", *arguments]
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        order,
        input=given,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_suggests_from_a_file_or_the_standard_input(
    model: tuple[Predictor, Measured], published: Published, tmp_path: Path
) -> None:
    expected = suggested(model, NEW, 5).rows
    (tmp_path / "candidates.csv").write_text("\n".join(["name,formula", *(f"it,{item}" for item in NEW), ""]))
    done = matlift(published.bundle.recipe, "candidates.csv", "--count", "5", "--output", "best.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "best.csv")
    assert found["item"].tolist() == expected["item"].tolist()
    assert found.columns.tolist() == ["item", "value", "lower", "upper", "gain", "unit"]
    assert f"of {len(NEW)} candidates" in done.stderr
    piped = matlift(str(published.folder), "--count", "5", folder=tmp_path, given="\n".join(NEW))
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout == (tmp_path / "best.csv").read_text()


def test_the_command_simulates(published: Published, tmp_path: Path) -> None:
    done = matlift(published.bundle.recipe, "--simulate", "--output", "curve.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "measurements do" in done.stdout
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
