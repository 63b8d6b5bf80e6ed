"""Feature matrices: made from snapshots, kept in the store, loaded as arrays."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from rdkit import Chem, rdBase

from tasks.curate import element_counts
from tasks.featurize.estate import ESTATE, TOPOLOGY, estate, topology
from tasks.featurize.scale import Scale
from tasks.handles import Features, Snapshot
from tasks.parallel import run_chunks
from tasks.recipe import Estate
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet, units

CHUNK = 2000  # molecules that a process takes at once, about half a second of work


@dataclass(frozen=True)
class Table:
    """A feature matrix in memory, with n rows, p features and e elements.

    Attributes:
        features: (n, p), standardised on the source, without unit.
        elements: (n, e), atoms of each element of the source.
        values: (n,), the property, in the unit of the recipe; not a number where a row is only to be predicted.
        keys: (n,), the group of each row: rows that share one never straddle folds.
        records: (n,), the name of each row in its database.
        nothing: (p,), the features of no atoms at all, standardised like the others.
    """

    features: npt.NDArray[np.float32]
    elements: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    keys: npt.NDArray[np.object_]
    records: npt.NDArray[np.object_]
    nothing: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """Return the rows at these places, in this order."""
        return type(self)(
            features=self.features[rows],
            elements=self.elements[rows],
            values=self.values[rows],
            keys=self.keys[rows],
            records=self.records[rows],
            nothing=self.nothing,
        )


def featurize_rows(store: Store, snapshot: Snapshot, features: Estate, scale: Features | None) -> dict[str, bytes]:
    """Return the files of a Features object.

    Args:
        store: holds the snapshot.
        snapshot: the curated table; its columns `smiles`, `value`, `key` and `record` are read.
        features: which features to compute.
        scale: features of the source, whose columns and scale are used; None for the source itself.
    """
    content = store.read(snapshot, "rows.parquet")
    rows = from_parquet(content)
    if scale is None:
        elements = json.loads(store.read(snapshot, "report.json"))["elements"]
    else:
        elements = json.loads(store.read(scale, "state.json"))["elements"]
    names = ESTATE + TOPOLOGY if features.topology else ESTATE
    compute = partial(_rows, topological=features.topology)
    raw = np.concatenate(run_chunks(compute, rows["smiles"].tolist(), chunk=CHUNK, label="featurize"))
    counts = [[element_counts(formula)[element] for element in elements] for formula in rows["formula"]]
    fitted = Scale.fit(names, raw) if scale is None else load_scale(store, scale)
    numbers = pd.DataFrame(fitted.apply(names, raw), columns=list(fitted.names))
    atoms = pd.DataFrame(counts, columns=[f"atoms_{element}" for element in elements])
    about = rows[["record", "key", "value"]].join(atoms)
    state = {"kind": features.kind, "topology": features.topology, "elements": elements, **fitted.state()}
    return {
        "matrix.parquet": to_parquet(numbers, dict.fromkeys(fitted.names, "1")),
        "rows.parquet": to_parquet(about, {"value": units(content)["value"], **dict.fromkeys(atoms.columns, "1")}),
        "state.json": json.dumps(state, indent=1).encode(),
    }


def load_scale(store: Store, features: Features) -> Scale:
    """Return the scale by which a Features object was standardised."""
    return Scale.from_state(json.loads(store.read(features, "state.json")))


def load(store: Store, features: Features) -> Table:
    """Load a Features object as arrays."""
    scale = load_scale(store, features)
    matrix = from_parquet(store.read(features, "matrix.parquet"))
    rows = from_parquet(store.read(features, "rows.parquet"))
    counts = rows.filter(regex="^atoms_")
    return Table(
        features=matrix.to_numpy(np.float32, copy=True),
        elements=counts.to_numpy(np.float64),
        values=rows["value"].to_numpy(np.float64),
        keys=rows["key"].to_numpy(object),
        records=rows["record"].to_numpy(object),
        nothing=scale.apply(scale.names, np.zeros((1, len(scale.names))))[0],
    )


def _rows(molecules: Sequence[str], *, topological: bool) -> npt.NDArray[np.float64]:
    """Return the features of some molecules, given as SMILES: rows by columns."""
    with rdBase.BlockLogs():  # RDKit warns of hydrogen molecules
        parsed = [Chem.MolFromSmiles(smiles) for smiles in molecules]
    indices = np.array([estate(molecule) for molecule in parsed])
    return np.hstack([indices, [topology(molecule) for molecule in parsed]]) if topological else indices
