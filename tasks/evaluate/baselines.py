"""Plain baselines on the same features: what a model must beat to be worth its trouble."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV

from tasks.featurize import Table
from tasks.learn import fit_additive

Vector = npt.NDArray[np.float64]


def mean(training: Table, held_out: Table) -> Vector:
    """Predict the mean of the training values for every row."""
    return np.full(len(held_out), training.values.mean())


def ridge(training: Table, held_out: Table) -> Vector:
    """Ridge regression on what an additive model in the elements leaves; the penalty by leave-one-out."""
    return _after_additive(training, held_out, RidgeCV(np.logspace(-3, 4, 15)))


def trees(training: Table, held_out: Table) -> Vector:
    """Gradient-boosted trees on what an additive model in the elements leaves."""
    return _after_additive(training, held_out, HistGradientBoostingRegressor(loss="absolute_error", random_state=0))


def _after_additive(training: Table, held_out: Table, regressor: RidgeCV | HistGradientBoostingRegressor) -> Vector:
    """Fit the regressor on the remainder of the additive model, and add both for the held-out rows."""
    additive = fit_additive(training.elements, training.values)
    regressor.fit(training.features, training.values - training.elements @ additive)
    predicted: Vector = held_out.elements @ additive + regressor.predict(held_out.features)
    return predicted


BASELINES: dict[str, Callable[[Table, Table], Vector]] = {"mean": mean, "ridge": ridge, "boosted trees": trees}
