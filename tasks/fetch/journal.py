"""The journal of a crawl: a SQLite file with the rows and pages read so far, whole after a kill at any moment."""

import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Self

import pandas as pd

from tasks.errors import MatliftError
from tasks.fetch import cache

log = logging.getLogger(__name__)

KEPT = 7 * 24 * 3600  # seconds: what an older journal holds may no longer be what the service holds

TABLES = """
CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, formula TEXT, value REAL, energy REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pages (page TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID;
"""


class Row(NamedTuple):
    """What is kept of one record.

    Attributes:
        id: its name at the service.
        formula: as the service writes it, without spaces.
        value: the property.
        energy: by which records of one material are put in order, if not by the value.
    """

    id: str
    formula: str | None
    value: float | None
    energy: float | None = None


class Plan(NamedTuple):
    """How a service is read, as its first page told.

    Attributes:
        size: rows that a page is asked for.
        step: rows between the offsets of two pages; none where each page only tells the address of the next.
        total: rows that there are; none where the service does not say.
        available: rows that the service says its whole database has, which tells whether it changes meanwhile.
        turn: how often all pages were read already.
    """

    size: int
    step: int | None
    total: int | None
    available: int | None
    turn: int = 0


class Journal:
    """The rows and pages read so far. Every method raises MatliftError where the file cannot be used."""

    def __init__(self, part: str, identity: str) -> None:
        """Open the journal of a recipe's part and what its database held; a new one deletes those of before.

        Args:
            part: all that the recipe says of the data.
            identity: what the database held when the crawl began.
        """
        prefix = _digest(part)
        self._path = cache.folder() / "crawls" / f"{prefix}-{_digest(TABLES + identity)}.sqlite"
        with self._explained():
            self._path.parent.mkdir(exist_ok=True)
            self._delete_older(prefix)
            self._base = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        self._base.close()
        return False

    @property
    def plan(self) -> Plan | None:
        """How the service is read; none before the first page."""
        note = self._note("plan")
        return Plan(*json.loads(note)) if note else None

    @property
    def position(self) -> str | None:
        """The address of the next page where addresses are followed; none at the end."""
        return self._note("position")

    def begin(self, plan: Plan) -> None:
        """Keep how the service is read, and forget which pages were."""
        with self._explained(), self._base:
            self._base.execute("DELETE FROM pages")
            self._base.execute("DELETE FROM notes")
            self._base.execute("INSERT INTO notes VALUES ('plan', ?)", (json.dumps(plan),))

    def forget(self) -> None:
        """Forget all."""
        with self._explained(), self._base:
            for table in ("rows", "pages", "notes"):
                self._base.execute(f"DELETE FROM {table}")  # noqa: S608

    def put(self, page: str, rows: Iterable[Row], position: str | None = None) -> None:
        """Keep a page: all of it or, if the process is killed meanwhile, nothing. Rows replace those of their name."""
        with self._explained(), self._base:
            self._base.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", rows)
            self._base.execute("INSERT OR REPLACE INTO pages VALUES (?)", (page,))
            self._base.execute("INSERT OR REPLACE INTO notes VALUES ('position', ?)", (position,))

    def pages(self) -> set[str]:
        """Return the pages that are kept."""
        with self._explained():
            return {page for (page,) in self._base.execute("SELECT page FROM pages")}

    def count(self) -> int:
        """Return how many rows are kept."""
        with self._explained():
            number: int = self._base.execute("SELECT COUNT(*) FROM rows").fetchone()[0]
            return number

    def table(self) -> pd.DataFrame:
        """Return the rows, always in the same order; numbers that name rows count as numbers."""
        with self._explained():
            parts = pd.read_sql_query(
                "SELECT id, formula, value, energy FROM rows ORDER BY LENGTH(id), id",
                self._base,
                dtype={"id": "str", "formula": "str", "value": "float64", "energy": "float64"},
                chunksize=50_000,  # bounds what is there twice, as Python's objects and as columns
            )
            return pd.concat(parts, ignore_index=True)

    def _note(self, name: str) -> str | None:
        with self._explained():
            found = self._base.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
            return found[0] if found else None

    def _delete_older(self, prefix: str) -> None:
        """Delete the part's journals of what its database held before, and this one if it is too old."""
        files = set(self._path.parent.glob(f"{prefix}-*"))
        own = set(self._files())
        if max((path.stat().st_mtime for path in own), default=0.0) > time.time() - KEPT:
            files -= own
        _delete(files)

    def _files(self) -> Iterable[Path]:
        """Return the file, and those that SQLite keeps beside it."""
        return self._path.parent.glob(f"{self._path.name}*")

    def _open(self) -> sqlite3.Connection:
        """Open the file; one that is no journal any more is put away, because all that it held can be read again."""
        try:
            return self._connect()
        except sqlite3.OperationalError:  # no space or no right to write, which a new file would not mend
            raise
        except sqlite3.DatabaseError as error:
            log.warning("%s is broken (%s): it is deleted, and reading begins again", self._path, error)
            _delete(self._files())
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, timeout=60)
        try:
            base.execute("PRAGMA journal_mode = WAL")  # so that a page costs no wait for the disk, and is still whole
            base.execute("PRAGMA synchronous = NORMAL")
            base.executescript(TABLES)
            if (found := base.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
        except sqlite3.Error:
            base.close()
            raise
        return base

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what goes wrong with the file into a sentence."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise MatliftError(
                f"{self._path}, which keeps what is read, cannot be used: {error}; make room there, "
                "or set MATLIFT_CACHE to a folder that has some"
            ) from error


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
