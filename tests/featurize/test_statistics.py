"""Statistics describe a composition by what its elements are like, whether the source has them or not."""

import csv
import json
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import pytest
from ase.data import atomic_numbers
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import MatliftError
from tasks.featurize import Table, load
from tasks.featurize.matrix import featurize_rows, load_scale
from tasks.featurize.properties import property_names
from tasks.featurize.scale import Scale
from tasks.featurize.statistics import OVER_ELEMENTS, statistics_names, statistics_rows
from tasks.formulas import amounts, reduced
from tasks.handles import Features, Snapshot
from tasks.learn import Choice
from tasks.learn.fitted import Fitted
from tasks.learn.pretraining import pretrain_network
from tasks.learn.transfer import fit_choice
from tasks.recipe import Pretraining, Residual, Statistics, Transfer
from tasks.store import Store
from tasks.tables import to_parquet

NAMES = statistics_names()
STATISTICS = Statistics(kind="statistics")


def of(formula: str, name: str) -> dict[str, float]:
    """Return the statistics of a property, or all columns of a kind."""
    values = dict(zip(NAMES, statistics_rows([formula])[0].tolist(), strict=True))
    return {column.partition("_")[2]: value for column, value in values.items() if column.partition("_")[0] == name}


def test_each_property_has_six_statistics_and_the_fractions_have_norms() -> None:
    assert len(NAMES) == len(set(NAMES)) == 19 * 6 + 5 + 1
    assert statistics_rows(["Fe2O3", "NaCl"]).shape == (2, len(NAMES))


def test_statistics_are_those_of_the_definition() -> None:
    assert of("Fe2O3", "number") == pytest.approx(
        {"mean": 15.2, "deviation": 8.64, "minimum": 8, "maximum": 26, "range": 18, "mode": 8}
    )
    assert of("Fe", "number") == {"mean": 26, "deviation": 0, "minimum": 26, "maximum": 26, "range": 0, "mode": 26}


def test_of_equally_abundant_elements_the_mode_is_the_mean() -> None:
    assert of("NaClO0.5", "number")["mode"] == (11 + 17) / 2


def test_norms_are_those_of_the_fractions() -> None:
    assert of("NaCl", "norm") == pytest.approx({str(p): 2 ** (1 / p) / 2 for p in (2, 3, 5, 7, 10)})
    assert of("NaCl", "elements") == {"": 2}


compositions = st.dictionaries(st.sampled_from(Statistics.elements), st.integers(1, 40), min_size=1, max_size=9)


@given(compositions, st.integers(2, 99), st.lists(compositions, max_size=3), st.randoms(use_true_random=False))
def test_neither_multiples_nor_order_nor_other_rows_change_a_bit(
    parts: dict[str, int], times: int, others: list[dict[str, int]], chance: object
) -> None:
    shuffled = sorted(parts.items(), key=lambda _: chance.random())  # type: ignore[attr-defined]
    same = "".join(f"{element}{number * times}" for element, number in shuffled)
    beside = ["".join(f"{element}{number}" for element, number in other.items()) for other in others]
    (alone,) = statistics_rows(["".join(f"{element}{number}" for element, number in parts.items())])
    assert statistics_rows([*beside, same])[-1].tobytes() == alone.tobytes()


@given(compositions)
def test_statistics_lie_between_the_least_and_the_greatest(parts: dict[str, int]) -> None:
    formula = "".join(f"{element}{number}" for element, number in parts.items())
    (row,) = statistics_rows([formula])
    mean, deviation, least, most, range_, mode = row[: 19 * 6].reshape(19, 6).T
    slack = 1e-12 * np.abs(most)
    assert (least <= mean + slack).all()
    assert (mean <= most + slack).all()
    assert ((least <= mode) & (mode <= most + slack)).all()
    assert ((deviation >= 0) & (deviation <= range_ / 2 + slack)).all()
    numbers = [atomic_numbers[element] for element in parts]
    assert (least[0], most[0]) == (min(numbers), max(numbers))


def test_an_element_that_is_not_described_is_refused_with_its_formula() -> None:
    with pytest.raises(MatliftError, match="HeO has He"):
        statistics_rows(["Fe2O3", "HeO"])


@pytest.fixture(scope="module")
def table(shared_data: Path) -> list[str]:
    """Formulas of the table of formation energies."""
    with (shared_data / "oqmd/formation_energy.csv").open() as file:
        formulas = [row["formula"] for row in csv.DictReader(file)][::3]
    return [formula for formula in formulas if amounts(formula).keys() <= set(Statistics.elements)]


