"""A made-up property, computed and measured, small enough to compare all methods on it in a second."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tasks.evaluate.comparison import Setting
from tasks.featurize import Table
from tasks.learn.pretraining import pretrain_network
from tasks.recipe import Evaluation, Pretraining, Residual, Transfer

PLAN = Transfer(
    freeze=(0, 2), epochs=8, scratch_epochs=8, batch=32, rate=0.002, scratch_rate=0.003, decay=0.01, members=1, seed=0
)


def make_table(rows: int, seed: int, shift: float = 0.0) -> Table:
    """Return rows of 5 features and 2 elements, two rows to a key; the measured values have a shift per atom."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 5)).astype(np.float32)
    elements = random.integers(1, 6, size=(rows, 2)).astype(float)
    values = elements @ [-40.0, 25.0] + 30 * np.tanh(x[:, 0] + x[:, 1]) + 10 * x[:, 2] + shift * elements.sum(axis=1)
    records = np.array([f"{seed}:{row}" for row in range(rows)], dtype=object)
    keys = np.array([f"KEY{seed}-{row // 2}" for row in range(rows)], dtype=object)
    return Table(x, elements, values.astype(np.float64), keys, records, np.zeros(5, np.float32))


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Threads of trees and matrix products wait for each other for seconds where the processors are busy."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def checkpoint() -> dict[str, bytes]:
    """The files of a network trained on 600 computed rows."""
    network = Residual(kind="residual", width=16, blocks=1)
    plan = Pretraining(epochs=30, batch=64, rate=0.005, decay=0, sums=0, validation=0.1, patience=30, seed=0)
    return pretrain_network(make_table(600, 0), network, plan, "kJ/mol")


@pytest.fixture(scope="session")
def target() -> Table:
    """120 measured rows."""
    return make_table(120, 1, shift=4.0)


@pytest.fixture(scope="session")
def plan() -> Transfer:
    return PLAN


@pytest.fixture(scope="session")
def make_setting(checkpoint: dict[str, bytes]) -> Callable[..., Setting]:
    """Make the setting of a comparison on a target."""

    def make(target: Table, seed: int = 0, sizes: tuple[int, ...] = (30,), folds: int = 3) -> Setting:
        evaluation = Evaluation(folds=folds, sizes=sizes, draws=1, seed=seed)
        return Setting(checkpoint["weights.safetensors"], checkpoint["model.json"], target, PLAN, evaluation)

    return make
