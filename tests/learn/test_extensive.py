"""Sums of molecules teach that the property is extensive."""

from collections.abc import Callable

import numpy as np
import pytest

from tasks.featurize import Table
from tasks.learn.extensive import with_sums


def counted(rows: int) -> Table:
    """A table in which every row has one bit of its own: which rows were added up can be read off its sum."""
    bits = 4.0 ** np.arange(rows)
    nothing = np.array([-0.5, 2.0], np.float32)
    features = np.stack([bits, -bits], axis=1).astype(np.float32) + nothing
    names = np.array([f"{row}," for row in range(rows)], dtype=object)
    return Table(features, np.stack([bits, 3 * bits], axis=1), 10 * bits, names, names, nothing)


@pytest.mark.parametrize("fraction", [0.5, 1.0, 2.0])
def test_values_elements_and_features_add_up(fraction: float) -> None:
    table = counted(8)
    more = with_sums(table, fraction, seed=0)
    assert len(more) == 8 + 8 * fraction
    for row in range(8, len(more)):
        parts = [int(part) for part in more.records[row].split(",") if part]
        apart = table.take(np.array(parts))
        assert more.values[row] == apart.values.sum()
        assert more.elements[row].tolist() == apart.elements.sum(axis=0).tolist()
        np.testing.assert_allclose(
            more.features[row] - table.nothing, (apart.features - table.nothing).sum(axis=0), rtol=1e-6
        )
        assert more.keys[row] == more.records[row]


def test_as_many_sums_of_two_as_of_three() -> None:
    added = with_sums(counted(8), 1.0, seed=0).records[8:]
    assert sorted(record.count(",") for record in added) == [2] * 4 + [3] * 4


def test_the_molecules_themselves_stay_first_and_unchanged(make: Callable[..., Table]) -> None:
    table = make(9, 0)
    first = with_sums(table, 1.0, seed=0).take(np.arange(9))
    assert first.features.tobytes() == table.features.tobytes()
    assert first.elements.tobytes() == table.elements.tobytes()
    assert first.values.tobytes() == table.values.tobytes()
    assert first.records.tolist() == table.records.tolist()


def test_no_sums_leave_the_same_rows(make: Callable[..., Table]) -> None:
    table = make(9, 0)
    same = with_sums(table, 0, seed=0)
    assert len(same) == 9
    assert same.features.tobytes() == table.features.tobytes()
    assert same.features.dtype == table.features.dtype
    assert same.values.tobytes() == table.values.tobytes()


def test_the_seed_says_which_molecules_are_added_up(make: Callable[..., Table]) -> None:
    table = make(50, 0)
    one, again, other = (with_sums(table, 1.0, seed).values.tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other
