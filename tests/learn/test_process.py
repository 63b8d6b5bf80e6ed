"""The process learns what a network misses, from few rows, some of which may be wrong."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.learn.process import Process

Rows = tuple[Tensor, Tensor, Tensor]


def rows(number: int, seed: int) -> Rows:
    """Representations, features, and values that depend on both."""
    random = np.random.default_rng(seed)
    represented, features = random.normal(size=(number, 4)), random.normal(size=(number, 3))
    values = np.tanh(represented[:, 0] + represented[:, 1]) + 0.5 * np.sin(features[:, 0])
    represented_, features_ = (torch.from_numpy(part.astype(np.float32)) for part in (represented, features))
    return represented_, features_, torch.from_numpy(values.astype(np.float32))


def missed(process: Process, others: Rows) -> float:
    represented, features, values = others
    return float((process.predict(represented, features) - values).abs().mean())


def test_it_learns_from_both_spaces() -> None:
    represented, features, values = rows(300, 0)
    others = rows(200, 1)
    both = missed(Process.fit(represented, features, values, seed=0), others)
    assert both < 0.3 * float(others[2].abs().mean())
    for blind in ((0, 1, 1), (1, 0, 1)):
        seen, unseen = (
            [part * sight for part, sight in zip(some, blind, strict=True)] for some in (rows(300, 0), others)
        )
        assert both < 0.7 * missed(Process.fit(*seen, seed=0), (unseen[0], unseen[1], unseen[2]))


def test_rows_that_are_wrong_count_little() -> None:
    represented, features, values = rows(300, 0)
    wrong = values.clone()
    wrong[::20] += 10
    right = missed(Process.fit(represented, features, values, seed=0), rows(200, 1))
    assert missed(Process.fit(represented, features, wrong, seed=0), rows(200, 1)) < right + 0.15


@pytest.mark.parametrize("spoil", [lambda part: part[:1], lambda part: part[:2], lambda part: part[[0, 0, 0, 1]]])
def test_few_or_equal_rows_do_no_harm(spoil: Callable[[Tensor], Tensor]) -> None:
    few = [spoil(part) for part in rows(10, 0)]
    predicted = Process.fit(*few, seed=0).predict(*rows(20, 1)[:2])
    assert torch.isfinite(predicted).all()


def test_values_of_nothing_are_predicted_as_nothing() -> None:
    represented, features, values = rows(30, 0)
    process = Process.fit(represented, features, 0 * values, seed=0)
    assert float(process.predict(represented, features).abs().max()) == 0


def test_far_from_all_rows_it_predicts_nothing() -> None:
    represented, features, values = rows(100, 0)
    process = Process.fit(represented, features, values, seed=0)
    assert float(process.predict(represented + 1e4, features + 1e4).abs().max()) < 1e-3


def test_what_is_kept_predicts_the_same_bits() -> None:
    represented, features, values = rows(50, 0)
    process = Process.fit(represented, features, values, seed=0)
    again = Process.restored(process.tensors(), process.about())
    assert torch.equal(again.predict(represented, features), process.predict(represented, features))
