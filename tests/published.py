"""Bundles with made-up predictions, as small as the gate can read them."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import yaml
from safetensors.numpy import save

from tasks.handles import Bundle, Checkpoint
from tasks.manifest import MANIFEST, dump, sealed
from tasks.promote.candidate import Candidate
from tasks.store import Store
from tasks.tables import to_parquet

RECIPE = "alloys"
ROWS, FOLDS = 400, 5
CHECKPOINT = Checkpoint("c" * 16)
UNITS = {"value": "eV", "fold": "1", "in_source": "1"} | dict.fromkeys(("fine-tune", "scratch", "mean"), "eV")
Change = Callable[[pd.DataFrame], pd.DataFrame]


def predictions(scale: float, rows: Sequence[int] = range(ROWS), seed: int = 0) -> pd.DataFrame:
    """Held-out predictions that err by so much, in part all alike; two rows of each ten share a key."""
    every = np.random.default_rng(7)
    values, shared = every.gamma(2, 3, ROWS), every.laplace(size=ROWS)
    own = np.random.default_rng(seed).laplace(size=ROWS)
    missed = scale * (0.8 * shared + 0.4 * own)
    keys = np.array([f"KEY{row - (row % 10 == 9):04d}" for row in range(ROWS)])
    table = pd.DataFrame(
        {
            "record": [f"lab.csv:{row}" for row in range(ROWS)],
            "key": keys,
            "value": values,
            "in_source": np.arange(ROWS) % 3 == 0,
            "fold": (np.arange(ROWS) - (np.arange(ROWS) % 10 == 9)) % FOLDS,
            "fine-tune": values + missed,
            "scratch": values + 1.3 * missed,
            "mean": values.mean(),
        }
    )
    return table.iloc[list(rows)].reset_index(drop=True)


def candidate(
    number: int,
    table: pd.DataFrame,
    *,
    computed: int = 1000,
    coverage: float = 0.9,
    weight: float = 1.0,
    model: int = 0,
) -> Candidate:
    """A bundle of these predictions.

    Args:
        number: of the bundle, the later the higher.
        table: its predictions.
        computed: rows that its trunk was pretrained on.
        coverage: of its 90 % intervals.
        weight: one of its weights.
        model: number of its model, that of the bundle if not given.
    """
    unseen = table[~table["in_source"]]

    def methods(rows: pd.DataFrame) -> dict[str, Any]:
        missed = {name: (rows[name] - rows["value"]).abs().mean() for name in ("fine-tune", "scratch", "mean")}
        return {name: {"mae": float(mae), "median": float(mae) / 2} for name, mae in missed.items()}

    metrics = {
        "unit": "eV",
        "of": "compositions",
        "rows": {"all": len(table), "not in source": len(unseen)},
        "methods": methods(table),
        "not in source": {"methods": methods(unseen)},
        "best": {"method": "fine-tune", "frozen": 1, "parts": []},
        "intervals": {"level": 0.9, "coverage": coverage},
    }
    lineage = {"checkpoint": [CHECKPOINT.path], "model": [f"models/{model or number:016x}"]}
    prop = {"name": "band gap", "symbol": "Eg", "unit": "eV", "extensive": False}
    files = {
        "lineage.json": json.dumps(lineage).encode(),
        "metrics.json": json.dumps(metrics).encode(),
        "predictions.parquet": to_parquet(table, UNITS),
        "weights.safetensors": save({"weight": np.array([weight, 2.0])}),
        "recipe.yaml": yaml.safe_dump({"name": RECIPE, "title": "Band gaps of <alloys>", "property": prop}).encode(),
        "README.md": b"# Band gaps of alloys\n",
        "report.html": "<!doctype html><title>Report</title><p>Δ</p>".encode(),
    }
    bundle = Bundle(f"{number:016x}", RECIPE)
    return Candidate(bundle, f"2026-01-{number:02d}T00:00:00+00:00", files, metrics, table, lineage, computed)


def put(store: Store, one: Candidate) -> Bundle:
    """Publish it as its recipe's latest, at the time at which it was made."""
    history = {"training_rows": one.computed - 100, "validation_rows": 100, "auxiliary_rows": []}
    store.once(CHECKPOINT, lambda: {"history.json": json.dumps(history).encode()})
    store.write(one.bundle, one.files, 1)
    manifest = {name: said for name, said in store.manifest(one.bundle).items() if name != "sha256"}
    store.files.replace(f"{one.bundle.path}/{MANIFEST}", dump(sealed({**manifest, "made": one.made})))
    store.point(f"bundles/{RECIPE}/latest.json", {"bundle": one.bundle.fingerprint, "path": one.bundle.path})
    return one.bundle
