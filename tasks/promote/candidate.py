"""What the gate knows of a bundle, read from the bundle itself."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.handles import Bundle, Checkpoint
from tasks.store import Store
from tasks.tables import from_parquet

Vector = npt.NDArray[np.float64]

COMPARED = ("lineage.json", "metrics.json", "predictions.parquet")  # the files that a comparison needs


@dataclass(frozen=True)
class Candidate:
    """A bundle, as far as it was read.

    Attributes:
        bundle: which one.
        made: when, in ISO format, UTC.
        files: those that were read, by name; their SHA-256 is that of the manifest.
        metrics: of its comparison.
        predictions: held-out, a row per measurement: `key`, `value`, `fold`, `in_source` and a column for each method.
        lineage: the paths of what it was made from.
        computed: rows of computed tables that its trunk was pretrained on.
    """

    bundle: Bundle
    made: str
    files: Mapping[str, bytes]
    metrics: Mapping[str, Any]
    predictions: pd.DataFrame
    lineage: Mapping[str, list[str]]
    computed: int

    @classmethod
    def read(cls, store: Store, bundle: Bundle, names: Iterable[str] = ()) -> "Candidate":
        """Read a bundle, and compare each file with its SHA-256.

        Args:
            store: where it is.
            bundle: which one.
            names: of the files, COMPARED at least; all that it has if none is named.

        Raises:
            MatliftError: it is not there, not whole, or what it was pretrained on is not known.
        """
        manifest = store.manifest(bundle)
        files = {name: store.read(bundle, name) for name in names or manifest["files"]}
        lineage = json.loads(files["lineage.json"])
        history = json.loads(store.read(Checkpoint(lineage["checkpoint"][0].rpartition("/")[2]), "history.json"))
        return cls(
            bundle,
            manifest["made"],
            files,
            json.loads(files["metrics.json"]),
            from_parquet(files["predictions.parquet"]),
            lineage,
            history["training_rows"] + history["validation_rows"] + sum(history["auxiliary_rows"]),
        )

    @property
    def method(self) -> str:
        """The method that is published."""
        method: str = self.metrics["best"]["method"]
        return method

    @property
    def missed(self) -> Vector:
        """The absolute errors (n,) of the published method on held-out rows, in the unit of the property."""
        missed: Vector = (self.predictions[self.method] - self.predictions["value"]).abs().to_numpy(np.float64)
        return missed

    def facts(self) -> dict[str, Any]:
        """Return what is to be told of it, as JSON has it; errors are in the unit of the property."""
        return {**facts(self.bundle, self.made, self.metrics), "computed": self.computed}


def facts(bundle: Bundle, made: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a bundle's metrics say in short; errors are in the unit of the property.

    Args:
        bundle: which one.
        made: when, in ISO format.
        metrics: of its comparison.
    """
    method: str = metrics["best"]["method"]
    unseen, intervals = metrics["not in source"], metrics.get("intervals") or {}
    return {
        "bundle": bundle.fingerprint,
        "path": bundle.path,
        "made": made,
        "method": method,
        "unit": metrics["unit"],
        "of": metrics["of"],
        "mae": metrics["methods"][method]["mae"],
        "mae not in source": unseen["methods"][method]["mae"] if unseen else None,
        "scratch": metrics["methods"]["scratch"]["mae"],
        "coverage": intervals.get("coverage"),
        "level": intervals.get("level"),
        "measured": metrics["rows"]["all"],
    }
