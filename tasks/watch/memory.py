"""What the watch of a recipe remembers in the store: what it has seen, and which run it has started for what."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

from tasks.handles import Landing, Raw, Snapshot
from tasks.store import Store
from tasks.tables import from_parquet

LEARNT = ["smiles", "key", "formula", "labels", "value"]  # columns of a snapshot that a model is made from


@dataclass(frozen=True)
class Memory:
    """The pointer `watched/<recipe>.json`.

    Attributes:
        inbox: the digest of the inbox when it was landed last.
        landed: the digest of all landings of then.
        table: path of the target's table of then; another one when the database, the landings or our code change.
        digest: of what a run was decided on for, last: of what the target's rows say, or the table's path if the
            source had not been curated.
        snapshot: path of that snapshot.
        rows: how many it has.
        key: a UUID by which that decision is known; None before the first.
        run: id of the run that was started for it; None until it has been.
    """

    inbox: str = ""
    landed: str = ""
    table: str = ""
    digest: str = ""
    snapshot: str | None = None
    rows: int | None = None
    key: str | None = None
    run: str | None = None

    @property
    def pending(self) -> bool:
        """Whether a run was decided on that has not been started yet."""
        return self.key is not None and self.run is None

    def seen(self, inbox: str, landed: Sequence[Landing], table: Raw) -> Self:
        """Return this with what lies in the inbox, what has landed, and the target's table."""
        return replace(self, inbox=inbox, landed=landed_digest(landed), table=table.path)

    def decided(self, digest: str, snapshot: Snapshot | None, rows: int | None) -> Self:
        """Return this with the decision to start a run."""
        path = snapshot.path if snapshot else None
        return replace(self, digest=digest, snapshot=path, rows=rows, key=str(uuid.uuid4()), run=None)

    def started(self, run: str) -> Self:
        """Return this with the run that was decided on."""
        return replace(self, run=run)


def recall(store: Store, recipe: str) -> Memory | None:
    """Return what is remembered of a recipe, None before the first look."""
    found = store.pointer(_path(recipe))
    return Memory(**found) if found is not None else None


def remember(store: Store, recipe: str, old: Memory | None, new: Memory) -> bool:
    """Remember what follows from `old`; return whether that still held, for others may look at the same time."""
    return store.swap(_path(recipe), asdict(old) if old else None, asdict(new))


def inbox_digest(store: Store, recipe: str) -> str:
    """Return what changes with every file in a recipe's inbox."""
    entries = store.files.entries(f"landing/{recipe}/inbox")
    return _digest(f"{path} {entry.tag}" for path, entry in entries.items())


def landed_digest(landed: Iterable[Landing]) -> str:
    """Return what changes with every landing."""
    return _digest(landing.fingerprint for landing in landed)


def rows_of(store: Store, snapshot: Snapshot) -> tuple[str, int]:
    """Return the digest of what a snapshot's rows say, whichever records they are from, and how many they are.

    Raises:
        MatliftError: the store cannot be used.
    """
    rows = from_parquet(store.read(snapshot, "rows.parquet"))
    return _digest(map(repr, rows[LEARNT].itertuples(index=False, name=None))), len(rows)


def _digest(parts: Iterable[str]) -> str:
    """Return the SHA-256 of texts in any order; of none, no text."""
    every = "\n".join(sorted(parts))
    return every and hashlib.sha256(every.encode()).hexdigest()


def _path(recipe: str) -> str:
    return f"watched/{recipe}.json"
