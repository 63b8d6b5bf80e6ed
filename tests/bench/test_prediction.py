"""Predictions from file to file on two cores, beside what people write: a loop over the rows of a table, and PyTorch.

The models have learnt nothing: how fast they predict does not depend on that. Their sizes are those of the recipes.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from conftest import Contest
from inputs import batches, computed_formulas, qm9_smiles
from pymatgen.core import Composition
from rdkit import Chem
from rdkit.Chem.EState.Fingerprinter import FingerprintMol

from tasks.evaluate.intervals import LEVELS, Intervals
from tasks.featurize import Table
from tasks.featurize.estate import estate_names, estate_rows, formulas_of
from tasks.featurize.fractions import count_rows, fraction_rows
from tasks.featurize.properties import property_rows
from tasks.featurize.scale import Scale
from tasks.featurize.statistics import NORMS, statistics_names, statistics_rows
from tasks.featurize.topology import TOPOLOGY, topology
from tasks.learn import Domain, Fitted, represent
from tasks.manifest import described, dump, sealed
from tasks.predict import Inputs, load, predict_files
from tasks.recipe import Estate, FeatureSpec, Fractions, Residual, Statistics
from tasks.recipe.schema import ELEMNET_ELEMENTS as ELEMENTS

pytestmark = pytest.mark.usefixtures("two_cores")

Matrix = npt.NDArray[np.float64]
Made = tuple[Matrix, Matrix]  # features and fractions of the elements, of one item or of many

ORGANIC = ("C", "F", "H", "N", "O")
MEASURED = 1479  # rows of the domain, as the recipe formation-energy has
ROUNDS = 3
VALUES = property_rows(ELEMENTS)


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        takes: `smiles` or `formula`.
        spec: its features.
        names: of these.
        elements: that its source has.
        network: its size.
        frozen: layers that fine-tuning leaves as they are.
        row: what people write, from one item.
    """

    takes: str
    spec: FeatureSpec
    names: tuple[str, ...]
    elements: tuple[str, ...]
    network: Residual
    frozen: int
    row: Callable[[str], Made]


def fractions_row(formula: str) -> Made:
    """Return the fractions of a formula, by pymatgen."""
    composition = Composition(formula)
    row = np.array([composition.get_atomic_fraction(element) for element in ELEMENTS])
    return row, row


def statistics_row(formula: str) -> Made:
    """Return the statistics of the elements' properties over a formula, which pymatgen reads."""
    composition = Composition(formula)
    own = [element.symbol for element in composition]
    share = np.array([composition.get_atomic_fraction(element) for element in own])[:, None]
    values = VALUES[[ELEMENTS.index(element) for element in own]]
    mean = (share * values).sum(axis=0)
    deviation = (share * np.abs(values - mean)).sum(axis=0)
    least, most, mode = values.min(axis=0), values.max(axis=0), values[share[:, 0] == share.max()].mean(axis=0)
    statistics = np.column_stack([mean, deviation, least, most, most - least, mode]).ravel()
    norms = [(share**power).sum() ** (1 / power) for power in NORMS]
    every = np.array([composition.get_atomic_fraction(element) for element in Statistics.elements])
    return np.concatenate([statistics, norms, [len(own)], every]), fractions_row(formula)[0]


def molecule_row(smiles: str) -> Made:
    """Return the E-state indices, the counts of rings and the fractions of the elements of a molecule, by RDKit."""
    molecule = Chem.MolFromSmiles(smiles)
    symbols = [atom.GetSymbol() for atom in Chem.AddHs(molecule).GetAtoms()]
    row = np.concatenate([*FingerprintMol(molecule), topology(molecule)])
    return row, np.array([symbols.count(element) / len(symbols) for element in ORGANIC])


FRACTIONS = Fractions(kind="fractions"), tuple(f"fraction_{element}" for element in ELEMENTS), ELEMENTS
STATISTICS = Statistics(kind="statistics", fractions=True), statistics_names(fractions=True), ELEMENTS
ESTATE = Estate(kind="estate", topology=True, merged=True), (*estate_names(), *TOPOLOGY), ORGANIC
KINDS = {
    "formulas-small": Kind("formula", *FRACTIONS, Residual(kind="residual", width=64, blocks=2), 1, fractions_row),
    "formulas": Kind("formula", *STATISTICS, Residual(kind="residual", width=384, blocks=4), 2, statistics_row),
    "smiles": Kind("smiles", *ESTATE, Residual(kind="residual", width=256, blocks=3), 1, molecule_row),
}


def features_of(kind: Kind, items: Sequence[str]) -> Made:
    """Return the features of some items, and the fractions of the elements."""
    match kind.spec:
        case Fractions():
            rows = fraction_rows(items, elements=ELEMENTS)
            return rows, rows
        case Statistics():
            return statistics_rows(items, fractions=True), fraction_rows(items, elements=ELEMENTS)
        case Estate():
            atoms = count_rows(formulas_of(items), elements=ORGANIC)
            return estate_rows(items, topological=True, merged=True), atoms / atoms.sum(axis=1, keepdims=True)


