"""Unscaled features of many items: computed once for each, in parts that the store keeps; held in memory sparsely."""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import MatliftError
from tasks.handles import PORPHYRINS, Part, fingerprint
from tasks.parallel import run_chunks
from tasks.store import Store

# Whose code decides the features that are kept.
MOLECULES = (
    *(f"tasks.featurize.{name}" for name in ("estate", "atom_types", "graphs", "topology")),
    *PORPHYRINS,
)

PART = 10_000  # items that a process takes at once, and that the store keeps together: a second's work or more
BATCH = 500  # items that are computed at once: 10,000 molecules of RDKit would take hundreds of MB
DIGEST = 16  # bytes by which an item is known: two of 2^64 items may share one
READERS = 8  # small files on their way at once
LABEL = "featurize"

# What an item that RDKit or our own code cannot use raises: molecules that RDKit cannot sanitise are ValueErrors, its
# broken invariants RuntimeErrors, what is no text a TypeError. A mistake of ours may look the same: then it fails on
# every item, and the run stops because none is left.
FAULTS = (MatliftError, ValueError, TypeError, RuntimeError)

Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Digests = npt.NDArray[np.bytes_]
Attempt = tuple[Matrix, list[str | None]]  # rows of the items where it worked, and for each item why it did not
Compute = partial[Matrix]  # of a function at the top level of a module: takes items, returns a row for each


@dataclass(frozen=True)
class SparseRows:
    """The unscaled features of n items, without those that are zero.

    Attributes:
        table: a row for each item: the `reason` why it has no features, or null; the `columns` of those that are not
            zero; their `values`.
        places: (n,), where the row of each item is in the table.
        width: the number of features.
    """

    table: pa.Table
    places: Places
    width: int

    def reasons(self) -> npt.NDArray[np.object_]:
        """Return why each item has no features, None where it has: (n,)."""
        reasons: npt.NDArray[np.object_] = self.table["reason"].to_numpy()[self.places]
        return reasons

    def take(self, items: Places) -> Matrix:
        """Return the features of the items at these places: items by features."""
        taken = self.table.select(["columns", "values"]).take(self.places[items])
        columns, values = (taken[name].combine_chunks() for name in ("columns", "values"))
        rows = np.repeat(np.arange(len(items)), columns.value_lengths().to_numpy())
        matrix: Matrix = np.zeros((len(items), self.width))
        matrix[rows, columns.flatten().to_numpy()] = values.flatten().to_numpy()
        return matrix


@dataclass(frozen=True)
class Find:
    """Features that a part holds: those of the items at `places` are its rows `rows`."""

    part: Part
    rows: Places
    places: Places


def computed_rows(compute: Compute, items: Sequence[str], width: int, chunk: int) -> SparseRows:
    """Return the features of items, all computed, and kept nowhere.

    Args:
        compute: takes items, returns their rows.
        items: at least one, each once.
        width: the number of features.
        chunk: how many items a process takes at once.
    """
    parts = run_chunks(partial(part_files, compute), items, chunk=chunk, label=LABEL)
    table = pa.concat_tables([_table(files["rows.parquet"]) for files in parts])
    return SparseRows(table.combine_chunks(), np.arange(len(items)), width)


def kept_rows(store: Store, compute: Compute, items: Sequence[str], width: int) -> SparseRows:
    """Return the features of items: what the store has of them is read, the others are computed and put there.

    Each part is put there as soon as it is computed, under a name made from what is in it: a run that was killed goes
    on where it stopped, and runs at the same time do some work twice at worst.

    Args:
        store: keeps the parts below a name for this code, its parameters and the versions of its libraries.
        compute: takes items, returns their rows.
        items: at least one, each once.
        width: the number of features.
    """
    what = (compute.func.__module__, compute.func.__name__, compute.keywords)
    of = fingerprint(__name__, *what, libraries=("rdkit", "numpy"), modules=MOLECULES)
    finds, missing = _look_up(store, of, _digests(items))
    absent = [items[place] for place in missing]
    start, began = 0, time.perf_counter()
    for files in run_chunks(partial(part_files, compute), absent, chunk=PART, label=LABEL):
        part = Part(hashlib.sha256(files["digests"]).hexdigest()[:16], of)
        store.write(part, files, time.perf_counter() - began)
        places = missing[start : start + PART]
        finds.append(Find(part, np.arange(len(places)), places))
        start, began = start + PART, time.perf_counter()
    return _assembled(store, finds, len(items), width)


