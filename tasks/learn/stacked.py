"""Stacking: a weighted mean of fitted models, and the weights with which it errs least."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from tasks.featurize import Table
from tasks.learn.fitted import Fitted

Vector = npt.NDArray[np.float64]

LEAST = 0.01


@dataclass(frozen=True)
class Stacked:
    """Predicts the weighted mean of what several models predict.

    D. H. Wolpert, Neural Networks 5 (1992) 241, doi:10.1016/S0893-6080(05)80023-1.

    Attributes:
        parts: the models.
        weights: of each, positive; their sum is 1.
    """

    parts: Sequence[Fitted]
    weights: Sequence[float]

    def predict(self, table: Table) -> Vector:
        """Return the predictions (n,) in the unit of the property."""
        predicted: Vector = np.column_stack([part.predict(table) for part in self.parts]) @ np.array(self.weights)
        return predicted

    def files(self) -> dict[str, bytes]:
        """Return the files that hold the model: weights and the rest, as those of a `Fitted`."""
        held = [part.files() for part in self.parts]
        tensors = {
            f"{number}/{name}": value
            for number, files in enumerate(held)
            for name, value in load_tensors(files["weights.safetensors"]).items()
        }
        about = {"weights": list(self.weights), "parts": [json.loads(files["model.json"]) for files in held]}
        return {"weights.safetensors": save_tensors(tensors), "model.json": json.dumps(about, indent=1).encode()}


def model_from_files(weights: bytes, about: bytes) -> Fitted | Stacked:
    """Make a model again from the contents of `weights.safetensors` and `model.json`."""
    state = json.loads(about)
    if "parts" not in state:
        return Fitted.from_files(weights, about)
    tensors = load_tensors(weights)
    parts = []
    for number, part in enumerate(state["parts"]):
        start = f"{number}/"
        own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        parts.append(Fitted.from_files(save_tensors(own), json.dumps(part).encode()))
    return Stacked(parts, state["weights"])


def fit_weights(predictions: Vector, values: Vector) -> Vector:
    """Return the weights (k,) of models with which the weighted mean of their predictions has the least mean error.

    None is negative and their sum is 1, as L. Breiman, Mach. Learn. 24 (1996) 49, doi:10.1007/BF00117832, has it; but
    the errors are absolute ones, which outliers mislead less: a linear programme.

    Args:
        predictions: (n, k), of rows that the models were not fitted on.
        values: (n,), measured.
    """
    rows, models = predictions.shape
    dense, slack = csr_array(predictions), -eye_array(rows)
    found = linprog(
        np.concatenate([np.zeros(models), np.ones(rows)]),
        A_ub=vstack([hstack([dense, slack]), hstack([-dense, slack])]),
        b_ub=np.concatenate([values, -values]),
        A_eq=np.concatenate([np.ones(models), np.zeros(rows)])[None],
        b_eq=[1.0],
        method="highs",
    )
    return worth_a_fit(found.x[:models])


def worth_a_fit(weights: Vector) -> Vector:
    """Return weights (k,) without those that are less than LEAST; their sum is 1."""
    large = np.where(weights < LEAST, 0, weights)
    shares: Vector = large / large.sum()
    return shares
