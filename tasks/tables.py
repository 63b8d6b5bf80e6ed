"""Tables as Parquet bytes: typed, with the unit of every number beside its column, the same bytes for the same rows."""

from collections.abc import Mapping
from io import BytesIO

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
    buffer = BytesIO()
    pq.write_table(pa.table(arrays, schema=pa.schema(fields)), buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(data: bytes) -> pd.DataFrame:
    """Return the table that `to_parquet` wrote; missing text and numbers are NaN."""
    frame: pd.DataFrame = pq.read_table(BytesIO(data)).to_pandas()
    return frame


def units(data: bytes) -> dict[str, str]:
    """Return the unit of each column that has one, without reading the rows."""
    schema = pq.read_schema(BytesIO(data))
    return {field.name: field.metadata[b"unit"].decode() for field in schema if b"unit" in (field.metadata or {})}
