"""A fitted model: an additive part in the element counts, networks, and a process for what they miss."""

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

from tasks.featurize import Table
from tasks.learn.networks import LayeredNetwork, build
from tasks.learn.process import SIGMA, Process
from tasks.learn.training import predict, represent
from tasks.recipe import Network

Vector = npt.NDArray[np.float64]

PENALTIES = np.logspace(-8, 1, 19)  # times the mean sum of squares of a column
REWEIGHTED = 30  # times at most; it takes about ten
HUBER = 1.35  # standard deviations, beyond which residuals count less: 95 % efficient if there are no outliers


@dataclass(frozen=True)
class Fitted:
    """Predicts `elements @ additive + scale * (mean of networks(features) + process(representation, features))`.

    Most of an extensive property is a sum over the atoms. The networks learn what remains.

    Attributes:
        networks: the members, of one kind and size.
        additive: (e,), contribution of one atom of each element, in the unit of the property.
        scale: of the networks' output, in the unit of the property.
        spec: the networks' kind and sizes.
        process: what the networks miss, from the representation of the first of them; None if nothing is known of it.
        limits: least and greatest value that there can be; what is predicted beyond is brought back to them.
    """

    networks: Sequence[LayeredNetwork]
    additive: Vector
    scale: float
    spec: Network
    process: Process | None = None
    limits: tuple[float, float] | None = None

    @classmethod
    def untrained(cls, table: Table, spec: Network, seeds: Sequence[int]) -> "Fitted":
        """Make a model with the additive part of a table, and a network that has learnt nothing for each seed."""
        additive = fit_additive(table.elements, table.values)
        scale = float(np.std(table.values - table.elements @ additive)) or 1.0
        return cls([build(spec, table.features.shape[1], seed) for seed in seeds], additive, scale, spec)

    def predict(self, table: Table) -> Vector:
        """Return the predictions (n,) in the unit of the property."""
        features = torch.from_numpy(table.features)
        members = [predict(network, features).numpy().astype(np.float64) for network in self.networks]
        learnt = np.mean(members, axis=0)
        if self.process:
            learnt += self.process.predict(represent(self.networks[0], features), features).numpy()
        return self.within(table.elements @ self.additive + self.scale * learnt)

    def within(self, predicted: Vector) -> Vector:
        """Return predictions (n,) with those beyond the limits at the nearest of them."""
        return np.clip(predicted, *self.limits) if self.limits else predicted

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
            "process": self.process.about() if self.process else None,
            "limits": self.limits,
        }
        if self.process:
            tensors |= self.process.tensors()
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
        process = Process.restored(tensors, state["process"]) if state["process"] else None
        limits = tuple(state["limits"]) if state["limits"] else None
        return cls(networks, np.array(state["additive"]), state["scale"], spec, process, limits)


def fit_additive(elements: Vector, values: Vector, prior: Vector | None = None) -> Vector:
    """Return the contribution of each element to values that are sums (or averages) over the atoms.

    A ridge regression towards the prior, whose penalty leave-one-out chooses, made robust by weights that fall with the
    residual (P. J. Huber, Ann. Math. Statist. 35 (1964) 73, doi:10.1214/aoms/1177703732).

    Args:
        elements: (n, e), atoms of each element, or their fractions.
        values: (n,), in the unit of the property.
        prior: (e,), what an element that the rows say nothing about contributes; if not given, all contribute the
            median of the values per atom.

    Returns:
        (e,), in the unit of the property per atom.
    """
    sizes = elements.sum(axis=1)
    equal = np.full(elements.shape[1], np.median(values[sizes > 0] / sizes[sizes > 0]))
    start = equal if prior is None else prior
    rest = values - elements @ start
    largest = np.abs(rest).max()
    if not largest:
        return start
    penalties = PENALTIES * np.mean(np.sum(elements**2, axis=0))
    weights, found = np.ones(len(values)), np.zeros(len(start))
    for _ in range(REWEIGHTED):
        before = found
        found = _ridge(elements, rest, weights, penalties)
        missed = np.abs(rest - elements @ found)
        sure = max(HUBER * SIGMA * float(np.median(missed)), 1e-9 * largest)
        weights = sure / np.maximum(missed, sure)
        if np.abs(elements @ (found - before)).max() < 1e-4 * sure:
            break
    fitted: Vector = start + np.where(elements.any(axis=0), found, 0)
    return fitted


def _ridge(matrix: Vector, values: Vector, weights: Vector, penalties: Vector) -> Vector:
    """Return the coefficients (p,) of weighted ridge regression with the penalty of least leave-one-out error.

    By the eigenvectors of the p by p matrix of products: the rows may be a hundred thousand, the columns are a hundred.

    Args:
        matrix: (n, p).
        values: (n,).
        weights: (n,).
        penalties: (a,) to choose from.
    """
    roots = np.sqrt(weights)
    rows, wanted = matrix * roots[:, None], values * roots
    squares, axes = np.linalg.eigh(rows.T @ rows)
    turned = rows @ axes
    shrunk = 1 / (np.maximum(squares, 0)[:, None] + penalties)
    coefficients = shrunk * (turned.T @ wanted)[:, None]
    influence = turned**2 @ shrunk
    left_out = (wanted[:, None] - turned @ coefficients) / np.maximum(1 - influence, 1e-9)
    best = np.argmin(np.sum(left_out**2, axis=0))
    found: Vector = axes @ coefficients[:, best]
    return found


def _inputs(network: LayeredNetwork) -> int:
    """Return the number of features that a network takes."""
    return next(value for name, value in network.named_parameters() if name.endswith("weight")).shape[1]
