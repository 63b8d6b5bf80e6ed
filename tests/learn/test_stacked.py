"""A stack predicts the weighted mean of its parts, before its files and after; its weights are those that err least."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.featurize import Table
from tasks.learn.fitted import Fitted
from tasks.learn.stacked import Stacked, fit_weights, model_from_files
from tasks.learn.transfer import Choice, fit_choice, fit_files
from tasks.recipe import Transfer

PARTS = {Choice("direct"): 0.25, Choice("difference"): 0.25, Choice("fine-tune", 1): 0.5}


@pytest.fixture(scope="module")
def few(make: Callable[..., Table]) -> Table:
    return make(40, 7, measured=True)


@pytest.fixture
def stack(source: Fitted, few: Table, plan: Transfer) -> Stacked:
    fitted = fit_choice(Choice.stack(PARTS), source, few, plan, seed=0)
    assert isinstance(fitted, Stacked)
    return fitted


def test_a_stack_predicts_the_weighted_mean_of_what_its_parts_predict(
    stack: Stacked, source: Fitted, few: Table, plan: Transfer, make: Callable[..., Table]
) -> None:
    table = make(20, 1)
    parts = [weight * fit_choice(part, source, few, plan, seed=0).predict(table) for part, weight in PARTS.items()]
    np.testing.assert_allclose(stack.predict(table), np.sum(parts, axis=0), rtol=1e-12)


def test_predictions_of_a_stack_after_its_files_are_bit_equal(stack: Stacked, make: Callable[..., Table]) -> None:
    files, table = stack.files(), make(20, 1)
    assert set(files) == {"weights.safetensors", "model.json"}
    assert json.loads(files["model.json"])["weights"] == list(PARTS.values())
    again = model_from_files(files["weights.safetensors"], files["model.json"])
    assert isinstance(again, Stacked)
    assert again.predict(table).tobytes() == stack.predict(table).tobytes()
    assert again.files() == files


def test_parts_that_are_fitted_side_by_side_are_the_same_bits(
    stack: Stacked, source: Fitted, few: Table, plan: Transfer
) -> None:
    assert fit_files(Choice.stack(PARTS), source.files(), few, plan, None) == stack.files()
    alone = Choice("fine-tune", 1)
    assert fit_files(alone, source.files(), few, plan, None) == fit_choice(alone, source, few, plan, seed=0).files()


def test_a_model_that_is_no_stack_is_read_as_what_it_is(source: Fitted, make: Callable[..., Table]) -> None:
    files, table = source.files(), make(20, 1)
    again = model_from_files(files["weights.safetensors"], files["model.json"])
    assert again.predict(table).tobytes() == source.predict(table).tobytes()


def test_a_stack_has_no_part_without_weight() -> None:
    assert Choice.stack({Choice("direct"): 0.0, Choice("scratch"): 1.0}).parts == ((Choice("scratch"), 1.0),)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 1000))
def test_no_single_model_errs_by_less_than_the_weighted_mean(rows: int, models: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=rows)
    predictions = values[:, None] + random.normal(size=(rows, models))
    weights = fit_weights(predictions, values)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    missed = np.abs(predictions @ weights - values).mean()
    assert missed <= np.abs(predictions - values[:, None]).mean(axis=0).min() * 1.02 + 0.02  # small weights are dropped


def test_the_model_that_is_right_gets_all_the_weight() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert fit_weights(np.column_stack([values + 1, values, values - 3]), values).tolist() == [0, 1, 0]
