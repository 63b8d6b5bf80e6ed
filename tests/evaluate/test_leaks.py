"""A leak is caught: planted copies stay together, or are refused by name; and without a leak noise teaches nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tasks.curate import compositions, molecules
from tasks.errors import MatliftError
from tasks.evaluate import choices, comparison
from tasks.evaluate.choices import validate
from tasks.evaluate.comparison import Job, Setting, run_job
from tasks.evaluate.files import are_in_source
from tasks.evaluate.folds import grouped_folds, keep_apart
from tasks.evaluate.metrics import errors
from tasks.featurize import Table
from tasks.learn import Choice, Fitted, fit_choice
from tasks.learn.pretraining import pretrain_network
from tasks.recipe import Pretraining, Residual

SAME_COMPOSITION = ["Fe2O3", "O3Fe2", "Fe4O6", "Fe O1.5", "(FeO)2O"]
SAME_MOLECULE = ["OCC", "C(C)O", "[CH3][CH2]O", "C([H])([H])([H])CO"]
SAME_SKELETON = ["C[C@H](O)F", "C[C@@H](O)F", "CC(O)F"]  # two enantiomers, and neither of them


def keys_of(formulas: list[str]) -> npt.NDArray[np.object_]:
    return np.array([identity.key for identity in compositions.describe(formulas)], dtype=object)


def keys_of_smiles(smiles: list[str]) -> npt.NDArray[np.object_]:
    return np.array([identity.key for identity in molecules.describe([(one, None) for one in smiles])], dtype=object)


def with_keys(table: Table, keys: npt.NDArray[np.object_]) -> Table:
    return replace(table.take(np.arange(len(keys))), keys=keys)


def by_lot(keys: npt.NDArray[np.object_], folds: int, seed: object) -> npt.NDArray[np.int64]:  # noqa: ARG001
    """Folds that do not look at the keys."""
    return np.arange(len(keys)) % folds


@pytest.mark.parametrize(
    "keys",
    [keys_of(SAME_COMPOSITION), keys_of_smiles(SAME_MOLECULE), keys_of_smiles(SAME_SKELETON)],
    ids=["composition", "molecule", "stereoisomers"],
)
def test_a_planted_copy_is_in_the_fold_of_the_original_however_it_is_written(keys: npt.NDArray[np.object_]) -> None:
    others = keys_of(["NaCl", "MgO", "SiC"])
    for seed in range(50):
        folds = grouped_folds(np.concatenate([others, keys]), 5, seed)
        assert len(set(folds[3:].tolist())) == 1


def test_rows_of_other_keys_are_kept_apart_and_of_the_same_key_refused_with_both_records(target: Table) -> None:
    table = with_keys(target, keys_of(["NaCl", "Fe2O3", "MgO", "O3Fe2"]))
    keep_apart(table.take(np.array([0, 1])), table.take(np.array([2])))
    with pytest.raises(MatliftError, match="would leak: 1:1 is trained on and 1:3 held out, but both are Fe2O3"):
        keep_apart(table.take(np.array([0, 1])), table.take(np.array([2, 3])))


@pytest.mark.parametrize("size", [None, 40])
def test_a_comparison_whose_folds_part_a_planted_copy_from_its_original_is_refused(
    make_setting: Callable[..., Setting], target: Table, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    keys = np.array([f"KEY{row}" for row in range(120)], dtype=object)
    keys[[7, 8]] = keys_of(["Fe2O3", "Fe4O6"])
    setting = make_setting(replace(target, keys=keys))
    monkeypatch.setattr(comparison, "grouped_folds", by_lot)
    monkeypatch.setattr(comparison, "subset", lambda rows, _, size, __: rows[:size])
    with pytest.raises(MatliftError, match="1:8 is trained on and 1:7 held out, but both are Fe2O3"):
        run_job(setting, Job(7 % 3, size))


def test_a_choice_made_on_copies_of_training_rows_is_refused(
    checkpoint: dict[str, bytes], make_setting: Callable[..., Setting], target: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Fitted.from_files(checkpoint["weights.safetensors"], checkpoint["model.json"])
    monkeypatch.setattr(choices, "grouped_folds", by_lot)
    with pytest.raises(MatliftError, match="would leak"):
        validate([Choice("direct")], source, target, make_setting(target).transfer, seed=0)


def test_rows_that_the_source_has_are_counted_however_they_are_written(target: Table) -> None:
    known = with_keys(target, keys_of(["Fe2O3", "NaCl", *(f"Li{2 * count + 1}O2" for count in range(30))]))
    plan = Pretraining(epochs=1, batch=64, rate=0.005, decay=0, sums=0, validation=0.1, patience=30, seed=0)
    learnt = pretrain_network(known, Residual(kind="residual", width=4, blocks=1), plan, "eV/atom")["keys.parquet"]
    measured = with_keys(target, keys_of(["MgO", "O3Fe2", "Na2Cl2", "Fe3O4", "Li3O2", "Li6O4"]))
    assert are_in_source(measured, learnt).tolist() == [False, True, True, False, True, True]


@pytest.fixture(scope="module")
def copies(target: Table) -> Table:
    """Sixty rows, each with a copy that shares its key and its value, which was drawn by lot from those of all."""
    once = target.take(np.arange(0, 120, 2))
    values = np.random.default_rng(0).permutation(once.values)
    twice = replace(once, values=values).take(np.tile(np.arange(60), 2))
    return replace(twice, records=np.array([f"R:{row}" for row in range(120)], dtype=object))


def test_where_values_are_shuffled_no_method_has_skill(make_setting: Callable[..., Setting], copies: Table) -> None:
    setting = make_setting(copies)
    outcomes = [run_job(setting, Job(fold, None)) for fold in range(3)]
    rows = np.concatenate([outcome.held_out for outcome in outcomes])
    found = {
        method: errors(
            copies.values[rows], np.concatenate([o.predictions[method] for o in outcomes]), setting.folds()[rows]
        )
        for method in outcomes[0].predictions
    }
    assert {"scratch", "transfer"} <= set(found)
    for method, of_method in found.items():
        assert of_method["r2"] < 0.05, method
        assert of_method["mae"] > 0.95 * found["mean"]["mae"], method


@pytest.mark.parametrize("choice", [Choice("scratch"), Choice("fine-tune", 0)], ids=lambda choice: choice.method)
def test_but_a_leak_would_look_like_skill(make_setting: Callable[..., Setting], copies: Table, choice: Choice) -> None:
    setting = make_setting(copies)
    source = Fitted.from_files(setting.weights, setting.about)
    long = setting.transfer.model_copy(update={"epochs": 150, "scratch_epochs": 150, "rate": 0.01})
    model = fit_choice(choice, source, copies.take(np.arange(60)), long, seed=0)  # the originals
    held_out = copies.take(np.arange(60, 120))  # their copies
    assert errors(held_out.values, model.predict(held_out), np.zeros(60, np.int64))["r2"] > 0.5
