"""Candidates from a file of any size, wherever it lies: read in parts, as prediction reads it, never as a whole."""

import hashlib
from collections.abc import Iterator, Sequence

import fsspec

from tasks.errors import MatliftError
from tasks.predict.bundle import options_of, shown
from tasks.predict.inputs import STDIN, SUFFIXES, Inputs, explained, items_of, kind_of

PIECE = 2**20  # bytes that are read at once


def identity(at: str) -> str:
    """Return the SHA-256 of the file at a path, a URL or an s3:// URL.

    Raises:
        MatliftError: it cannot be read, or its name does not tell how to.
    """
    if kind_of(at) is None or at == STDIN:
        raise MatliftError(f"{shown(at)} is no file of candidates: their names end with {', '.join(SUFFIXES)}")
    digest = hashlib.sha256()
    with explained(at), fsspec.open(at, "rb", **options_of(at)) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def batches(at: str, takes: str, column: str | None) -> Iterator[Sequence[str | None]]:
    """Yield what a file holds, in its order; None where there is nothing.

    Args:
        at: a path, a URL or an s3:// URL.
        takes: what the model takes: `smiles` or `formula`.
        column: of tables, if it is not called so.

    Raises:
        MatliftError: the file cannot be read, or has no such column.
    """
    return map(items_of, Inputs([at], takes, column).parts())
