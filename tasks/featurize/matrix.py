"""Feature matrices: made from snapshots, kept in the store, loaded as arrays."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.errors import MatliftError
from tasks.featurize.estate import estate_names, estate_rows, formulas_of
from tasks.featurize.fractions import count_rows, fraction_rows
from tasks.featurize.labels import START, label_columns, label_rows
from tasks.featurize.scale import Scale
from tasks.featurize.shards import PART, SparseRows, attempts, computed_rows, kept_rows
from tasks.featurize.statistics import statistics_names, statistics_rows
from tasks.featurize.topology import TOPOLOGY
from tasks.formulas import amounts
from tasks.handles import Features, Snapshot
from tasks.parallel import run_chunks
from tasks.recipe import Estate, FeatureSpec, Fractions, Statistics
from tasks.store import Store
from tasks.tables import from_parquet, joined_parquet, matrix_from_parquet, to_parquet, units

SHARD = 2**15  # rows that are standardised at once; their bounds decide the last digits of the scale
FORMULAS = 100_000  # that a process takes at once
COUNT = "count_"  # starts the names of features that count the atoms of a type


@dataclass(frozen=True)
class Table:
    """A feature matrix in memory, with n rows, p features and e elements.

    Attributes:
        features: (n, p), standardised on the source, without unit.
        elements: (n, e), atoms of each element of the source (of dyes: of their free bases; with statistics, of each
            element that they describe); the fraction of each if the property is not extensive.
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


@dataclass(frozen=True)
class Unscaled:
    """The features of n rows before standardisation, made in shards when they are asked for.

    Attributes:
        names: of the features.
        items: what they are computed of, each once.
        rows: those of the items.
        place: (n,), the item of each row.
        columns: the last of the names, those of labels.
        labels: the labels of each row, JSON; of none where no column is one.
    """

    names: tuple[str, ...]
    items: Sequence[str]
    rows: SparseRows
    place: npt.NDArray[np.int64]
    columns: tuple[str, ...] = ()
    labels: Sequence[str] = ()

    def shards(self, rows: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float64]]:
        """Yield the features of the rows at these places, SHARD rows at once: rows by names."""
        for start in range(0, len(rows), SHARD):
            some = rows[start : start + SHARD]
            matrix = self.rows.take(self.place[some])
            if self.columns:
                matrix = np.hstack([matrix, label_rows([self.labels[row] for row in some], self.columns)])
            yield matrix


def featurize_rows(
    store: Store, snapshot: Snapshot, features: FeatureSpec, scale: Features | None, *, extensive: bool
) -> dict[str, bytes]:
    """Return the files of a Features object; rows whose features cannot be computed are in `rejected.parquet`.

    Args:
        store: holds the snapshot, and keeps the unscaled features.
        snapshot: the curated table.
        features: which features to compute.
        scale: features of the source, whose columns and scale are used; None for the source itself.
        extensive: whether the property is; see `Table.elements`.

    Raises:
        MatliftError: there are no rows, or none has features.
    """
    content = store.read(snapshot, "rows.parquet")
    rows, unit = from_parquet(content), units(content)["value"]
    if rows.empty:
        raise MatliftError(f"{snapshot} has no rows to featurize: see why in its rejected.parquet")
    report = json.loads(store.read(snapshot, "report.json"))
    fitted = None if scale is None else load_scale(store, scale)
    unscaled = _compute(store, rows, features, report["of"], fitted)
    reasons = unscaled.rows.reasons()[unscaled.place]
    formulas, elements = _atoms(rows[_without(reasons, snapshot)], report)
    if scale is not None:
        known = json.loads(store.read(scale, "state.json"))
        elements, absent = known["elements"], known["absent"]
    elif isinstance(features, Statistics):
        elements = list(features.elements)  # a target may have those that its source lacks
    count = count_rows if extensive else fraction_rows
    counts, reasons[_without(reasons, snapshot)] = attempts(partial(count, elements=elements), formulas)
    kept = np.flatnonzero(_without(reasons, snapshot))
    fitted = fitted or Scale.fit(unscaled.names, unscaled.shards(kept))
    if scale is None:
        absent = _absent(unscaled, kept, fitted)
    scaled = (fitted.apply(unscaled.names, shard) for shard in unscaled.shards(kept))
    numbers = (pd.DataFrame(shard, columns=list(fitted.names)) for shard in scaled)
    atoms = pd.DataFrame(counts, columns=[f"atoms_{element}" for element in elements])
    about = rows.loc[kept, ["record", "key", "value"]].reset_index(drop=True).join(atoms)
    about["foreign"] = _having(unscaled, kept, absent)
    about_all = {"of": report["of"], "extensive": extensive, "elements": elements, "absent": absent}
    state = {**features.model_dump(mode="json"), **about_all, **fitted.state()}
    return {
        "matrix.parquet": joined_parquet(numbers, dict.fromkeys(fitted.names, "1")),
        "rows.parquet": to_parquet(about, {"value": unit, **dict.fromkeys(atoms.columns, "1")}),
        "rejected.parquet": to_parquet(_rejected(rows, unscaled, reasons), {}),
        "state.json": json.dumps(state, indent=1).encode(),
    }


