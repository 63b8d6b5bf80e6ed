"""The applicability domain of a model: how far a row is from the training rows, and what it has that they have not.

Distances are taken in the activations of the source's trunk, which brings together what behaves alike; e.g. J. P. Janet
et al., Chem. Sci. 10 (2019) 7913, doi:10.1039/C9SC02298H. Shapes: n rows, m training rows, w activations, k neighbours.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tasks.featurize import Table
from tasks.learn import training
from tasks.learn.fitted import Fitted

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

NEAREST = 5  # neighbours over which a distance is averaged
NUMBERS = 2**20  # activations kept at most: 4 MiB
CHUNK = 1024  # rows whose neighbours are looked for at once


class Near(NamedTuple):
    """The training rows nearest to each of n rows, the nearest first.

    Attributes:
        distances: (n, k), 1 is the training rows' median distance from each other; infinite where there is no more row.
        places: (n, k), of the neighbours among the rows that the domain keeps.
    """

    distances: Vector
    places: Rows

    @property
    def distance(self) -> Vector:
        """The mean distance (n,) of the nearest few, as of the farthest row if a row has no neighbour at all."""
        first = self.distances[:, :NEAREST]
        there = np.isfinite(first)
        if not there.any():
            return np.ones(len(first))
        means = np.where(there, first, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        distance: Vector = np.where(there.any(axis=1), means, means.max())
        return distance

    def without(self, left_out: npt.NDArray[np.bool_]) -> "Near":
        """Return the neighbours that are not left out (n, k), the nearest first again."""
        distances = np.where(left_out, np.inf, self.distances)
        order = np.argsort(distances, axis=1, kind="stable")
        return Near(np.take_along_axis(distances, order, axis=1), np.take_along_axis(self.places, order, axis=1))


@dataclass(frozen=True)
class Domain:
    """What a fitted model has learnt from, as the trunk of its source represents it.

    Attributes:
        represented: (m, w), the activations of the training rows that are kept.
        rows: (m,), which of the training rows they are.
        unit: the median distance of a training row from its nearest, those of its own key apart.
        known: elements, and atom types, that source or training rows have.
    """

    represented: Matrix
    rows: Rows
    unit: float
    known: frozenset[str]

    @classmethod
    def fit(cls, represented: Matrix, keys: npt.NDArray[np.object_], known: Collection[str]) -> "Domain":
        """Make the domain of some training rows; of very many, some are drawn, always the same.

        Args:
            represented: (n, w), see `represent`.
            keys: (n,), rows that share one are near-copies.
            known: elements, and atom types, that source or training rows have.
        """
        most = max(1, NUMBERS // represented.shape[1])
        rows = np.sort(np.random.default_rng(0).permutation(len(represented))[:most])
        whole = cls(represented[rows], rows, 1.0, frozenset(known))
        apart = whole.near(represented[rows], NEAREST, keys[rows], keys[rows]).distance
        return cls(whole.represented, rows, float(np.median(apart)) or 1.0, whole.known)

    def near(
        self,
        represented: Matrix,
        neighbours: int,
        keys: npt.NDArray[np.object_] | None = None,
        own: npt.NDArray[np.object_] | None = None,
    ) -> Near:
        """Return the training rows nearest to some rows.

        Args:
            represented: (n, w), see `represent`.
            neighbours: how many; fewer if there are no more.
            keys: (n,) of the rows, if training rows of the same key are no neighbours.
            own: (m,) of the training rows that are kept, then.
        """
        rows = self.represented.astype(np.float64)
        squares = np.sum(rows**2, axis=1)
        several = min(neighbours, len(rows))
        parts = []
        for start in range(0, len(represented), CHUNK):
            some = represented[start : start + CHUNK].astype(np.float64)
            distances = np.sum(some**2, axis=1)[:, None] + squares - 2 * some @ rows.T
            if keys is not None and own is not None:
                distances[keys[start : start + CHUNK, None] == own] = np.inf
            places = np.argpartition(distances, several - 1, axis=1)[:, :several]
            near = np.sqrt(np.maximum(np.take_along_axis(distances, places, axis=1), 0)) / self.unit
            parts.append(Near(near, places).without(np.isinf(near)))
        return Near(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def unseen(self, contents: Sequence[Collection[str]]) -> list[str]:
        """Return of each row what neither source nor training rows have: "Np, Xe"; empty if there is nothing."""
        return [", ".join(sorted(set(has) - self.known)) for has in contents]

    def files(self) -> dict[str, bytes]:
        """Return the files that hold the domain."""
        about = {"unit": self.unit, "known": sorted(self.known)}
        tensors: dict[str, npt.NDArray[Any]] = {"represented": self.represented, "rows": self.rows}
        return {"domain.safetensors": save_tensors(tensors), "domain.json": json.dumps(about, indent=1).encode()}

    @classmethod
    def from_files(cls, tensors: bytes, about: bytes) -> "Domain":
        """Make the domain again from the contents of `domain.safetensors` and `domain.json`."""
        kept, state = load_tensors(tensors), json.loads(about)
        return cls(kept["represented"], kept["rows"], state["unit"], frozenset(state["known"]))


def represent(source: Fitted, table: Table) -> Matrix:
    """Return the activations (n, w) that the source's trunk makes of some rows."""
    represented: Matrix = training.represent(source.networks[0], torch.from_numpy(table.features)).numpy()
    return represented


def contents(table: Table, elements: Sequence[str], foreign: Sequence[str]) -> list[frozenset[str]]:
    """Return what each row is made of: its elements, and of atom types those that the source has none of.

    Args:
        table: n rows.
        elements: the names of `table.elements`.
        foreign: (n,), the atom types that the source lacks: "ddC, ssssN".
    """
    names = np.array(elements, dtype=object)
    has = [frozenset(names[row > 0]) for row in table.elements]
    return [own | set(types.split(", ")) if types else own for own, types in zip(has, foreign, strict=True)]
