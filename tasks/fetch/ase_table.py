"""Databases in SQLite as ASE writes them: checked, and read ten times as fast as through ASE."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from ase.data import chemical_symbols

from tasks.errors import MatliftError
from tasks.formulas import written

MAGIC = b"SQLite format 3\0"
COLUMNS = ("id", "natoms", "numbers", "positions", "key_value_pairs")  # of ASE's table systems
# What ASE writes a second time to make queries faster: the keys of each row, and how many atoms of each element.
AGAIN = (
    "SELECT id, key, value FROM number_key_values UNION ALL SELECT id, key, value FROM text_key_values",
    "SELECT id, Z, n FROM species",
)
WAIT = 5.0  # seconds for a lock to be released
FAR = 1000  # Å from the origin; no position of a molecule or a cell is as far

Key = str | int | float | bool


class DamagedError(MatliftError):
    """A file is no complete ASE database."""


class Table(NamedTuple):
    """Rows of a database, n of them with N atoms in all.

    Attributes:
        ids: (n,), in the database.
        keys: (n,), what the database says of each row, by name.
        sizes: (n,), atoms of each row.
        numbers: (N,), atomic numbers, row after row.
        positions: (N, 3), Å.
    """

    ids: list[int]
    keys: list[dict[str, Key]]
    sizes: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int32]
    positions: npt.NDArray[np.float64]


def read_table(path: Path) -> Table:
    """Read all rows of a database, after checking the file.

    Raises:
        DamagedError: it is no complete ASE database.
        MatliftError: another program is writing to it.
    """
    _check_header(path)
    with _connected(path) as database:
        (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise DamagedError(f"{path} is damaged ({_line(state)}): get it anew")
        columns = {name for _, name, *_ in database.execute("PRAGMA table_info(systems)")}
        if missing := [name for name in COLUMNS if name not in columns]:
            what = f"a table systems with {', '.join(missing)}" if columns else "a table systems"
            raise DamagedError(f"{path} is an SQLite database, but not one of ASE's: it has not {what}")
        rows = database.execute(f"SELECT {', '.join(COLUMNS)} FROM systems ORDER BY id").fetchall()  # noqa: S608
        again = [database.execute(query).fetchall() for query in AGAIN]
    if not rows:
        raise DamagedError(f"{path} has no rows: get it anew")
    ids, sizes, numbers, positions, texts = map(list, zip(*rows, strict=True))
    keys = [_parse(path, row, text) for row, text in zip(ids, texts, strict=True)]
    for row, size, *blobs in zip(ids, sizes, numbers, positions, strict=True):
        _check_blobs(path, row, size, blobs)
    table = Table(
        ids,
        keys,
        np.array(sizes, dtype=np.int64),
        np.frombuffer(b"".join(numbers), "<i4"),
        np.frombuffer(b"".join(positions), "<f8").reshape(-1, 3),
    )
    _check_atoms(path, table)
    _check_again(path, table, *again)
    return table


def formulas(table: Table) -> list[str]:
    """Return the formula of each row in Hill's order."""
    counts = _counts(table)
    elements = np.flatnonzero(counts.any(axis=0))
    symbols = [chemical_symbols[element] for element in elements]
    return [written(dict(zip(symbols, row, strict=True))) for row in counts[:, elements].tolist()]


def xyz(table: Table) -> list[str]:
    """Return the atoms of each row with their positions, Å, to four decimals: one line each.

    The parts of the numbers are looked up among ready texts, which is three times as fast as writing each.
    """
    whole = pa.array([f" {sign}{number}." for sign in ("", "-") for number in range(FAR)])
    decimals = pa.array([f"{number:04d}" for number in range(10_000)])
    columns = [pa.array(chemical_symbols).take(pa.array(table.numbers))]
    for coordinate in np.rint(table.positions.T * 10_000).astype(np.int32):
        before, after = np.divmod(np.abs(coordinate), 10_000)
        columns += [whole.take(pa.array(before + FAR * (coordinate < 0))), decimals.take(pa.array(after))]
    lines = pc.binary_join_element_wise(*columns, "")
    ends = pa.array(np.concatenate([[0], np.cumsum(table.sizes)]), pa.int32())
    texts: list[str] = pc.binary_join(pa.ListArray.from_arrays(ends, lines), "\n").to_pylist()
    return texts


