"""Puts candidates into the store in shards, each under the fingerprint of what is in it."""

import hashlib
import json
from typing import Any

import pandas as pd

from tasks.errors import MatliftError
from tasks.handles import Candidates, Shard, fingerprint
from tasks.progress import report
from tasks.screen.sources import Batches, Source
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet


def gather(store: Store, source: Source, batches: Batches, label: str) -> dict[str, bytes]:
    """Return the file of a Candidates object, all of whose shards are in the store then.

    Args:
        store: where they go.
        source: where they come from.
        batches: what becomes one shard each; only one is in memory.
        label: what is being done, for the progress.

    Raises:
        MatliftError: there are none.
    """
    shards: list[str] = []
    rows = 0
    for batch in batches:
        shard = _name(batch)
        if not store.holds(shard):
            store.files.require_room()
            store.write(shard, {"items.parquet": to_parquet(pd.DataFrame({"item": batch}, dtype="str"), {})}, 0)
        shards.append(shard.path)
        rows += len(batch)
        report(label, rows, rows)  # nobody knows how many will come
    if not rows:
        raise MatliftError("there are no candidates: name another table, filter or list of elements")
    about = {"source": source.model_dump(mode="json", exclude_defaults=True), "rows": rows, "shards": shards}
    return {"shards.json": json.dumps(about).encode()}


def source_of(store: Store, candidates: Candidates) -> dict[str, Any]:
    """Return where candidates came from, as the parameter said it."""
    source: dict[str, Any] = json.loads(store.read(candidates, "shards.json"))["source"]
    return source


def shards_of(store: Store, candidates: Candidates) -> list[Shard]:
    """Return the shards of candidates, in order."""
    return [Shard(path.rpartition("/")[2]) for path in json.loads(store.read(candidates, "shards.json"))["shards"]]


def items_of(store: Store, shard: Shard) -> list[str | None]:
    """Return the candidates of a shard; those that a table lacks are None."""
    items = from_parquet(store.read(shard, "items.parquet"))["item"]
    return [item if isinstance(item, str) else None for item in items]


def _name(batch: object) -> Shard:
    """Return the handle of some candidates, by what they are alone."""
    return Shard(fingerprint("tasks.tables", hashlib.sha256(json.dumps(batch).encode()).hexdigest()))
