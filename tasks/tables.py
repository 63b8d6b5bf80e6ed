"""Tables as Parquet bytes: typed, with the unit of every number beside its column, the same bytes for the same rows."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.types import is_object_dtype, is_string_dtype


def to_parquet(frame: pd.DataFrame, units: Mapping[str, str]) -> bytes:
    """Return a table as Parquet, without its index.

    Args:
        frame: columns of text, of numbers or of booleans; text is str or missing.
        units: the unit of each column that is not text, "1" for one that has none; kept in the column's metadata.

    Raises:
        ValueError: a column has no unit, or a unit no column.
    """
    return joined_parquet([frame], units)


def joined_parquet(frames: Iterable[pd.DataFrame], units: Mapping[str, str]) -> bytes:
    """Return tables that follow each other as one, each a row group; see `to_parquet`.

    Args:
        frames: at least one, all with the same columns; made one after the other, they need not all be in memory.
        units: of all.
    """
    tables = (_table(frame, units) for frame in frames)
    first = next(tables)
    buffer = BytesIO()
    with pq.ParquetWriter(buffer, first.schema, compression="zstd") as writer:
        for table in chain([first], tables):
            writer.write_table(table)
    return buffer.getvalue()


def _table(frame: pd.DataFrame, units: Mapping[str, str]) -> pa.Table:
    """Return a frame as an Arrow table with units; see `to_parquet`."""
    names = [str(name) for name in frame]
    text = {name for name in names if is_object_dtype(frame[name]) or is_string_dtype(frame[name])}
    if wrong := set(units) ^ (set(names) - text):
        raise ValueError(f"every column but text needs a unit, and nothing else: {', '.join(sorted(wrong))}")
    # Column by column: a schema made from the frame would carry the versions of pandas and pyarrow in its metadata.
    arrays = [pa.array(frame[name], pa.string() if name in text else None, from_pandas=True) for name in names]
    fields = [
        pa.field(name, array.type, metadata={"unit": units[name]} if name in units else None)
        for name, array in zip(names, arrays, strict=True)
    ]
    return pa.table(arrays, schema=pa.schema(fields))


def from_parquet(data: bytes) -> pd.DataFrame:
    """Return the table that `to_parquet` wrote; missing text and numbers are NaN."""
    frame: pd.DataFrame = pq.read_table(BytesIO(data)).to_pandas()
    return frame


def matrix_from_parquet(data: bytes) -> npt.NDArray[np.float32]:
    """Return a table of numbers as a matrix, rows by columns, with little more than itself in memory."""
    file = pq.ParquetFile(BytesIO(data))
    matrix: npt.NDArray[np.float32] = np.empty((file.metadata.num_rows, file.metadata.num_columns), np.float32)
    start = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        for place, column in enumerate(table.columns):
            matrix[start : start + len(table), place] = column.to_numpy()
        start += len(table)
    return matrix


def units(data: bytes) -> dict[str, str]:
    """Return the unit of each column that has one, without reading the rows."""
    schema = pq.read_schema(BytesIO(data))
    return {field.name: field.metadata[b"unit"].decode() for field in schema if b"unit" in (field.metadata or {})}
