"""Databases that come inside a Python package: where their files are, and what identifies them."""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from tasks.errors import MatliftError


def find(package: str, names: Iterable[str]) -> list[Path]:
    """Return the paths of files of a package, which is not imported.

    Args:
        package: its name.
        names: of the files, relative to the package's folder.

    Raises:
        MatliftError: the package or a file is missing.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MatliftError(f"the package {package} is not installed: run `pip install {package}`")
    paths = [Path(spec.origin).parent / name for name in names]
    for path in paths:
        if not path.is_file():
            raise MatliftError(f"{path} is missing: run `pip install --force-reinstall {package}`")
    return paths


def identity(package: str, paths: Sequence[Path]) -> str:
    """Return the package's version and the SHA-256 of the files, about 1 GB/s."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{package} {importlib.metadata.version(package)} {digest.hexdigest()}"


def read_columns(path: Path, columns: Sequence[str], *, separator: str) -> pd.DataFrame:
    """Read some columns of a text table.

    Raises:
        MatliftError: the file cannot be read or lacks a column; the message names the file.
    """
    try:
        return pd.read_csv(path, sep=separator, usecols=list(columns), engine="pyarrow")
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are of these kinds
        raise MatliftError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
