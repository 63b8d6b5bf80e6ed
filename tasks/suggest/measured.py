"""What a bundle knows of the measurements it was made from: where they lie, and what its source's model misses."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_tensors

from tasks.errors import MatliftError
from tasks.predict.bundle import AGAIN, Bundle, read_bundle
from tasks.predict.loading import restored
from tasks.predict.predictor import Predictor
from tasks.suggest.belief import Array, Rows, Vector
from tasks.tables import from_parquet


@dataclass(frozen=True)
class Measured:
    """The measured rows that a bundle keeps the activations of, one of each key; of very many it keeps some.

    Attributes:
        activations: (m, w), of the trunk.
        values: (m,), measured, in the unit of the property.
        direct: (m,), what the source's model says.
        keys: of all rows that were measured, those of which no activations are kept, too.
    """

    activations: Array
    values: Vector
    direct: Vector
    keys: frozenset[str]

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Return it from a bundle's files.

        Raises:
            MatliftError: it has not all that this takes.
        """
        try:
            table = from_parquet(bundle.files["predictions.parquet"])
            tensors = load_tensors(bundle.files["domain.safetensors"])
            kept = table.iloc[tensors["rows"]][["key", "value", "direct"]]
        except (KeyError, IndexError) as error:
            raise MatliftError(
                f"the bundle {bundle.location} lacks {error}, which suggestions need: {AGAIN}"
            ) from error
        first: Rows = np.flatnonzero(~kept["key"].duplicated())
        return cls(
            activations=tensors["represented"][first],
            values=kept["value"].to_numpy(np.float64)[first],
            direct=kept["direct"].to_numpy(np.float64)[first],
            keys=frozenset(table["key"]),
        )

    @property
    def missed(self) -> Vector:
        """What the source's model misses (m,)."""
        return self.values - self.direct

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """Return the rows at these places, in this order."""
        return type(self)(self.activations[rows], self.values[rows], self.direct[rows], self.keys)


def opened(location: str) -> tuple[Predictor, Measured]:
    """Return the predictor of a bundle, and the measurements that it was made from.

    Args:
        location: as `tasks.predict.load` takes it.

    Raises:
        MatliftError: there is no bundle, or it cannot be used.
    """
    bundle = read_bundle(location, {})
    return restored(bundle), Measured.of(bundle)
