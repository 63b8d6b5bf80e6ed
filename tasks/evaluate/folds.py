"""Folds that no near-copy straddles, and smaller training sets inside them."""

import hashlib

import numpy as np
import numpy.typing as npt

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


def _draw(text: str) -> int:
    """Return a number that looks random and is always the same for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