def _check_header(path: Path) -> None:
    """Refuse what is no SQLite database, or only the beginning of one (https://sqlite.org/fileformat.html)."""
    with path.open("rb") as file:
        header = file.read(100)
    size = path.stat().st_size
    if not size:
        raise DamagedError(f"{path} is empty: get it anew")
    if not header.startswith(MAGIC):
        raise DamagedError(f"{path} is no SQLite database{_instead(header)}")
    if size < 100:
        raise DamagedError(f"{path} is cut off: its header alone has 100 bytes, it has {size}; get it anew")
    page = int.from_bytes(header[16:18])
    page = 65_536 if page == 1 else page  # the number that two bytes cannot hold
    pages = int.from_bytes(header[28:32])
    if header[24:28] == header[92:96] and size < page * pages:  # else the number of pages is out of date
        raise DamagedError(f"{path} is cut off: it has {size:,} of {page * pages:,} bytes; get it anew")


def _instead(header: bytes) -> str:
    """Say what a file is that is no database, and what to do."""
    if header.startswith(b"\x1f\x8b"):
        return " but compressed with gzip: unpack it with gunzip"
    if header.lstrip().startswith(b"<"):
        return " but a web page: check the address that it came from"
    return ": get it anew"


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to a database that is only read.

    It is not opened as immutable: then SQLite would not see that another program is writing to it.

    Raises:
        MatliftError: SQLite cannot read it.
    """
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=WAIT)
        ) as database:
            database.execute("BEGIN")  # the check and the reading see the same
            yield database
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise MatliftError(
                f"{path} is locked: another program is writing to it, run again when it has ended"
            ) from error
        raise DamagedError(f"{path} cannot be read ({_line(error)}): get it anew") from error
    except sqlite3.DatabaseError as error:
        raise DamagedError(f"{path} is damaged ({_line(error)}): get it anew") from error


def _line(said: object) -> str:
    """Return a message in one line."""
    return " ".join(str(said).split())


def _parse(path: Path, row: int, text: object) -> dict[str, Key]:
    """Return the keys of a row."""
    try:
        keys = json.loads(text) if isinstance(text, str | bytes) else None
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: the keys of row {row} are no JSON ({error}); get it anew") from error
    if not isinstance(keys, dict):
        raise DamagedError(f"{path} is damaged: row {row} has no keys; get it anew")
    return keys


def _check_blobs(path: Path, row: int, size: object, blobs: Sequence[object]) -> None:
    """Refuse a row whose arrays are not as long as its number of atoms says: 4 and 24 bytes per atom."""
    for name, blob, width in zip(("numbers", "positions"), blobs, (4, 24), strict=True):
        length = len(blob) if isinstance(blob, bytes) else 0
        if not isinstance(size, int) or size < 1 or length != width * size:
            raise DamagedError(
                f"{path} is damaged: row {row} has {size} atoms, but {length} bytes of {name}; get it anew"
            )


def _check_atoms(path: Path, table: Table) -> None:
    """Refuse rows with atoms of no element, or in impossible places."""
    row_of = np.repeat(table.ids, table.sizes)
    unknown = (table.numbers < 1) | (table.numbers >= len(chemical_symbols))
    impossible = ~(np.abs(table.positions) < FAR - 1).all(axis=1)  # true of NaN
    for wrong, what in ((unknown, "an atom of no element"), (impossible, "an atom in an impossible place")):
        if wrong.any():
            raise DamagedError(f"{path} is damaged: row {row_of[np.argmax(wrong)]} has {what}; get it anew")


def _check_again(
    path: Path, table: Table, keys: Sequence[tuple[int, str, Key]], species: Sequence[tuple[int, int, int]]
) -> None:
    """Refuse rows that say one thing where they are read, and another where ASE wrote it again."""
    of = dict(zip(table.ids, table.keys, strict=True))
    for row, key, value in keys:
        if row in of and _stored(of[row].get(key)) != value:
            raise DamagedError(f"{path} is damaged: row {row} has two values of {key}; get it anew")
    counts, places = _counts(table), {row: place for place, row in enumerate(table.ids)}
    for row, number, count in species:
        if row in places and counts[places[row], number] != count:
            raise DamagedError(f"{path} is damaged: row {row} has two numbers of atoms of one element; get it anew")


def _stored(value: Key | None) -> str | float | None:
    """Return a value as SQLite gives it from ASE's tables of keys: numbers are rounded to floats, and NaN is null."""
    if value is None or isinstance(value, str):
        return value
    return None if value != value else float(value)  # noqa: PLR0124 -- true of NaN alone


def _counts(table: Table) -> npt.NDArray[np.int64]:
    """Return how many atoms of each element every row has: rows by atomic numbers."""
    rows, width = np.repeat(np.arange(len(table.ids)), table.sizes), len(chemical_symbols)
    return np.bincount(rows * width + table.numbers, minlength=len(table.ids) * width).reshape(-1, width)
