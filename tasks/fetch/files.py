"""Reads tables from files: CSV, Parquet or Excel, wherever they lie, and keeps the row numbers that people see."""

import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from zipfile import BadZipFile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl.utils.exceptions import InvalidFileException

from tasks.errors import MatliftError
from tasks.fetch.remote import content
from tasks.s3 import Prefix

SEPARATORS = ",;\t"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LABEL = re.compile(r"[+-]?(0\d|\d{16})")  # as a number 007 would lose its zeros, and 16 digits perhaps the last one

# The first bytes of the formats, and of what is often taken for a table.
PARQUET, EXCEL, OLD_EXCEL, WEB_PAGE = b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"<"

# What openpyxl raises on a workbook that is none: it lets the errors of ZIP, deflate and XML through.
DAMAGED = (
    AttributeError,
    BadZipFile,
    EOFError,
    InvalidFileException,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zlib.error,
)


def read_file(location: str) -> pd.DataFrame:
    """Read a table.

    Args:
        location: a path, an http:// or https:// URL, or the s3:// URL of one file.

    Returns:
        As `parse`.

    Raises:
        MatliftError: the file is missing or is no table; the message names it.
    """
    return parse(read_bytes(location), file_name(location))


def read_bytes(location: str) -> bytes:
    """Return the bytes of a file at a path, an http:// or https:// URL, or an s3:// URL.

    The credentials of an s3:// URL are those of the environment, as `tasks.s3` reads them.

    Raises:
        MatliftError: there is no such file, or it cannot be read.
    """
    if location.startswith(("http://", "https://")):
        return content(location)
    if location.startswith("s3://"):
        bucket, _, key = location.removeprefix("s3://").partition("/")
        data = Prefix(f"s3://{bucket}").get(key) if key else None
        if data is None:
            raise MatliftError(f"there is no file {location}")
        return data
    try:
        return Path(location).read_bytes()
    except OSError as error:
        raise MatliftError(f"{location} cannot be read: {error.strerror or error}") from error


def parse(data: bytes, name: str) -> pd.DataFrame:
    """Read a table from the bytes of a CSV, Parquet or Excel file; the first bytes tell which.

    CSV is separated by commas, semicolons or tabs, in UTF-8 with or without byte-order mark, its numbers with a point.
    Of an Excel workbook the first sheet is read. In both the first row that is not empty names the columns, and empty
    rows are left out.

    Args:
        data: the file.
        name: what to call it in messages.

    Returns:
        Its rows, under the row numbers that a person sees: the first data row of a CSV is 2; that of Parquet, which
        has no row of names, 1. A column of CSV or Excel whose filled cells are all numbers is numeric, exactly as
        written; all others keep their cells as they are, text without surrounding blanks. Empty cells are missing.

    Raises:
        MatliftError: it is no table, has no rows, names a column twice, or has a row longer than its names.
    """
    if data.startswith(PARQUET):
        return _parquet(data, name)
    if data.startswith(OLD_EXCEL):
        raise MatliftError(f"{name} is an old or a locked Excel file: save it as .xlsx without a password")
    if data.lstrip().startswith(WEB_PAGE):
        raise MatliftError(f"{name} is a web page or XML, not a table: name the CSV, Parquet or Excel file itself")
    return _typed(_sheet(data, name) if data.startswith(EXCEL) else _text(data, name), name)


def number(cell: object) -> float | None:
    """Return the number that a cell holds, None if it holds none; a minus sign (U+2212) counts as one."""
    if isinstance(cell, str):
        text = cell.strip().replace("\N{MINUS SIGN}", "-")
        return float(text) if NUMBER.fullmatch(text) else None
    if isinstance(cell, (int, float, np.integer, np.floating)) and not isinstance(cell, bool) and np.isfinite(cell):
        return float(cell)
    return None


def file_name(location: str) -> str:
    """Return the name of a file at a path or a URL, whose query may hold a signature that must not be shown."""
    return PurePosixPath(urlsplit(location).path if "://" in location else location).name


def _parquet(data: bytes, name: str) -> pd.DataFrame:
    """Read Parquet; what pandas calls its index is a column like the others."""
    try:
        frame: pd.DataFrame = pq.read_table(io.BytesIO(data)).to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        raise MatliftError(f"{name} cannot be read as Parquet: {_one_line(error)}") from error
    if frame.empty:
        raise MatliftError(f"{name} has no rows")
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame


def _text(data: bytes, name: str) -> list[tuple[int, list[Any]]]:
    """Return the rows of a CSV file that are not empty, with their numbers."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MatliftError(f"{name} is neither UTF-8 text nor Parquet nor Excel: save it as “CSV UTF-8”") from error
    names = next((line for line in text.splitlines() if line.strip()), "")
    counts = Counter(re.sub(r'"[^"]*"', "", names))
    separator = max(SEPARATORS, key=lambda sign: counts[sign])
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise MatliftError(f"{name} cannot be read as CSV: {error}; quotation marks must come in pairs") from error
    return _filled([[cell.strip() or None for cell in row] for row in rows])


def _sheet(data: bytes, name: str) -> list[tuple[int, list[Any]]]:
    """Return the rows of an Excel file's first sheet that are not empty, with their numbers."""
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    except DAMAGED as error:
        raise MatliftError(f"{name} cannot be read as Excel: {_one_line(error)}") from error
    return _filled([[(cell.strip() or None) if isinstance(cell, str) else cell for cell in row] for row in rows])


def _filled(rows: Sequence[list[Any]]) -> list[tuple[int, list[Any]]]:
    """Return the rows that have a filled cell, with their numbers from 1 and without empty cells at the end."""
    found = []
    for place, row in enumerate(rows, 1):
        while row and row[-1] is None:
            row.pop()
        if row:
            found.append((place, row))
    return found


def _typed(rows: Sequence[tuple[int, list[Any]]], name: str) -> pd.DataFrame:
    """Return rows as a table, the first one naming the columns."""
    if len(rows) < 2:
        raise MatliftError(f"{name} has no rows" if rows else f"{name} is empty")
    (_, first), *body = rows
    names = [f"column {place}" if cell is None else str(cell) for place, cell in enumerate(first, 1)]
    if twice := [each for each, count in Counter(names).items() if count > 1]:
        raise MatliftError(f"{name} names the column {twice[0]} twice: give each column a name of its own")
    for place, row in body:
        if len(row) > len(names):
            raise MatliftError(
                f"row {place} of {name} has {len(row)} cells, but only {len(names)} columns have names: put text and "
                "numbers that hold the separator in quotation marks, and write decimals with a point"
            )
    columns = zip(*([*row, *[None] * (len(names) - len(row))] for _, row in body), strict=True)
    index = pd.Index([place for place, _ in body])
    return pd.DataFrame({each: _column(cells, index) for each, cells in zip(names, columns, strict=True)}, index=index)


def _column(cells: Sequence[Any], index: pd.Index) -> pd.Series:
    """Return cells as numbers if all that are filled are, else as they are."""
    numbers = _numbers(cells)
    return pd.Series(
        list(cells) if numbers is None else numbers, index, dtype="object" if numbers is None else "float64"
    )


def _numbers(cells: Sequence[Any]) -> list[float | None] | None:
    """Return cells as numbers; None if one of those that are filled is no number, or rather a label."""
    found: list[float | None] = []
    for cell in cells:
        value = None if isinstance(cell, str) and LABEL.match(cell) else number(cell)
        if cell is not None and value is None:
            return None
        found.append(value)
    return found if any(value is not None for value in found) else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