def test_fifty_thousand_formulas_a_second(table: list[str]) -> None:
    spent = []
    for _ in range(3):
        start = process_time()
        for first in range(0, len(table), 2000):
            statistics_rows(table[first : first + 2000])
        spent.append(process_time() - start)
    assert len(table) / min(spent) > 25_000  # half, for a machine that does other things besides


def test_standardised_columns_are_neither_faint_nor_wild(table: list[str]) -> None:
    matrix = statistics_rows(table)
    scale = Scale.fit(NAMES, [matrix])
    scaled = scale.apply(NAMES, matrix)
    assert scale.names == NAMES
    assert (scaled.std(axis=0) > 0.1).all()
    assert np.abs(scaled).max() < 10  # without kinds the least number of f holes reaches 29


def snapshot(store: Store, name: str, rows: dict[str, float]) -> Snapshot:
    """Put a curated table of compositions into the store."""
    frame = pd.DataFrame({"formula": [reduced(formula) for formula in rows], "value": list(rows.values())})
    frame["key"] = frame["record"] = frame["formula"]
    elements = sorted({element for formula in rows for element in amounts(formula)})
    handle = Snapshot(name)
    report = json.dumps({"of": "compositions", "elements": elements}).encode()
    store.write(handle, {"rows.parquet": to_parquet(frame, {"value": "eV/atom"}), "report.json": report}, 0)
    return handle


def featurized(store: Store, name: str, rows: dict[str, float], scale: Features | None = None) -> Features:
    handle = Features(name)
    files = featurize_rows(store, snapshot(store, name, rows), STATISTICS, scale, extensive=False)
    store.write(handle, files, 0)
    return handle


SALTS = {f"{metal}{anion}": -1.0 - place / 10 for place, (metal, anion) in enumerate(
    (metal, anion) for metal in ("Li", "Na", "K", "Cs") for anion in ("F", "Cl", "I")
)}  # fmt: skip


@pytest.fixture
def tables(store: Store) -> tuple[Table, Table]:
    """A source without Rb and Br, and a target that has them."""
    source = featurized(store, "source", SALTS)
    target = featurized(store, "target", {"RbBr": -1.9, "RbCl": -2.0, "NaCl": -1.8, "LiBr": -1.7}, source)
    assert load_scale(store, target).state() == load_scale(store, source).state()
    return load(store, source), load(store, target)


def test_an_element_that_the_source_lacks_has_features_and_a_column(tables: tuple[Table, Table]) -> None:
    source, target = tables
    assert source.elements.shape == (12, 91)
    bromide = target.records.tolist().index("BrRb")
    assert target.elements[bromide, Statistics.elements.index("Rb")] == 0.5
    assert np.isfinite(target.features).all()
    np.testing.assert_array_equal(  # the same compound, the same features
        target.features[target.records.tolist().index("ClNa")], source.features[source.records.tolist().index("ClNa")]
    )
    middle = [name.startswith("electronegativity_mean") for name in NAMES]
    assert sum(middle) == 1


def test_a_network_is_pretrained_and_fitted_on_elements_that_the_source_lacks(tables: tuple[Table, Table]) -> None:
    source, target = tables
    pretraining = Pretraining(epochs=2, batch=4, rate=0.01, decay=0, sums=0, validation=0.2, patience=2, seed=0)
    files = pretrain_network(source, Residual(kind="residual", width=8, blocks=1), pretraining, "eV/atom")
    model = Fitted.from_files(files["weights.safetensors"], files["model.json"])
    unseen = ~source.elements.any(axis=0)
    assert len(set(model.additive[unseen].tolist())) == 1  # the median, of each
    assert np.median(source.values) == pytest.approx(model.additive[unseen][0], abs=0.3)
    plan = Transfer(
        freeze=(0,), epochs=2, scratch_epochs=2, batch=2, rate=0.001, scratch_rate=0.001, decay=0, members=1, seed=0
    )
    for choice in (Choice("direct"), Choice("featurizer"), Choice("fine-tune", 0), Choice("scratch")):
        predicted = fit_choice(choice, model, target, plan, seed=0).predict(target)
        assert np.isfinite(predicted).all(), choice


def test_every_column_belongs_to_the_kind_of_its_property() -> None:
    kinds = {name.partition("_")[0] for name in NAMES}
    assert kinds == {*property_names(), "norm", "elements"}
    assert all(f"{name}_{statistic}" in NAMES for name in property_names() for statistic in OVER_ELEMENTS)
