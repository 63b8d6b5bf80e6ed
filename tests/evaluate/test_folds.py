"""Folds depend on a row's key and the seed alone, and smaller training sets are parts of larger ones."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluate.folds import grouped_folds, subset

unhurried = settings(deadline=None)
texts = st.text(max_size=6)
key_lists = st.lists(texts, min_size=1, max_size=30)
counts = st.integers(2, 10)
seeds = st.integers(0, 100) | st.text(max_size=5)


def array(keys: list[str]) -> npt.NDArray[np.object_]:
    return np.array(keys, dtype=object)


MANY = array([f"KEY{number}" for number in range(5000)])


@unhurried
@given(key_lists, counts, seeds)
def test_a_key_never_straddles_folds(keys: list[str], folds: int, seed: int | str) -> None:
    drawn = grouped_folds(array(keys), folds, seed)
    assert len(drawn) == len(keys)
    assert set(drawn.tolist()) <= set(range(folds))
    assert all(len({fold for fold, other in zip(drawn, keys, strict=True) if other == key}) == 1 for key in keys)


@unhurried
@given(key_lists, key_lists, counts, seeds)
def test_new_rows_do_not_move_old_ones(old: list[str], new: list[str], folds: int, seed: int | str) -> None:
    among = grouped_folds(array(new + old), folds, seed)
    np.testing.assert_array_equal(among[len(new) :], grouped_folds(array(old), folds, seed))


@unhurried
@given(key_lists.flatmap(lambda keys: st.tuples(st.just(keys), st.permutations(range(len(keys))))), counts, seeds)
def test_the_order_of_the_rows_makes_no_difference(
    drawn: tuple[list[str], list[int]], folds: int, seed: int | str
) -> None:
    keys, order = array(drawn[0]), np.array(drawn[1])
    np.testing.assert_array_equal(grouped_folds(keys[order], folds, seed), grouped_folds(keys, folds, seed)[order])


def test_the_folds_of_these_keys_are_these_for_ever() -> None:
    keys = array(["VNWKTOKETHGBQD", "LFQSCWFLJHTTHZ", "UHOVQNZJYSORNB", "OKKJLVBELUTLKV", "XLYOFNOQVPJJNP"])
    assert grouped_folds(keys, 5, 0).tolist() == [0, 1, 2, 1, 4]


@pytest.mark.parametrize("seed", [0, 1, "inner:0"])
def test_folds_are_about_equal(seed: int | str) -> None:
    sizes = np.bincount(grouped_folds(MANY, 5, seed), minlength=5)
    assert sizes.min() > 880  # 4 standard deviations
    assert sizes.max() < 1120


def test_another_seed_draws_other_folds() -> None:
    same = grouped_folds(MANY, 5, 0) == grouped_folds(MANY, 5, 1)
    assert 0.16 < same.mean() < 0.24


@pytest.mark.parametrize("seed", range(5))
def test_inner_folds_are_independent_of_the_outer_ones_even_if_the_seed_is_the_number_of_the_fold(seed: int) -> None:
    outer, inner = grouped_folds(MANY, 5, seed), grouped_folds(MANY, 5, f"inner:{seed}")
    together = np.bincount(5 * outer + inner, minlength=25)
    assert together.min() > 140  # 200 expected in each
    assert together.max() < 260


@unhurried
@given(key_lists, st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_a_smaller_training_set_is_part_of_a_larger_one(keys: list[str], one: int, other: int, seed: int) -> None:
    rows = np.arange(0, len(keys))[::2]
    smaller, larger = (subset(rows, array(keys), size, seed) for size in sorted((one, other)))
    assert set(smaller.tolist()) <= set(larger.tolist()) <= set(rows.tolist())
    assert len(larger) == min(max(one, other), len(rows))
    assert larger.tolist() == sorted(set(larger.tolist()))


def test_a_smaller_training_set_is_drawn_by_lot() -> None:
    rows = np.arange(len(MANY))
    drawn = subset(rows, MANY, 1000, 0)
    assert 2300 < drawn.mean() < 2700
    assert 100 < len(np.intersect1d(drawn, subset(rows, MANY, 1000, 1))) < 300


def test_a_smaller_training_set_is_spread_over_all_folds() -> None:
    folds = grouped_folds(MANY, 5, 0)
    drawn = subset(np.arange(len(MANY)), MANY, 1000, 0)
    assert np.bincount(folds[drawn]).min() > 140


@unhurried
@given(st.lists(texts, min_size=1, max_size=30, unique=True), texts, st.integers(0, 5))
def test_what_is_drawn_follows_the_key_and_not_the_place(keys: list[str], more: str, seed: int) -> None:
    drawn = subset(np.arange(len(keys)), array(keys), 5, seed)
    shifted = subset(np.arange(1, len(keys) + 1), array([more, *keys]), 5, seed)
    np.testing.assert_array_equal(shifted, drawn + 1)
