"""Pretraining leaves a model that has learnt the source, and says how well."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tasks.featurize import Table
from tasks.learn.fitted import Fitted
from tasks.learn.pretraining import pretrain_network
from tasks.recipe import Pretraining, Residual
from tasks.tables import from_parquet

SMALL = Residual(kind="residual", width=8, blocks=1)
QUICK = Pretraining(epochs=3, batch=32, rate=0.003, decay=0, sums=0.5, validation=0.2, patience=3, seed=0)


def mae(model: Fitted, table: Table) -> float:
    return float(np.mean(np.abs(model.predict(table) - table.values)))


def test_the_network_learns_what_is_not_additive(source: Fitted, make: Callable[..., Table]) -> None:
    unseen = make(300, 99)
    additive_alone = float(np.mean(np.abs(unseen.elements @ source.additive - unseen.values)))
    assert mae(source, unseen) < 0.35 * additive_alone


def test_the_history_tells_rows_and_errors_in_the_unit_of_the_property(
    checkpoint: dict[str, bytes], source: Fitted, make: Callable[..., Table]
) -> None:
    history = json.loads(checkpoint["history.json"])
    assert (history["unit"], history["training_rows"], history["validation_rows"]) == ("kJ/mol", 1350, 150)
    assert [epoch["number"] for epoch in history["epochs"]] == list(range(1, len(history["epochs"]) + 1))
    assert history["validation_mae"] == min(epoch["error"] for epoch in history["epochs"])
    assert 0.6 < mae(source, make(300, 99)) / history["validation_mae"] < 1.6


def test_the_error_told_is_that_of_the_rows_kept_aside(make: Callable[..., Table]) -> None:
    table = make(100, 0)
    files = pretrain_network(table, SMALL, QUICK, "kJ/mol")
    model = Fitted.from_files(files["weights.safetensors"], files["model.json"])
    told = json.loads(files["history.json"])["validation_mae"]
    aside = np.random.default_rng(QUICK.seed).permutation(100)[:20]
    np.testing.assert_allclose(mae(model, table.take(aside)), told, rtol=1e-4)


def test_the_checkpoint_names_the_molecules_it_has_seen(make: Callable[..., Table]) -> None:
    table = make(60, 0)
    files = pretrain_network(table, SMALL, QUICK, "kJ/mol")
    assert from_parquet(files["keys.parquet"])["key"].tolist() == sorted(table.keys)


def test_the_checkpoint_says_which_elements_it_has_seen(make: Callable[..., Table]) -> None:
    table = make(60, 0)
    table.elements[:, 1] = 0
    files = pretrain_network(table, SMALL, QUICK, "kJ/mol")
    assert json.loads(files["seen.json"]) == [True, False, True]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(make: Callable[..., Table]) -> None:
    plans = (QUICK, QUICK, QUICK.model_copy(update={"seed": 1}))
    one, again, other = (pretrain_network(make(60, 0), SMALL, plan, "kJ/mol") for plan in plans)
    assert one == again
    assert one["weights.safetensors"] != other["weights.safetensors"]


def related(table: Table, *, first: int = 0) -> Table:
    """Return another table: the same rows from one on, under other names, with half of what they had and a shift."""
    part = table.take(np.arange(first, len(table)))
    return replace(part, values=0.5 * part.values + 7, records=part.records + " of another")


def test_the_trunk_learns_from_other_tables_too(make: Callable[..., Table]) -> None:
    plan = QUICK.model_copy(update={"epochs": 30, "sums": 0, "patience": 30})
    wider = Residual(kind="residual", width=32, blocks=1)
    unseen, maes = make(300, 99), []
    for others in ([], [related(make(1500, 1))]):
        files = pretrain_network(make(150, 0), wider, plan, "kJ/mol", others)
        maes.append(mae(Fitted.from_files(files["weights.safetensors"], files["model.json"]), unseen))
    assert maes[1] < 0.8 * maes[0]


def test_what_validates_is_not_learnt_from_another_table_either(make: Callable[..., Table]) -> None:
    table = make(100, 0)
    files = pretrain_network(table, SMALL, QUICK, "kJ/mol", [related(table, first=10), make(30, 5)])
    history = json.loads(files["history.json"])
    aside = np.random.default_rng(QUICK.seed).permutation(100)[:20]
    assert history["auxiliary_rows"] == [90 - int(np.sum(aside >= 10)), 30]
    told = {*table.keys, *make(30, 5).keys}
    assert from_parquet(files["keys.parquet"])["key"].tolist() == sorted(told)
    model = Fitted.from_files(files["weights.safetensors"], files["model.json"])
    np.testing.assert_allclose(mae(model, table.take(aside)), history["validation_mae"], rtol=1e-4)


def test_a_plan_that_averages_keeps_the_averaged_weights(make: Callable[..., Table]) -> None:
    table = make(60, 0)
    plans = (QUICK, QUICK.model_copy(update={"average": 0.9}))
    plain, averaged = (pretrain_network(table, SMALL, plan, "kJ/mol") for plan in plans)
    assert plain["weights.safetensors"] != averaged["weights.safetensors"]
    losses = [[epoch["loss"] for epoch in json.loads(files["history.json"])["epochs"]] for files in (plain, averaged)]
    assert losses[0] == losses[1]
