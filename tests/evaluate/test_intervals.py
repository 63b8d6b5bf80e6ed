"""Intervals hold as many measurements as they say, are wide where errors are large, and know no row's own error."""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from tasks.evaluate.intervals import LEVELS, NEIGHBOURS, Intervals, Judged, cross_conformal, quality
from tasks.learn import Domain, Near

FOLDS = 5


class Line(NamedTuple):
    """Rows on a line, two to a key, with errors that grow along it and a rival that is off where the method is."""

    represented: np.ndarray
    keys: np.ndarray
    errors: np.ndarray
    gap: np.ndarray

    @classmethod
    def draw(cls, rows: int, seed: int, noise: float = 1.0) -> "Line":
        random = np.random.default_rng(seed)
        place = np.repeat(random.random(rows // 2), 2) + random.normal(0, 1e-3, rows)
        scale = noise * np.exp(3 * place)
        represented = np.column_stack([place, random.normal(0, 0.05, rows)]).astype(np.float32)
        keys = np.array([f"KEY{row // 2}" for row in range(rows)], dtype=object)
        return cls(represented, keys, random.laplace(0, scale), np.abs(random.laplace(0, scale)))

    def domain(self) -> Domain:
        return Domain.fit(self.represented, self.keys, ())


def made_up(rows: int = 800, seed: int = 0, folds: int = FOLDS, noise: float = 1.0) -> Judged:
    """Such rows, judged; those of a key in one fold."""
    line = Line.draw(rows, seed, noise)
    domain = line.domain()
    near = domain.near(line.represented, 40, line.keys, line.keys[domain.rows])
    fold = np.repeat(np.random.default_rng(seed).integers(folds, size=rows // 2), 2)
    return Judged(np.abs(line.errors), line.gap, near, domain.rows, fold)


@pytest.fixture(scope="module")
def judged() -> Judged:
    return made_up()


@pytest.fixture(scope="module")
def intervals(judged: Judged) -> Intervals:
    return Intervals.fit(judged)


@pytest.mark.parametrize("seed", range(4))
def test_as_many_measurements_are_held_as_the_level_says(seed: int) -> None:
    rows = made_up(seed=seed)
    found = quality(rows.missed, *cross_conformal(rows))
    assert 0.88 <= found["coverage"] <= 0.92
    assert [entry["level"] for entry in found["calibration"]] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    for entry in found["calibration"]:
        assert entry["coverage"] == pytest.approx(entry["level"], abs=0.04)


def test_so_they_are_on_average_with_two_folds_of_which_each_judges_the_other() -> None:
    many = [made_up(seed=seed, folds=2) for seed in range(8)]  # half as many rows to fit on: twice the scatter
    assert np.mean([quality(rows.missed, *cross_conformal(rows))["coverage"] for rows in many]) == pytest.approx(
        0.9, abs=0.015
    )


def test_easy_rows_and_difficult_ones_are_held_alike(judged: Judged) -> None:
    spread, half = cross_conformal(judged)
    easy = spread < np.median(spread)
    held = judged.missed <= half[:, LEVELS.index(0.9)]
    assert held[easy].mean() == pytest.approx(0.9, abs=0.05)
    assert held[~easy].mean() == pytest.approx(0.9, abs=0.05)
    assert half[~easy].mean() > 3 * half[easy].mean()


def test_the_expected_error_ranks_the_errors_and_is_as_large_as_they_are(judged: Judged) -> None:
    spread, half = cross_conformal(judged)
    found = quality(judged.missed, spread, half)
    assert found["rank_correlation"] > 0.4
    assert found["width"] == pytest.approx(2 * half[:, LEVELS.index(0.9)].mean())
    assert spread.mean() == pytest.approx(judged.missed.mean(), rel=0.15)


def test_no_error_of_a_fold_has_a_say_in_its_intervals_but_it_has_in_all_others(judged: Judged) -> None:
    row = 17
    missed = judged.missed.copy()
    missed[row] += 1000
    plain, changed = cross_conformal(judged), cross_conformal(replace(judged, missed=missed))
    own = judged.folds == judged.folds[row]
    for before, after in zip(plain, changed, strict=True):
        assert before[own].tobytes() == after[own].tobytes()
        assert (before[~own] != after[~own]).any()
    assert set(judged.folds[plain[0] != changed[0]]) == set(judged.folds[~own])


def test_intervals_grow_with_the_noise() -> None:
    quiet, loud = (cross_conformal(made_up(noise=noise)) for noise in (1.0, 5.0))
    for one, five in zip(quiet, loud, strict=True):
        np.testing.assert_allclose(five, 5 * one, rtol=1e-4)


def test_the_same_rows_give_the_same_bits(judged: Judged) -> None:
    one, again = cross_conformal(judged), cross_conformal(made_up())
    assert [part.tobytes() for part in one] == [part.tobytes() for part in again]
    assert Intervals.fit(judged).to_json() == Intervals.fit(made_up()).to_json()


def test_they_survive_json(judged: Judged, intervals: Intervals) -> None:
    again = Intervals.from_json(intervals.to_json())
    assert again.to_json() == intervals.to_json()
    predicted, rival = np.zeros(800), judged.gap
    for level in LEVELS:
        one, other = (kept.apply(predicted, rival, judged.near, level) for kept in (intervals, again))
        assert [part.tobytes() for part in one] == [part.tobytes() for part in other]


def test_measurements_of_new_rows_are_held_too(intervals: Intervals) -> None:
    new = Line.draw(2000, seed=1)
    near = Line.draw(800, seed=0).domain().near(new.represented, NEIGHBOURS)
    predicted = np.arange(2000.0)
    low, high, spread = intervals.apply(predicted, predicted - new.gap, near)
    measured = predicted + new.errors
    assert np.mean((low <= measured) & (measured <= high)) == pytest.approx(0.9, abs=0.03)
    np.testing.assert_allclose((low + high) / 2, predicted)
    assert np.corrcoef(spread, np.exp(3 * new.represented[:, 0]))[0, 1] > 0.7


def test_far_rows_and_rows_on_which_the_rival_disagrees_have_wider_intervals() -> None:
    """Of errors that grow with the distance and with the disagreement."""
    random, rows = np.random.default_rng(0), 600
    near = Near(random.lognormal(size=(rows, 12)).cumsum(axis=1), random.integers(rows, size=(rows, 12)))
    gap = random.lognormal(size=rows)
    missed = near.distance * gap * random.exponential(size=rows)
    fitted = Intervals.fit(Judged(missed, gap, near, np.arange(rows), np.arange(rows) % FOLDS))
    few = Near(near.distances[:1], near.places[:1])
    far = Near(10 * few.distances, few.places)
    zero, one = np.zeros(1), np.ones(1)
    assert fitted.apply(zero, one, far)[2] > 1.5 * fitted.apply(zero, one, few)[2]
    assert fitted.apply(zero, 10 * one, few)[2] > 1.5 * fitted.apply(zero, one, few)[2]


def test_a_higher_level_is_wider(intervals: Intervals, judged: Judged) -> None:
    widths = [np.subtract(*intervals.apply(np.zeros(800), judged.gap, judged.near, level)[1::-1]) for level in LEVELS]
    assert all((wider > narrower).all() for narrower, wider in pairwise(widths))


def test_few_rows_without_any_error_have_intervals() -> None:
    rows = replace(made_up(rows=12, folds=2), missed=np.zeros(12))
    spread, half = cross_conformal(rows)
    assert np.isfinite(spread).all()
    assert quality(rows.missed, spread, half)["coverage"] == 1
    assert quality(rows.missed, spread, half)["rank_correlation"] is None
