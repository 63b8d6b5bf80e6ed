"""Measures transfer between metals: `python tests/learn/porphyrins.py FOLDER` reads CMR's porphyrins as published.

Dyes with five of the six metals are the source; 200 dyes with the sixth are the target, and its others are held out,
each fold of ligand sets in turn. The features are the published E-state sums of the free base, by which a dye does not
differ from the same ligands on another metal, and the metal. Plan and network are those of the recipe porphyrin.

Each held-out set of ligands is in the source with five other metals, as it was with Li et al.
(doi:10.1021/acs.jpca.8b02842). The first fold is then predicted again from a source without its ligands.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluate.comparison import Job, Outcome, Setting, run_job
from tasks.featurize import Table
from tasks.featurize.scale import Scale
from tasks.learn.pretraining import pretrain_network
from tasks.recipe import load_recipe

LIGANDS = ["A", "R1", "R2", "R3"]
SIZE = 200  # dyes of the target
LABELS = ("metal", "Rot")  # all other features are sums
METHODS = ("transfer", "scratch")

Mask = npt.NDArray[np.bool_]


def dyes(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the dyes whose ligands have published sums, and the names of the features."""
    published = pd.read_csv(folder / "porphyrin_estate_sums.csv").drop(columns=["name", "M", "E_gap"])
    every = pd.read_csv(folder / "porphyrin_dyes.csv").merge(published, on=LIGANDS, validate="many_to_one")
    metals = pd.get_dummies(every["M"], prefix="metal", dtype=float)
    sums = [name for name in published.columns if name not in LIGANDS]
    rows = every[["M", "E_gap", *sums]].join(metals).assign(key=every[LIGANDS].agg("/".join, axis=1))
    return rows, [*sums, *metals.columns]


def tables(rows: pd.DataFrame, names: list[str], source: Mask, target: Mask) -> Iterator[Table]:
    """Return source and target, standardised on the source."""
    matrix = rows[names].to_numpy()
    named = tuple(f"{'label' if name.startswith(LABELS) else 'sum'}_{name}" for name in names)
    scale = Scale.fit(named, [matrix[source]])
    for chosen in (source, target):
        keys, features = rows["key"].to_numpy(object)[chosen], scale.apply(named, matrix[chosen])
        nothing = np.zeros(features.shape[1], np.float32)
        elements = np.ones((len(keys), 1))  # nothing adds up: of the additive part only the mean is left
        yield Table(features, elements, rows["E_gap"].to_numpy()[chosen], keys, keys, nothing)


def outcomes(rows: pd.DataFrame, names: list[str], metal: str, without: set[str], folds: range) -> list[Outcome]:
    """Pretrain on other metals, without some ligands; predict folds of the dyes with a metal from 200 of the others."""
    recipe, target = load_recipe("porphyrin"), (rows["M"] == metal).to_numpy()
    source = ~target & ~rows["key"].isin(without).to_numpy()
    computed, measured = tables(rows, names, source, target)
    files = pretrain_network(computed, recipe.network, recipe.pretraining, "eV")
    limits = recipe.target.rules.between
    evaluation = recipe.evaluation
    setting = Setting(files["weights.safetensors"], files["model.json"], measured, recipe.transfer, evaluation, limits)
    return [run_job(setting, Job(fold, SIZE)) for fold in folds]


def errors(rows: pd.DataFrame, metal: str, found: list[Outcome]) -> str:
    """Say the errors of both methods on all that was held out."""
    values = rows["E_gap"].to_numpy()[(rows["M"] == metal).to_numpy()]
    said = []
    for method in METHODS:
        missed = np.concatenate([outcome.predictions[method] - values[outcome.held_out] for outcome in found])
        said.append(f"{method} RMSE {np.sqrt(np.mean(missed**2)):.4f}, MAE {np.mean(np.abs(missed)):.4f}")
    held_out = sum(len(outcome.held_out) for outcome in found)
    chosen = ", ".join(sorted({outcome.choices.best.method for outcome in found}))
    return f"{'; '.join(said)} eV on {held_out:,} dyes ({chosen})"


def main(folder: Path) -> None:
    """Measure with each metal as the sixth."""
    rows, names = dyes(folder)
    for metal in sorted(rows["M"].unique()):
        start = time.perf_counter()
        found = outcomes(rows, names, metal, set(), range(load_recipe("porphyrin").evaluation.folds))
        sys.stdout.write(f"{metal}, its ligands in the source: {errors(rows, metal, found)}\n")
        keys = rows["key"].to_numpy(object)[(rows["M"] == metal).to_numpy()]
        again = outcomes(rows, names, metal, set(keys[found[0].held_out]), range(1))
        sys.stdout.write(f"{metal}, its ligands not in the source: {errors(rows, metal, again)}\n")
        sys.stdout.write(f"{time.perf_counter() - start:.0f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