def drawn(table: Table, kind: Kind, seed: int) -> Fitted:
    """Return a model whose weights are drawn: those of new networks are zero in places."""
    model = Fitted.untrained(table, kind.network, [seed])
    torch.manual_seed(seed)
    for name, weights in model.networks[0].named_parameters():
        if name.endswith(("outer.weight", "deep.weight")):
            torch.nn.init.normal_(weights, std=weights.shape[1] ** -0.5)
    return model


def fine_tuned(source: Fitted, kind: Kind) -> Fitted:
    """Return a model that differs from its source behind the frozen layers."""
    files = source.files()
    model = Fitted.from_files(files["weights.safetensors"], files["model.json"])
    for name, weights in model.networks[0].named_parameters():
        layer = int(name.split(".")[1]) if name.startswith("trunk.") else kind.frozen
        if layer >= kind.frozen:
            weights.data *= 1.01
    return model


def publish(folder: Path, kind: Kind, items: Sequence[str]) -> tuple[Fitted, Scale]:
    """Write a bundle; return its model and its scale, for those who have nothing of matlift's prediction."""
    raw, elements = features_of(kind, items)
    scale = Scale.fit(kind.names, [raw])
    keys = np.array(items[:MEASURED], dtype=object)
    values = np.random.default_rng(0).standard_normal(len(keys))
    matrix = scale.apply(kind.names, raw[:MEASURED])
    table = Table(matrix, elements[:MEASURED], values, keys, keys, np.zeros(matrix.shape[1], np.float32))
    source, rival = drawn(table, kind, 0), drawn(table, kind, 1)
    model = fine_tuned(source, kind)
    domain = Domain.fit(represent(source, table), keys, kind.elements)
    intervals = Intervals(np.full(len(domain.rows), 0.1), 0.1, 0.0, np.full(3, 0.3), dict.fromkeys(LEVELS, 2.0))
    of = "molecules" if kind.takes == "smiles" else "compositions"
    state = {"of": of, "extensive": False, "elements": kind.elements, "absent": []}
    unit = {"name": "a property", "symbol": "x", "unit": "eV", "extensive": False}
    files = {
        "features.json": json.dumps({**kind.spec.model_dump(), **state, **scale.state()}).encode(),
        "about.json": json.dumps({"property": unit, "level": 0.9, "reach": 2.0}).encode(),
        "intervals.json": intervals.to_json(),
        **domain.files(),
    }
    for name, one in (("model", model), ("trunk", source), ("rival", rival)):
        made = one.files()
        files |= {f"{name}.json": made["model.json"], f"{name}.safetensors": made["weights.safetensors"]}
    files["weights.safetensors"] = files.pop("model.safetensors")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    entries = {name: described(content) for name, content in files.items()}
    manifest = {"kind": "bundles", "fingerprint": "0" * 16, "made": "today", "seconds": 0.0, "files": entries}
    (folder / "manifest.json").write_bytes(dump(sealed(manifest)))
    return model, scale


@pytest.mark.parametrize(("name", "size"), [("formulas-small", 100_000), ("formulas", 50_000), ("smiles", 20_000)])
def test_from_file_to_file(contest: Contest, tmp_path: Path, name: str, size: int) -> None:
    kind = KINDS[name]
    items = qm9_smiles() if kind.takes == "smiles" else computed_formulas(size * (ROUNDS + 1), seed=5)
    folder = tmp_path / "bundle"
    folder.mkdir()
    model, scale = publish(folder, kind, items[:5000])

    def written(batch: Sequence[str]) -> Path:
        path = tmp_path / "in.csv"
        path.write_text("\n".join([kind.takes, *batch, ""]))
        return path

    def ours(batch: Sequence[str]) -> "pd.Series[float]":
        output = tmp_path / "ours.csv"
        predict_files(load(str(folder)), Inputs([str(written(batch))], kind.takes), output)
        return pd.read_csv(output)["value"]

    def peer(batch: Sequence[str]) -> "pd.Series[float]":
        table = pd.read_csv(written(batch), keep_default_na=False)  # NaN is a compound of sodium
        rows, elements = (np.array(part) for part in zip(*map(kind.row, table[kind.takes]), strict=True))
        matrix, blank = scale.apply(kind.names, rows), np.full(len(rows), "", dtype=object)
        table["value"] = model.predict(Table(matrix, elements, np.zeros(len(rows)), blank, blank, matrix[0]))
        table.to_csv(tmp_path / "peer.csv", index=False)
        return table["value"]

    def check(batch: Sequence[str], mine: "pd.Series[float]", other: "pd.Series[float]") -> str:
        assert len(mine) == len(batch)
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)
        return f"the same values to 1e-5 of {len(batch):,} rows; ours have intervals and domain beside"

    contest(f"predict-{name}", ours=ours, peer=peer, batches=batches(items, size, ROUNDS), check=check, unit="rows/s")
