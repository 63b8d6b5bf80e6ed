"""The domain knows its own rows, tells how far others are, and is the same again from its files."""

from collections.abc import Callable

import numpy as np
import pytest

from tasks.featurize import Table
from tasks.learn import domain as module
from tasks.learn.domain import Domain, Near, contents, represent
from tasks.learn.fitted import Fitted

SOME = {"C", "H"}


def cloud(rows: int, seed: int = 0, at: float = 0.0) -> np.ndarray:
    return (at + np.random.default_rng(seed).normal(size=(rows, 8))).astype(np.float32)


def unique(rows: int) -> np.ndarray:
    return np.array([f"KEY{row}" for row in range(rows)], dtype=object)


@pytest.fixture
def domain() -> Domain:
    return Domain.fit(cloud(300), unique(300), SOME)


def test_training_rows_are_near_rows_like_them_as_far_as_they_from_each_other_and_others_far(domain: Domain) -> None:
    own = domain.near(cloud(300), 5)
    assert own.distances[:, 0] == pytest.approx(0, abs=1e-5)
    assert own.places[:, 0].tolist() == list(range(300))
    assert np.median(domain.near(cloud(300), 5, unique(300), unique(300)).distance) == pytest.approx(1)
    assert 0.9 < np.median(domain.near(cloud(200, seed=1), 5).distance) < 1.1
    assert domain.near(cloud(200, seed=1, at=20), 5).distance.min() > 10


def test_the_neighbours_are_the_nearest_in_order(domain: Domain) -> None:
    rows = cloud(40, seed=2)
    near = domain.near(rows, 7)
    distances = np.linalg.norm(rows[:, None].astype(float) - cloud(300), axis=2)
    np.testing.assert_array_equal(near.places, np.argsort(distances, axis=1)[:, :7])
    np.testing.assert_allclose(near.distances * domain.unit, np.sort(distances, axis=1)[:, :7], rtol=1e-6)
    np.testing.assert_allclose(near.distance, near.distances[:, :5].mean(axis=1))


def test_rows_looked_up_in_several_parts_are_the_same(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = domain.near(cloud(50, seed=3), 6, unique(50), unique(300))
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = domain.near(cloud(50, seed=3), 6, unique(50), unique(300))
    np.testing.assert_array_equal(parts.places, whole.places)
    np.testing.assert_allclose(parts.distances, whole.distances)


def test_near_copies_of_a_row_are_not_its_neighbours() -> None:
    rows, keys = np.repeat(cloud(100), 2, axis=0), np.repeat(unique(100), 2)
    twice = Domain.fit(rows, keys, SOME)
    near = twice.near(rows, 10, keys, keys)
    assert (keys[near.places] != keys[:, None]).all()
    assert near.distances.min() > 0


def test_neighbours_left_out_make_way_for_the_next() -> None:
    near = Near(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]), np.array([[5, 6, 7], [8, 9, 6]]))
    left = near.without(np.array([[True, False, False], [True, True, True]]))
    assert left.places[0].tolist() == [6, 7, 5]
    assert left.distances[0].tolist() == [2, 3, np.inf]
    assert left.distance.tolist() == [2.5, 2.5]  # the second has none: as far as the farthest


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_domain_may_have_few_rows_and_even_the_same_ones(rows: int) -> None:
    for represented in (cloud(rows), np.ones((rows, 8), np.float32)):
        near = Domain.fit(represented, unique(rows), SOME).near(cloud(6, seed=1), 10)
        assert near.distances.shape == (6, rows)
        assert np.isfinite(near.distance).all()


def test_of_many_rows_the_same_are_kept_and_no_more_than_the_numbers_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUMBERS", 8 * 50)
    one, again = (Domain.fit(cloud(300), unique(300), SOME) for _ in range(2))
    assert len(one.represented) == len(set(one.rows.tolist())) == 50
    np.testing.assert_array_equal(one.represented, cloud(300)[one.rows])
    assert one.files() == again.files()


def test_it_is_the_same_again_from_its_files(domain: Domain) -> None:
    files = domain.files()
    again = Domain.from_files(files["domain.safetensors"], files["domain.json"])
    assert again.files() == files
    one, other = (kept.near(cloud(20, seed=4), 5) for kept in (domain, again))
    assert one.distances.tobytes() == other.distances.tobytes()
    assert again.unseen([SOME]) == [""]


def test_what_neither_source_nor_training_rows_have_is_named(domain: Domain) -> None:
    assert domain.unseen([{"C"}, {"C", "Xe", "Np"}, set()]) == ["", "Np, Xe", ""]


def test_rows_contain_their_elements_and_the_atom_types_that_the_source_lacks(make: Callable[..., Table]) -> None:
    table = make(2, 0)
    table.elements[:] = [[1, 0, 3], [0, 2, 0]]
    assert contents(table, ["C", "H", "N"], ["ddC, ssssN", ""]) == [{"C", "N", "ddC", "ssssN"}, {"H"}]


def test_rows_are_represented_by_the_trunk_of_the_source(source: Fitted, make: Callable[..., Table]) -> None:
    table = make(20, 5)
    represented = represent(source, table)
    assert represented.shape == (20, 32)
    assert represented.dtype == np.float32
    np.testing.assert_allclose(represented[:3], represent(source, table.take(np.arange(3))), atol=1e-5)
