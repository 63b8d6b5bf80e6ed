"""Folds that no near-copy straddles, and smaller training sets inside them."""

import hashlib

import numpy as np
import numpy.typing as npt

from tasks.errors import MatliftError
from tasks.featurize import Table

Rows = npt.NDArray[np.int64]


def grouped_folds(keys: npt.NDArray[np.object_], folds: int, seed: int | str) -> Rows:
    """Return the fold of each row: (n,), from 0 to `folds` - 1.

    The fold of a key depends on the key and the seed alone: rows that share a key share the fold, and new rows leave
    the folds of the old ones as they were. Fold sizes vary as in drawing lots.
    """
    return np.array([_draw(f"{seed}:{key}") % folds for key in keys], dtype=np.int64)


def subset(rows: Rows, keys: npt.NDArray[np.object_], size: int, seed: int | str) -> Rows:
    """Return `size` of the rows, drawn by key and seed; a smaller subset is contained in a larger one."""
    drawn = sorted(rows, key=lambda row: (_draw(f"subset:{seed}:{keys[row]}"), row))
    return np.sort(np.array(drawn[:size], dtype=np.int64))


def keep_apart(training: Table, held_out: Table) -> None:
    """Refuse to judge a model by rows that it has seen near-copies of.

    Args:
        training: rows that it is fitted on.
        held_out: rows that it is judged by.

    Raises:
        MatliftError: a key is in both; names a record of each.
    """
    seen = dict(zip(training.keys, training.records, strict=True))
    for key, record in zip(held_out.keys, held_out.records, strict=True):
        if key in seen:
            raise MatliftError(
                f"a comparison would leak: {seen[key]} is trained on and {record} held out, but both are {key}"
            )


def _draw(text: str) -> int:
    """Return a number that looks random and is always the same for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
