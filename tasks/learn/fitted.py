"""A fitted model: an additive part in the element counts, and networks for what remains."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import TypeAdapter
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.linear_model import HuberRegressor

from tasks.featurize import Table
from tasks.learn.networks import LayeredNetwork, build
from tasks.learn.training import predict
from tasks.recipe import Network

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """Predicts `elements @ additive + scale * mean of networks(features)`.

    The property is extensive: most of it is a sum over the atoms. The networks learn what remains.

    Attributes:
        networks: the members, of one kind and size.
        additive: (e,), contribution of one atom of each element, in the unit of the property.
        scale: of the networks' output, in the unit of the property.
        spec: the networks' kind and sizes.
    """

    networks: Sequence[LayeredNetwork]
    additive: Vector
    scale: float
    spec: Network

    def predict(self, table: Table) -> Vector:
        """Return the predictions (n,) in the unit of the property."""
        features = torch.from_numpy(table.features)
        members = [predict(network, features).numpy().astype(np.float64) for network in self.networks]
        predicted: Vector = table.elements @ self.additive + self.scale * np.mean(members, axis=0)
        return predicted

    def remainder(self, table: Table) -> torch.Tensor:
        """Return what a network has to learn of the values: (n,), in units of the scale."""
        rest = (table.values - table.elements @ self.additive) / self.scale
        return torch.from_numpy(rest.astype(np.float32))

    def files(self) -> dict[str, bytes]:
        """Return the files that hold the model: weights and the rest."""
        tensors = {
            f"{member}.{name}": value.contiguous()
            for member, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }
        about = {
            "network": self.spec.model_dump(mode="json"),
            "inputs": _inputs(self.networks[0]),
            "members": len(self.networks),
            "frozen": self.networks[0].frozen,
            "additive": self.additive.tolist(),
            "scale": self.scale,
        }
        return {"weights.safetensors": save_tensors(tensors), "model.json": json.dumps(about, indent=1).encode()}

    @classmethod
    def from_files(cls, weights: bytes, about: bytes) -> "Fitted":
        """Make the model again from the contents of `weights.safetensors` and `model.json`."""
        state: dict[str, Any] = json.loads(about)
        spec: Network = TypeAdapter(Network).validate_python(state["network"])
        tensors = load_tensors(weights)
        networks = []
        for member in range(state["members"]):
            network = build(spec, state["inputs"], seed=0)
            start = f"{member}."
            network.load_state_dict(
                {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
            )
            network.freeze(state["frozen"])
            networks.append(network.eval())
        return cls(networks, np.array(state["additive"]), state["scale"], spec)


def fit_additive(elements: Vector, values: Vector, prior: Vector | None = None) -> Vector:
    """Return the contribution of each element to extensive values, fitted robustly (Huber).

    Args:
        elements: (n, e), atoms of each element.
        values: (n,), in the unit of the property.
        prior: (e,), what an element that the rows say nothing about contributes; 0 if not given.

    Returns:
        (e,), in the unit of the property per atom.
    """
    start = np.zeros(elements.shape[1]) if prior is None else prior
    rest = values - elements @ start
    spread = max(float(np.sqrt(np.mean(rest**2))), 1e-9)
    regressor = HuberRegressor(alpha=1e-3, fit_intercept=False, max_iter=2000)
    fitted: Vector = start + spread * regressor.fit(elements, rest / spread).coef_
    return fitted


def _inputs(network: LayeredNetwork) -> int:
    """Return the number of features that a network takes."""
    return next(value for name, value in network.named_parameters() if name.endswith("weight")).shape[1]
