"""Feature matrices: made from snapshots, kept in the store, loaded as arrays."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.featurize.estate import ESTATE, TOPOLOGY, estate_rows, formulas_of
from tasks.featurize.fractions import count_rows, fraction_rows
from tasks.featurize.labels import START, label_columns, label_rows
from tasks.featurize.scale import Scale
from tasks.formulas import amounts
from tasks.handles import Features, Snapshot
from tasks.parallel import run_chunks
from tasks.recipe import Estate, FeatureSpec, Fractions
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet, units

CHUNK = 2000  # molecules that a process takes at once, about half a second of work


@dataclass(frozen=True)
class Table:
    """A feature matrix in memory, with n rows, p features and e elements.

    Attributes:
        features: (n, p), standardised on the source, without unit.
        elements: (n, e), atoms of each element of the source (of dyes: of their free bases); the fraction of each if
            the property is not extensive.
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


def featurize_rows(
    store: Store, snapshot: Snapshot, features: FeatureSpec, scale: Features | None, *, extensive: bool
) -> dict[str, bytes]:
    """Return the files of a Features object.

    Args:
        store: holds the snapshot.
        snapshot: the curated table.
        features: which features to compute.
        scale: features of the source, whose columns and scale are used; None for the source itself.
        extensive: whether the property is; see `Table.elements`.
    """
    content = store.read(snapshot, "rows.parquet")
    rows = from_parquet(content)
    report = json.loads(store.read(snapshot, "report.json"))
    formulas, elements = _atoms(rows, report)
    if scale is not None:
        elements = json.loads(store.read(scale, "state.json"))["elements"]
    fitted = None if scale is None else load_scale(store, scale)
    names, raw = _compute(rows, features, report["of"], fitted)
    count = count_rows if extensive else fraction_rows
    counts = count(formulas, elements=elements)
    fitted = fitted or Scale.fit(names, raw)
    numbers = pd.DataFrame(fitted.apply(names, raw), columns=list(fitted.names))
    atoms = pd.DataFrame(counts, columns=[f"atoms_{element}" for element in elements])
    about = rows[["record", "key", "value"]].join(atoms)
    about_all = {"of": report["of"], "extensive": extensive, "elements": elements}
    state = {**features.model_dump(mode="json"), **about_all, **fitted.state()}
    return {
        "matrix.parquet": to_parquet(numbers, dict.fromkeys(fitted.names, "1")),
        "rows.parquet": to_parquet(about, {"value": units(content)["value"], **dict.fromkeys(atoms.columns, "1")}),
        "state.json": json.dumps(state, indent=1).encode(),
    }


def _atoms(rows: pd.DataFrame, report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the formulas whose atoms are counted, and the elements in them; of dyes those of their free bases.

    A dye's metal, with what else is bonded to it, is one of its labels. Counted, it would carry the mean of all dyes
    that have one, and be missed in those that have none.
    """
    if report["of"] != "dyes":
        return rows["formula"].tolist(), report["elements"]
    bases, place = np.unique(rows["smiles"].to_numpy(str), return_inverse=True)
    formulas = list(chain.from_iterable(run_chunks(formulas_of, bases.tolist(), chunk=CHUNK, label="count atoms")))
    return [formulas[base] for base in place], sorted(set(chain.from_iterable(map(amounts, formulas))))


def _compute(
    rows: pd.DataFrame, features: FeatureSpec, of: str, fitted: Scale | None
) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Return the names of the features, and rows by features before standardisation.

    Args:
        rows: of the snapshot.
        features: which ones.
        of: what a row is, by the snapshot's report.
        fitted: the scale of the source, which knows its labels; None for the source itself.
    """
    match features:
        case Estate(topology=topological):
            names = ESTATE + TOPOLOGY if topological else ESTATE
            compute = partial(estate_rows, topological=topological, dyes=of == "dyes")
            column = rows["smiles"]
        case Fractions(elements=elements):
            names = tuple(f"fraction_{element}" for element in elements)
            compute, column = partial(fraction_rows, elements=elements), rows["formula"]
    items, place = np.unique(column.to_numpy(str), return_inverse=True)  # dyes with different metals share a free base
    matrix = np.concatenate(list(run_chunks(compute, items.tolist(), chunk=CHUNK, label="featurize")))[place]
    if not (isinstance(features, Estate) and features.labels):
        return names, matrix
    said = rows["labels"].fillna("{}").tolist()
    columns = fitted.starting(START) if fitted else label_columns(said, features.labels)
    return names + columns, np.hstack([matrix, label_rows(said, columns)])


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
