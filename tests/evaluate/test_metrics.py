"""Errors are what a hand calculation gives, and a difference is as sure as its independent groups make it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluate.metrics import errors, paired_difference, size_for_error, size_intervals

unhurried = settings(deadline=None)


def unique_keys(count: int) -> np.ndarray:
    return np.array([f"KEY{number}" for number in range(count)], dtype=object)


def test_errors_are_those_of_a_hand_calculation() -> None:
    values, predictions = np.array([0.0, 10.0, 20.0, 30.0]), np.array([1.0, 8.0, 20.0, 35.0])
    result = errors(values, predictions, np.array([0, 0, 2, 2]))
    assert result["mae"] == 2.0
    assert result["median"] == 1.5
    assert result["rmse"] == pytest.approx(np.sqrt(30 / 4))
    assert result["r2"] == pytest.approx(1 - 30 / 500)
    assert result["mae_per_fold"] == [1.5, 2.5]


def test_perfect_predictions_have_no_error() -> None:
    values = np.array([1.0, 2.0, 4.0])
    result = errors(values, values, np.zeros(3, np.int64))
    assert (result["mae"], result["median"], result["rmse"], result["r2"]) == (0, 0, 0, 1)


def test_the_mean_explains_nothing_and_worse_than_the_mean_less() -> None:
    values = np.array([1.0, 2.0, 6.0])
    assert errors(values, np.full(3, 3.0), np.zeros(3, np.int64))["r2"] == pytest.approx(0)
    assert errors(values, np.full(3, 9.0), np.zeros(3, np.int64))["r2"] < 0


def test_values_that_do_not_vary_have_no_share_explained() -> None:
    assert errors(np.full(3, 5.0), np.array([5.0, 6.0, 5.0]), np.zeros(3, np.int64))["r2"] is None


@unhurried
@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=2, max_size=20), st.integers(-50, 50))
def test_errors_do_not_depend_on_the_zero_of_the_scale(rows: list[tuple[int, int]], offset: int) -> None:
    values, predictions = np.array(rows, dtype=float).T
    folds = np.zeros(len(rows), np.int64)
    here, there = (errors(values + zero, predictions + zero, folds) for zero in (0, offset))
    measures = ["mae", "median", "rmse", "r2"]
    assert [there[measure] for measure in measures] == pytest.approx([here[measure] for measure in measures])


def test_the_mean_difference_has_the_sign_of_first_minus_second() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 2.0]), np.array([2.0, 4.0, 5.0, 1.0])
    result = paired_difference(first, second, unique_keys(4), seed=0)
    assert result["mean"] == -1.0
    assert result["low"] < -1.0 < result["high"]
    reverse = paired_difference(second, first, unique_keys(4), seed=0)
    assert [-reverse["high"], -reverse["low"]] == pytest.approx([result["low"], result["high"]])


def test_a_difference_that_is_always_the_same_is_sure() -> None:
    second = np.random.default_rng(0).random(50)
    result = paired_difference(second + 2, second, unique_keys(50), seed=0)
    assert [result["low"], result["high"]] == pytest.approx([2, 2])


def test_the_interval_covers_the_true_difference_95_times_in_100() -> None:
    random, keys = np.random.default_rng(0), unique_keys(80)
    covered = 0
    for trial in range(200):
        second = random.gamma(2.0, 5.0, 80)
        result = paired_difference(second + random.normal(-3, 6, 80), second, keys, seed=trial)
        covered += result["low"] <= -3 <= result["high"]
    assert 178 <= covered <= 199


def test_the_interval_is_as_wide_as_theory_says() -> None:
    difference = np.random.default_rng(0).normal(0, 6, 400)
    result = paired_difference(difference, np.zeros(400), unique_keys(400), seed=0)
    assert result["high"] - result["low"] == pytest.approx(2 * 1.96 * difference.std() / 20, rel=0.06)


def test_copies_of_rows_do_not_narrow_the_interval() -> None:
    random, keys = np.random.default_rng(0), unique_keys(60)
    first, second = random.random(60), random.random(60)
    once = paired_difference(first, second, keys, seed=0)
    copied = paired_difference(np.tile(first, 9), np.tile(second, 9), np.tile(keys, 9), seed=0)
    assert copied == pytest.approx(once)
    apart = paired_difference(np.tile(first, 9), np.tile(second, 9), unique_keys(540), seed=0)
    assert apart["high"] - apart["low"] < 0.5 * (once["high"] - once["low"])


def test_groups_count_by_their_rows() -> None:
    result = paired_difference(np.array([1.0, 1.0, 1.0, 5.0]), np.zeros(4), np.array(["a", "a", "a", "b"], object), 0)
    assert result == {"mean": 2.0, "low": 1.0, "high": 5.0}


def test_the_same_seed_gives_the_same_interval() -> None:
    first = np.random.default_rng(0).random(30)
    one, again, other = (paired_difference(first, np.zeros(30), unique_keys(30), seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_between_two_points_the_curve_is_straight_in_log_log() -> None:
    sizes = [100, 400, 1600]
    maes = [100 / np.sqrt(size) for size in sizes]
    assert size_for_error(sizes, maes, 100 / np.sqrt(200)) == pytest.approx(200)
    assert size_for_error(sizes, maes, 100 / np.sqrt(1000)) == pytest.approx(1000)


@unhurried
@given(st.floats(0.1, 2), st.floats(50, 1600))
def test_a_power_law_is_followed_exactly(exponent: float, size: float) -> None:
    sizes = [50, 100, 200, 400, 800, 1600]
    maes = [size**-exponent for size in sizes]
    assert size_for_error(sizes, maes, size**-exponent * (1 + 1e-9)) == pytest.approx(size, rel=1e-4)


def test_an_error_at_a_point_needs_the_size_of_the_point() -> None:
    assert size_for_error([50, 100, 200], [90.0, 60.0, 40.0], 60.0) == pytest.approx(100)
    assert size_for_error([50, 100, 200], [90.0, 60.0, 40.0], 40.0) == pytest.approx(200)


@pytest.mark.parametrize("wanted", [90.0, 95.0, 1000.0])
def test_an_error_that_the_first_point_has_needs_no_more_than_the_first_size(wanted: float) -> None:
    assert size_for_error([50, 100], [90.0, 60.0], wanted) == 50.0


def test_an_error_that_no_point_has_is_never_reached() -> None:
    assert size_for_error([50, 100], [90.0, 60.0], 59.9) is None


def test_where_the_curve_goes_up_and_down_the_first_size_that_is_good_enough_counts() -> None:
    assert size_for_error([50, 100, 200, 400], [90.0, 95.0, 45.0, 30.0], 60.0) == pytest.approx(
        100 * 2 ** (np.log(95 / 60) / np.log(95 / 45))
    )


def curves(maes: list[tuple[float, float]], spread: float, rows: int = 300) -> list:
    """Errors of two methods at each size, about these means, with the same groups at all of them."""
    random, keys = np.random.default_rng(0), unique_keys(rows)
    return [(*(mae * (1 + spread * random.uniform(-1, 1, rows)) for mae in both), keys) for both in maes]


def test_how_many_rows_are_needed_is_as_sure_as_the_errors_are() -> None:
    sizes, maes = [100, 200, 400], [(40.0, 28.0), (28.0, 20.0), (20.0, 14.0)]
    narrow, wide = (size_intervals(sizes, curves(maes, spread), seed=0)[0] for spread in (0.1, 0.9))
    assert wide["low"] < narrow["low"] < 200 < narrow["high"] < wide["high"]
    assert narrow["high"] - narrow["low"] < 20


def test_how_many_rows_are_needed_has_no_end_where_the_curve_ends_before() -> None:
    first, last = size_intervals([100, 400], curves([(40.0, 20.4), (20.0, 14.0)], 0.5), seed=0)
    assert first["low"] is not None
    assert first["low"] > 300
    assert first["high"] is None
    assert last == {"low": None, "high": None}
