"""A made-up property, computed and measured: what the source teaches helps with the target, up to a known shift."""

from collections.abc import Callable

import numpy as np
import pytest

from tasks.featurize import Table
from tasks.learn.fitted import Fitted
from tasks.learn.pretraining import pretrain_network
from tasks.recipe import Pretraining, Residual, Transfer

COMPUTED = np.array([-40.0, 25.0, -10.0])  # per atom
SHIFT = np.array([8.0, -5.0, 3.0])  # by which the theory is off, per atom


def make_table(rows: int, seed: int, *, measured: bool = False) -> Table:
    """Return rows of 8 features and 3 elements with a property that is not linear in the features."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 8)).astype(np.float32)
    elements = random.integers(0, 6, size=(rows, 3)).astype(float)
    values = elements @ COMPUTED + 30 * np.tanh(x[:, 0] + x[:, 1]) + 20 * np.sin(2 * x[:, 2]) + 10 * x[:, 3]
    if measured:
        values = values + elements @ SHIFT + random.normal(size=rows)
    names = np.array([f"{'M' if measured else 'C'}{seed}:{row}" for row in range(rows)], dtype=object)
    return Table(x, elements, values.astype(np.float64), names, names, np.zeros(8, np.float32))


@pytest.fixture(scope="session")
def make() -> Callable[..., Table]:
    """Make a table of so many rows, computed or measured."""
    return make_table


@pytest.fixture(scope="session")
def network() -> Residual:
    return Residual(kind="residual", width=32, blocks=2)


@pytest.fixture(scope="session")
def pretraining() -> Pretraining:
    return Pretraining(epochs=40, batch=64, rate=0.005, decay=1e-4, sums=0, validation=0.1, patience=10, seed=0)


@pytest.fixture(scope="session")
def checkpoint(network: Residual, pretraining: Pretraining) -> dict[str, bytes]:
    """The files of a network trained on 1500 computed rows."""
    return pretrain_network(make_table(1500, 0), network, pretraining, "kJ/mol")


@pytest.fixture
def source(checkpoint: dict[str, bytes]) -> Fitted:
    """The pretrained model, loaded anew for each test."""
    return Fitted.from_files(checkpoint["weights.safetensors"], checkpoint["model.json"])


@pytest.fixture(scope="session")
def plan() -> Transfer:
    return Transfer(
        freeze=(0, 1, 2, 3),
        epochs=30,
        scratch_epochs=60,
        batch=16,
        rate=0.001,
        scratch_rate=0.003,
        decay=0.01,
        members=1,
        seed=0,
    )
