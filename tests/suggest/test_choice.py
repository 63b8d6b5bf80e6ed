"""The choice of what to measure: the gains are those of the textbook, and what is alike is not measured twice."""

from itertools import islice, pairwise

import numpy as np
import pytest

from tasks.suggest.belief import Array, Belief, Vector, distances, matern
from tasks.suggest.choice import Chosen, choose


def truth(rows: Array) -> Vector:
    """What a source's model misses of some rows: smooth, and larger on one side."""
    x = rows.astype(np.float64)
    return np.sin(x[:, 0]) * (1 + np.exp(x[:, 1])) + 0.2 * x[:, 2]


def believed(measured: Array, others: Array) -> Belief:
    return Belief.after(measured, truth(measured), others)


def first(belief: Belief, rows: Array, count: int) -> list[Chosen]:
    return list(islice(choose(belief, rows), count))


@pytest.fixture(params=range(3))
def draw(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


def normal(draw: np.random.Generator, rows: int) -> Array:
    return draw.normal(size=(rows, 4)).astype(np.float32)


def variances(belief: Belief, measured: Array, rows: Array) -> Vector:
    """The textbook's variance of rows (n,) after some measurements, in units of the property."""
    length = belief.kernel.length
    among = matern(distances(measured, measured) / length) + belief.noise * np.eye(len(measured))
    across = matern(distances(rows, measured) / length)
    left = 1 - np.einsum("nm,mn->n", across, np.linalg.solve(among, across.T))
    return belief.difficulty.at(rows) ** 2 * left


def test_each_choice_lowers_the_mean_variance_as_much_as_any_can(draw: np.random.Generator) -> None:
    measured, rows = normal(draw, 25), normal(draw, 40)
    belief = believed(measured, rows)
    before = start = variances(belief, measured, rows).sum()
    left = list(range(len(rows)))
    for place, gain in first(belief, rows, 8):
        after = {one: variances(belief, np.vstack([measured, rows[one]]), rows).sum() for one in left}
        assert after[place] == pytest.approx(min(after.values()), rel=1e-3)
        assert gain == pytest.approx((before - after[place]) / start, rel=1e-2)
        measured, before = np.vstack([measured, rows[place]]), after[place]
        left.remove(place)


def test_of_twins_one_comes_first(draw: np.random.Generator) -> None:
    measured, different = normal(draw, 40), normal(draw, 20)
    rows = np.repeat(different, 2, axis=0)
    chosen = first(believed(measured, rows), rows, 20)
    assert len({one.place // 2 for one in chosen}) == 20


def test_where_the_model_goes_wrong_there_is_more_to_learn(draw: np.random.Generator) -> None:
    sides = np.array([[-4, -6, 0, 0], [4, 3, 0, 0]], np.float32)
    measured, rows = (normal(draw, 2 * half) + np.repeat(sides, half, axis=0) for half in (20, 40))
    missed = np.concatenate([0.01 * truth(measured[:20]), truth(measured[20:])])
    chosen = first(Belief.after(measured, missed, rows), rows, 20)
    assert all(one.place >= 40 for one in chosen)


def test_all_are_ranked_once_and_gains_do_not_grow(draw: np.random.Generator) -> None:
    rows = normal(draw, 30)
    chosen = first(believed(normal(draw, 25), rows), rows, 100)
    assert sorted(one.place for one in chosen) == list(range(30))
    assert all(before.gain >= 0.999 * after.gain for before, after in pairwise(chosen))
    assert 0 < sum(one.gain for one in chosen) < 1


def test_of_those_that_are_as_good_as_each_other_the_first_is_chosen() -> None:
    draw = np.random.default_rng(0)
    rows = np.repeat(normal(draw, 1), 5, axis=0)
    assert next(choose(believed(normal(draw, 25), rows), rows)).place == 0


def test_more_rows_than_landmarks_are_ranked_nearly_as_without(
    draw: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, rows = normal(draw, 40), normal(draw, 160)
    exact = believed(measured, rows)
    everything = variances(exact, measured, rows).sum()
    monkeypatch.setattr("tasks.suggest.belief.LANDMARKS", 80)
    few = believed(measured, rows)
    left = [
        variances(exact, np.vstack([measured, rows[[one.place for one in first(belief, rows, 20)]]]), rows).sum()
        for belief in (exact, few)
    ]
    assert everything - left[1] > 0.9 * (everything - left[0])
