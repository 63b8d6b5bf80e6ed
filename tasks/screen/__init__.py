"""The door of screening: a published model scores any number of candidates, and the best are kept."""

import json
from typing import Any

import pandas as pd

from tasks.dashboard import progress_artifact, show_table
from tasks.handles import Candidates, Screening, fingerprint
from tasks.passwords import hidden
from tasks.predict import is_recipe, locate
from tasks.screen import scoring, shards, sources
from tasks.screen.ranking import MOST, By
from tasks.screen.scoring import Published
from tasks.screen.sources import OfElements, OfOptimade, OfTable, Source
from tasks.screen.words import told
from tasks.stage import stage
from tasks.store import connect
from tasks.tables import from_parquet, to_parquet

__all__ = [
    "MOST",
    "By",
    "OfElements",
    "OfOptimade",
    "OfTable",
    "Published",
    "Source",
    "find_model",
    "gather",
    "screen_candidates",
    "screened",
]

SHOWN = 20  # rows of the table on the dashboard


def find_model(model: str) -> Published:
    """Return a published model: the champion of a recipe, or else its latest, or what is at a path or URL.

    Raises:
        MatliftError: there is none.
    """
    return Published.at(locate(model, connect()) if is_recipe(model) else model)


@stage(task_run_name="gather candidates")
def gather(source: Source, takes: sources.Takes) -> Candidates:
    """Put candidates into the store, in shards, unless they are there.

    Raises:
        MatliftError: they cannot be read, or are not what the model takes.
    """
    store = connect()
    known = sources.identity(source, takes)
    modules = ("tasks.screen.table", "tasks.predict.inputs", "tasks.screen.compositions", "tasks.screen.shards")
    handle = Candidates(fingerprint("tasks.screen.sources", source, takes, known, modules=modules))
    with progress_artifact("gather"):
        return store.once(handle, lambda: shards.gather(store, source, sources.batches(source, takes, known), "gather"))


@stage(task_run_name="score {candidates} with {model.title}")
def screen_candidates(model: Published, candidates: Candidates, count: int, by: By) -> Screening:
    """Score all candidates, each shard once, and keep the best.

    Args:
        model: which scores.
        candidates: in the store.
        count: how many are kept.
        by: what is best.
    """
    store = connect()
    inputs = (model.fingerprint, candidates, count, by)
    modules = ("tasks.screen.ranking", "tasks.predict", *scoring.MODULES)
    named = fingerprint("tasks.screen.scoring", *inputs, libraries=scoring.LIBRARIES, modules=modules)
    handle = Screening(named)

    def make() -> dict[str, bytes]:
        best = scoring.best_of(store, model, shards.shards_of(store, candidates), by, count)
        about = {
            "model": hidden(model.location),
            "fingerprint": model.fingerprint,
            "property": model.what,
            "unit": model.unit,
            "by": by,
            "source": shards.source_of(store, candidates),
            "candidates": best.candidates,
            "without value": best.without_value,
            "not in the domain": best.outside,
        }
        return {"best.parquet": to_parquet(best.rows, model.units), "about.json": json.dumps(about, indent=1).encode()}

    with progress_artifact("score"):
        store.once(handle, make)
    rows, about = screened(handle)
    shown = [{"item": row.item, **told(row)} for row in rows.head(SHOWN).itertuples()]
    where = f"{store.url}/{handle.path}/best.parquet"
    said = (
        f"The best of {about['candidates']:,} candidates: {model.what}, {model.unit}; {by}. All {len(rows):,}: {where}"
    )
    show_table(f"screened {model.title}", shown, said)
    return handle


def screened(screening: Screening) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the best candidates of a screening, as a predictor gives them, and what is to be said of it."""
    store = connect()
    return from_parquet(store.read(screening, "best.parquet")), json.loads(store.read(screening, "about.json"))