def _without(reasons: npt.NDArray[np.object_], snapshot: Snapshot) -> npt.NDArray[np.bool_]:
    """Return which rows are not rejected: (n,)."""
    good: npt.NDArray[np.bool_] = pd.isna(reasons)
    if good.any():
        return good
    raise MatliftError(f"no row of {snapshot} has features; of the first one, {reasons[0]}")


def _rejected(rows: pd.DataFrame, unscaled: Unscaled, reasons: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return record, item and reason of the rows that are rejected."""
    bad = np.flatnonzero(~pd.isna(reasons))
    items = [unscaled.items[place] for place in unscaled.place[bad]]
    said = {"record": rows["record"].to_numpy(object)[bad], "item": items, "reason": reasons[bad]}
    return pd.DataFrame(said, dtype=object)


def _atoms(rows: pd.DataFrame, report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the formulas whose atoms are counted, and the elements in them; of dyes those of their free bases.

    A dye's metal, with what else is bonded to it, is one of its labels. Counted, it would carry the mean of all dyes
    that have one, and be missed in those that have none.
    """
    if report["of"] != "dyes":
        return rows["formula"].tolist(), report["elements"]
    place, bases = pd.factorize(rows["smiles"].astype(object))
    formulas = list(chain.from_iterable(run_chunks(formulas_of, bases.tolist(), chunk=PART, label="count atoms")))
    return [formulas[base] for base in place], sorted(set(chain.from_iterable(map(amounts, formulas))))


def _compute(store: Store, rows: pd.DataFrame, features: FeatureSpec, of: str, fitted: Scale | None) -> Unscaled:
    """Return the features of some rows.

    Args:
        store: keeps those that take long to compute.
        rows: of the snapshot.
        features: which ones.
        of: what a row is, by the snapshot's report.
        fitted: the scale of the source, which knows its labels; None for the source itself.
    """
    compute: partial[npt.NDArray[np.float64]]
    match features:
        case Estate(topology=topological, statistics=statistics, merged=merged):
            names = estate_names(statistics) + (TOPOLOGY if topological else ())
            compute = partial(
                estate_rows, topological=topological, dyes=of == "dyes", statistics=statistics, merged=merged
            )
            column = rows["smiles"]
        case Fractions(elements=elements):
            names = tuple(f"fraction_{element}" for element in elements)
            compute, column = partial(fraction_rows, elements=elements), rows["formula"]
        case Statistics(fractions=fractions):
            names, column = statistics_names(fractions=fractions), rows["formula"]
            compute = partial(statistics_rows, fractions=fractions)
    # Each item once: dyes with different metals share a free base.
    place, unique = pd.factorize(column.astype(object), use_na_sentinel=False)
    items = unique.tolist()
    if isinstance(features, Estate):
        found = kept_rows(store, compute, items, len(names))
    else:  # they are computed faster than looked up
        found = computed_rows(compute, items, len(names), FORMULAS)
    if not (isinstance(features, Estate) and features.labels):
        return Unscaled(names, items, found, place)
    said = rows["labels"].fillna("{}").tolist()
    columns = fitted.starting(START) if fitted else label_columns(said, features.labels)
    return Unscaled(names + columns, items, found, place, columns, said)


def _absent(unscaled: Unscaled, rows: npt.NDArray[np.int64], scale: Scale) -> list[str]:
    """Return the atom types of which no row has an atom: a column that is not kept has one value in all rows."""
    first = dict(zip(unscaled.names, next(unscaled.shards(rows[:1]))[0], strict=True))
    return [name.removeprefix(COUNT) for name in scale.dropped if name.startswith(COUNT) and not first[name]]


def _having(unscaled: Unscaled, rows: npt.NDArray[np.int64], types: Sequence[str]) -> list[str]:
    """Return which of some atom types each row has, as text: "ddC, ssssN"."""
    columns = [unscaled.names.index(COUNT + name) for name in types]
    has = chain.from_iterable(shard[:, columns] != 0 for shard in unscaled.shards(rows))
    return [", ".join(np.array(types, dtype=object)[row]) for row in has] if columns else [""] * len(rows)


def load_scale(store: Store, features: Features) -> Scale:
    """Return the scale by which a Features object was standardised."""
    return Scale.from_state(json.loads(store.read(features, "state.json")))


def load(store: Store, features: Features) -> Table:
    """Load a Features object as arrays."""
    scale = load_scale(store, features)
    matrix = matrix_from_parquet(store.read(features, "matrix.parquet"))
    rows = from_parquet(store.read(features, "rows.parquet"))
    counts = rows.filter(regex="^atoms_")
    return Table(
        features=matrix,
        elements=counts.to_numpy(np.float64),
        values=rows["value"].to_numpy(np.float64),
        keys=rows["key"].to_numpy(object),
        records=rows["record"].to_numpy(object),
        nothing=scale.apply(scale.names, np.zeros((1, len(scale.names))))[0],
    )