def part_files(compute: Compute, items: Sequence[str]) -> dict[str, bytes]:
    """Compute the features of some items; return the files of a part.

    Returns:
        `digests`, 16 bytes for each item; `rows.parquet`, the table of `SparseRows` in the same order.
    """
    matrix, reasons = attempts(compute, items)
    lengths = np.zeros(len(items), np.int32)
    lengths[[reason is None for reason in reasons]] = np.count_nonzero(matrix, axis=1)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    rows, columns = np.nonzero(matrix)
    lists = {"columns": pa.array(columns, pa.uint16()), "values": pa.array(matrix[rows, columns])}
    table = pa.table(
        {
            "reason": pa.array(reasons, pa.string()),
            **{name: pa.ListArray.from_arrays(offsets, values) for name, values in lists.items()},
        }
    )
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return {"digests": _digests(items).tobytes(), "rows.parquet": buffer.getvalue()}


def attempts(compute: Compute, items: Sequence[str]) -> Attempt:
    """Compute the rows of items, but of those on which it fails.

    Returns:
        The rows of the other items in their order; for each item why it has none, None where it has.
    """
    return _joined([_attempt(compute, items[start : start + BATCH]) for start in range(0, len(items), BATCH)])


def _attempt(compute: Compute, items: Sequence[str]) -> Attempt:
    """Compute the rows of items all at once; where that fails, one by one."""
    try:
        matrix = compute(items)
    except FAULTS as error:
        if len(items) == 1:
            return np.zeros((0, 0)), [_reason(error)]
        return _joined([_attempt(compute, [item]) for item in items])
    finite = np.logical_and.reduce(np.isfinite(matrix), axis=1)
    return matrix[finite], [None if ok else "one of its features is not a finite number" for ok in finite]


def _joined(parts: Sequence[Attempt]) -> Attempt:
    """Return attempts on items that follow each other as one."""
    rows = [rows for rows, _ in parts if len(rows)]  # those of no item do not know how many columns they have
    return np.concatenate(rows) if rows else np.zeros((0, 0)), list(chain.from_iterable(why for _, why in parts))


def _reason(error: Exception) -> str:
    """Return why an item has no features; RDKit's errors have many lines."""
    said = str(error).partition("\n")[0]
    return said if isinstance(error, MatliftError) else f"its features cannot be computed: {said}"


def _digests(items: Sequence[str]) -> Digests:
    """Return the digest of each item."""
    text = b"".join(hashlib.blake2b(str(item).encode(), digest_size=DIGEST).digest() for item in items)
    return np.frombuffer(text, f"S{DIGEST}")


def _look_up(store: Store, of: str, digests: Digests) -> tuple[list[Find], Places]:
    """Return where the features of items are kept, and the places of the items whose are not; reads digests only."""
    parts = [Part(path.rpartition("/")[2], of) for path in store.list(f"{Part.kind}/{of}")]
    order = np.argsort(digests)
    absent = np.ones(len(digests), bool)
    finds = []
    with ThreadPoolExecutor(READERS) as pool:
        for part, held in zip(parts, pool.map(lambda part: store.read(part, "digests"), parts), strict=True):
            theirs = np.frombuffer(held, digests.dtype)
            places = order[np.minimum(np.searchsorted(digests, theirs, sorter=order), len(digests) - 1)]
            rows = np.flatnonzero((digests[places] == theirs) & absent[places])
            if len(rows):
                absent[places[rows]] = False
                finds.append(Find(part, rows, places[rows]))
    return finds, np.flatnonzero(absent)


def _assembled(store: Store, finds: Sequence[Find], count: int, width: int) -> SparseRows:
    """Read the features of so many items from the parts that hold them."""
    tables = []
    places = np.empty(count, np.int64)
    start = 0
    for find in finds:
        tables.append(_table(store.read(find.part, "rows.parquet")).take(find.rows))
        places[find.places] = np.arange(start, start + len(find.rows))
        start += len(find.rows)
    return SparseRows(pa.concat_tables(tables).combine_chunks(), places, width)


def _table(content: bytes) -> pa.Table:
    """Return the rows of a part."""
    return pq.read_table(BytesIO(content))
