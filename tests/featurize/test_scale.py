"""The scale is fitted on the source alone, and applied to others by the names of the columns."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.featurize.scale import Scale

NAMES = ("count_a", "count_b", "count_c", "sum_a", "sum_b", "rings_3")
unhurried = settings(deadline=None)
matrices = arrays(np.float64, (7, len(NAMES)), elements=st.integers(-50, 50).map(float))
orders = st.permutations(range(len(NAMES)))


def columns(**values: list[float]) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    return tuple(values), np.array(list(values.values()), dtype=float).T


def fit(names: tuple[str, ...], *shards: npt.NDArray[np.float64]) -> Scale:
    return Scale.fit(names, shards)


def test_constant_columns_are_dropped_and_the_others_keep_names_and_order() -> None:
    scale = fit(*columns(count_a=[1, 2], count_b=[3, 3], sum_a=[0, 0], sum_b=[0, 5]))
    assert scale.names == ("count_a", "sum_b")
    assert scale.dropped == ("count_b", "sum_a")
    assert scale.mean.tolist() == [1.5, 2.5]
    assert scale.spread.tolist() == [0.5, 2.5]


def test_a_constant_column_is_dropped_whatever_its_value() -> None:
    assert np.full(3, 0.1).std() > 0  # by rounding
    assert fit(*columns(count_a=[0.1, 0.1, 0.1], count_b=[1, 2, 3])).names == ("count_b",)


def test_the_source_comes_out_with_mean_0_and_standard_deviation_1() -> None:
    names, matrix = columns(count_a=[0, 2, 4, 6], sum_a=[1.5, 2.5, 2.5, 1.5])
    scaled = fit(names, matrix).apply(names, matrix)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-6)


def test_a_rare_column_is_divided_by_the_median_of_its_kind() -> None:
    common, rare = [0.0, 10.0] * 50, [0.0] * 99 + [1.0]
    scale = fit(*columns(count_a=common, count_b=common, count_c=rare, sum_a=[0.0, 2.0] * 50, sum_b=rare))
    spread = dict(zip(scale.names, scale.spread, strict=True))
    assert spread["count_c"] == 5
    assert spread["sum_b"] == pytest.approx((1 + np.std(rare)) / 2)  # kinds are apart: counts do not rule sums
    assert (spread["count_a"], spread["sum_a"]) == (5, 1)  # never less than its own deviation


def test_constant_columns_have_no_say_in_the_median() -> None:
    scale = fit(*columns(count_a=[0, 10], count_b=[4, 4], count_c=[4, 4], count_d=[0, 2], count_e=[0, 20]))
    assert scale.spread.tolist() == [5, 5, 10]


@unhurried
@given(matrices, matrices, orders)
def test_another_table_is_standardised_by_name_whatever_the_order_of_its_columns(
    source: npt.NDArray[np.float64], target: npt.NDArray[np.float64], order: list[int]
) -> None:
    scale = fit(NAMES, source)
    expected = scale.apply(NAMES, target)
    assert expected.shape == (7, len(scale.names))
    shuffled = tuple(NAMES[place] for place in order)
    np.testing.assert_array_equal(scale.apply(shuffled, target[:, order]), expected)
    more = np.column_stack([np.full(7, 99.0), target])
    np.testing.assert_array_equal(scale.apply(("count_unknown", *NAMES), more), expected)


def test_a_table_that_lacks_a_column_is_refused() -> None:
    scale = fit(*columns(count_a=[1, 2], count_b=[1, 2]))
    with pytest.raises(KeyError, match="count_b"):
        scale.apply(*columns(count_a=[1, 2]))


@unhurried
@given(matrices)
def test_no_standardised_value_of_the_source_is_larger_than_its_deviation_alone_would_make_it(
    matrix: npt.NDArray[np.float64],
) -> None:
    scale = fit(NAMES, matrix)
    kept = matrix[:, [NAMES.index(name) for name in scale.names]]
    plain = (kept - kept.mean(axis=0)) / kept.std(axis=0)
    assert np.isfinite(plain).all()
    assert (np.abs(scale.apply(NAMES, matrix)) <= np.abs(plain) * (1 + 1e-5) + 1e-6).all()


@unhurried
@given(arrays(np.float64, (5, len(NAMES)), elements=st.floats(-1e6, 1e6)), matrices)
def test_its_state_comes_back_from_json_bit_for_bit(
    source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> None:
    scale = fit(NAMES, source)
    again = Scale.from_state(json.loads(json.dumps(scale.state())))
    assert (again.names, again.dropped) == (scale.names, scale.dropped)
    assert again.mean.tobytes() == scale.mean.tobytes()
    assert again.spread.tobytes() == scale.spread.tobytes()
    with np.errstate(over="ignore"):  # of values that are far from those of the source
        np.testing.assert_array_equal(again.apply(NAMES, target), scale.apply(NAMES, target))


@unhurried
@given(matrices, st.integers(1, 6))
def test_shards_give_the_scale_of_the_whole_but_for_rounding(source: npt.NDArray[np.float64], cut: int) -> None:
    whole, shards = fit(NAMES, source), fit(NAMES, source[:cut], source[cut:])
    assert (shards.names, shards.dropped) == (whole.names, whole.dropped)
    np.testing.assert_allclose(shards.mean, whole.mean, atol=1e-13)
    np.testing.assert_allclose(shards.spread, whole.spread, rtol=1e-13)


def test_a_small_spread_far_from_zero_survives_the_shards() -> None:
    column = 1e9 + np.arange(3000)[:, None] % 3
    assert fit(("sum_a",), *np.split(column, 30)).spread == pytest.approx(np.sqrt(2 / 3), rel=1e-6)
