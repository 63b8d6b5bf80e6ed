"""Predicts the candidates of shards with a published model, on all cores or a Dask cluster, and keeps the best.

A matrix product may round a row otherwise when it stands among others, in the last digits of single precision. So a few
more are kept than are wanted, and in the end each of them is predicted by itself: values and order are those of
row-by-row prediction, also where many are as good as the last one that is kept. Only a candidate whose distance from
what was learnt is the greatest allowed but for such a digit may be taken for one outside of the domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from itertools import chain
from typing import Any, Literal

import pandas as pd
from threadpoolctl import threadpool_limits

from tasks.errors import MatliftError
from tasks.handles import Scores, Shard, fingerprint
from tasks.parallel import run_chunks
from tasks.passwords import hidden
from tasks.predict import Predictor, load
from tasks.screen.ranking import Best, By, ranked
from tasks.screen.shards import items_of
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet

NUMBERS = ("value", "lower", "upper")
SPARE = 100  # candidates that are predicted by themselves beside those that are wanted

# Modules of matlift, beside prediction's own, whose code can change what is predicted.
MODULES = ("tasks.featurize", "tasks.curate.molecules", "tasks.formulas", "tasks.porphyrins")
LIBRARIES = ("ase", "numpy", "rdkit")


@dataclass(frozen=True)
class Published:
    """A published model, as other processes find it.

    Attributes:
        location: of the bundle, or of a pointer to it.
        fingerprint: the bundle's.
        takes: what an item is, `smiles` or `formula`.
        what: it predicts, in words.
        unit: of that.
        title: for people: its recipe.
    """

    location: str
    fingerprint: str
    takes: Literal["smiles", "formula"]
    what: str
    unit: str
    title: str

    @classmethod
    def at(cls, location: str) -> "Published":
        """Look at the model at a location.

        Raises:
            MatliftError: there is none.
        """
        model = load(location)
        takes: Any = model.takes
        return cls(location, model.fingerprint, takes, model.property, model.unit, str(model.about["recipe"]))

    @property
    def units(self) -> dict[str, str]:
        """The units of what it predicts."""
        return {**dict.fromkeys(NUMBERS, self.unit), "in_domain": "1"}

    def loaded(self) -> Predictor:
        """Return it, ready to predict.

        Raises:
            MatliftError: it is another one by now.
        """
        return _loaded(self.location, self.fingerprint)


def best_of(store: Store, model: Published, shards: Sequence[Shard], by: By, count: int) -> Best:
    """Return the best of all candidates; what is not in the domain comes after all that is, whatever its value.

    Each shard is scored once and kept in the store, so a run that was killed goes on behind the last one. Only the best
    so far, and a shard for each process, are in memory.

    Args:
        store: holds the shards, and keeps their scores.
        model: predicts.
        shards: at least one.
        by: what is best.
        count: how many.
    """
    work = partial(_best_of_shard, store.url, model, by, count + SPARE)
    parts = chain.from_iterable(run_chunks(work, shards, chunk=1, label="score"))
    found = reduce(lambda one, other: one.with_next(other, by, count + SPARE), parts)
    alone = ranked(_alone(model.loaded(), found.rows), by).head(count).drop(columns="place")
    return Best(alone, found.candidates, found.without_value, found.outside)


def scored(store: Store, model: Published, shard: Shard) -> pd.DataFrame:
    """Return what the model predicts of a shard's candidates, in order, from the store if it has been there before.

    Raises:
        MatliftError: the model is another one by now.
    """

    def make() -> dict[str, bytes]:
        rows = model.loaded().predict(items_of(store, shard))
        return {"scores.parquet": to_parquet(rows, model.units)}

    return from_parquet(store.read(store.once(_scores(model, shard), make), "scores.parquet"))


def _scores(model: Published, shard: Shard) -> Scores:
    """Return the handle of what a model predicts of a shard's candidates."""
    inputs = (model.fingerprint, shard)
    return Scores(fingerprint("tasks.predict", *inputs, libraries=LIBRARIES, modules=MODULES), model.fingerprint)


def _best_of_shard(url: str, model: Published, by: By, count: int, shards: Sequence[Shard]) -> list[Best]:
    """Return the best of each of some shards; runs in a process of its own."""
    store = Store(url)  # not the one that the environment of another process may name
    with threadpool_limits(1):  # the processes share the processors
        return [Best.of(scored(store, model, shard), by, count) for shard in shards]


def _alone(model: Predictor, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a model predicts of each row's item by itself, with the row's place."""
    if rows.empty:
        return rows
    predicted = pd.concat([model.predict([item]) for item in rows["item"]], ignore_index=True)
    return predicted.assign(place=rows["place"])


@lru_cache(1)
def _loaded(location: str, fingerprint: str) -> Predictor:
    """Return a model, which takes a second to load."""
    predictor = load(location)
    if predictor.fingerprint != fingerprint:
        raise MatliftError(f"the model at {hidden(location)} has been replaced meanwhile: run again")
    return predictor
