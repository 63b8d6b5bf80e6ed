"""Measures pretraining: `python tests/learn/measure.py TABLE` tells its error on a tenth of the compounds of a table.

The network of the recipe formation-energy learns the other nine tenths; then ElemNet as published learns the same rows,
from fractions alone, for as many seconds. Neither ever sees the tenth, nor is anything chosen by it.
"""

import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.featurize import Table
from tasks.featurize.fractions import fraction_rows
from tasks.featurize.scale import Scale
from tasks.featurize.statistics import statistics_names, statistics_rows
from tasks.formulas import amounts, reduced
from tasks.learn.fitted import Fitted
from tasks.learn.pretraining import pretrain_network
from tasks.recipe import Network, Pretraining, Statistics, load_recipe
from tasks.recipe.schema import ELEMNET_ELEMENTS, ElemNet

Matrix = npt.NDArray[np.float64]

ELEMNET = {"batch": 512, "rate": 3e-4, "decay": 0}
HELD_OUT = 0.1


def compounds(path: str) -> pd.DataFrame:
    """Return formula and lowest value of each composition whose elements both networks know."""
    table = pd.read_csv(path)
    known = set(ELEMNET_ELEMENTS) & set(Statistics.elements)
    table = table[table["value"].between(-6, 6) & table["formula"].map(lambda text: amounts(text).keys() <= known)]
    return table.assign(formula=table["formula"].map(reduced)).groupby("formula", as_index=False)["value"].min()


def made(rows: pd.DataFrame, names: tuple[str, ...], matrix: Matrix, training: npt.NDArray[np.int64]) -> Table:
    """Return features that are standardised on the training rows, as the pipeline has them."""
    scale = Scale.fit(names, [matrix[training]])
    fractions = fraction_rows(rows["formula"].tolist(), elements=Statistics.elements)
    keys, nothing = rows["formula"].to_numpy(object), np.zeros(len(scale.names), np.float32)
    features = scale.apply(names, matrix).astype(np.float32)
    return Table(features, fractions, rows["value"].to_numpy(), keys, keys, nothing)


def learn(table: Table, training: npt.NDArray[np.int64], network: Network, plan: Pretraining) -> tuple[float, float]:
    """Return the seconds that pretraining took, and the mean absolute error on the rows that it did not have."""
    start = time.perf_counter()
    files = pretrain_network(table.take(training), network, plan, "eV/atom")
    seconds = time.perf_counter() - start
    held_out = table.take(np.setdiff1d(np.arange(len(table)), training))
    model = Fitted.from_files(files["weights.safetensors"], files["model.json"])
    return seconds, float(np.mean(np.abs(model.predict(held_out) - held_out.values)))


def main(path: str) -> None:
    """Measure both."""
    rows, recipe = compounds(path), load_recipe("formation-energy")
    training = np.sort(np.random.default_rng(0).permutation(len(rows))[round(HELD_OUT * len(rows)) :])
    formulas = rows["formula"].tolist()
    described = made(rows, statistics_names(fractions=True), statistics_rows(formulas, fractions=True), training)
    seconds, error = learn(described, training, recipe.network, recipe.pretraining)
    said = f"{len(training):,} compounds of {Path(path).name}, the other {len(rows) - len(training):,} held out"
    sys.stdout.write(f"{said}\nthe recipe's network: {error:.4f} eV/atom after {seconds:.0f} s\n")
    names = tuple(f"fraction_{element}" for element in ELEMNET_ELEMENTS)
    fractions = made(rows, names, fraction_rows(formulas, elements=ELEMNET_ELEMENTS), training)

    def elemnet(epochs: int) -> tuple[float, float]:
        plan = recipe.pretraining.model_copy(update={**ELEMNET, "epochs": epochs, "patience": epochs})
        return learn(fractions, training, ElemNet(kind="elemnet"), plan)

    first, third = (elemnet(epochs)[0] for epochs in (1, 3))  # the first epoch has to load and to prepare, too
    epochs = 1 + max(0, round((seconds - first) / (third - first) * 2))
    seconds, error = elemnet(epochs)
    sys.stdout.write(f"ElemNet: {error:.4f} eV/atom after {seconds:.0f} s, {epochs} epochs\n")


if __name__ == "__main__":
    main(sys.argv[1])
