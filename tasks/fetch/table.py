"""A table of one's own, or one of those that are known: CSV, Parquet or Excel at a path, a URL or in a store."""

import hashlib

import pandas as pd

from tasks.errors import MatliftError
from tasks.fetch import presets
from tasks.fetch.about import About
from tasks.fetch.files import file_name, number, parse, read_bytes
from tasks.fetch.presets import PRESETS
from tasks.fetch.records import Records
from tasks.recipe import Columns, TableFile
from tasks.s3 import Prefix

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".xlsx")  # what is a table below a prefix
PRESET_COLUMNS = Columns(uncertainty="uncertainty", formula="formula", smiles="smiles", name="name")


def about(data: TableFile) -> About:
    """Return what is to be said of the table."""
    if data.at in PRESETS:
        return presets.about(PRESETS[data.at], data.columns.value)
    what = f"the column “{data.columns.value}”, in {data.unit}"
    return About(name=file_name(data.at), what=what, licence="The table is under its owner's terms.", citations=())


def identity(data: TableFile) -> str:
    """Return the SHA-256 of the table, or of names and content of all tables below a prefix.

    Raises:
        MatliftError: it cannot be read.
    """
    if data.at in PRESETS:
        return PRESETS[data.at].identity(data.columns.value)
    return _digest(_files(data.at))


def read(data: TableFile, identity: str) -> Records:
    """Return the table, or all tables below a prefix in the order of their names, as records.

    Raises:
        MatliftError: it cannot be read, lacks a column, or is not what the identity says; the message names it.
    """
    if data.at in PRESETS:
        preset = PRESETS[data.at]
        return Records(to_rows(preset.read(data.columns.value), PRESET_COLUMNS, preset.name), data.unit)
    files = _files(data.at)
    if _digest(files) != identity:
        raise MatliftError(f"{data.at} was changed while it was read: run again")
    tables = [to_rows(parse(content, name), data.columns, name) for name, content in files.items()]
    return Records(pd.concat(tables, ignore_index=True), data.unit)


def to_rows(frame: pd.DataFrame, columns: Columns, name: str, title: str | None = None) -> pd.DataFrame:
    """Return a table with the columns of `tasks.fetch.records`.

    A row whose value or uncertainty is no number keeps what stands there in `entry`, and has no value.

    Args:
        frame: the table, by what names its rows.
        columns: which of its columns mean what.
        name: of the table, for the message.
        title: what goes into `table`, and with the row into `record`; the name if not given.

    Raises:
        MatliftError: a column that is named is not there.
    """
    named = {meaning: column for meaning, column in columns.model_dump().items() if column is not None}
    if missing := [column for column in named.values() if column not in frame]:
        raise MatliftError(
            f"{name} has no column {', '.join(missing)}; its columns are {', '.join(map(str, frame.columns))}"
        )
    cells = pd.DataFrame({meaning: frame[column].astype("object") for meaning, column in named.items()})
    title = title or name
    rows = pd.DataFrame({"record": [f"{title}:{row}" for row in frame.index], "table": title}, index=frame.index)
    for meaning in ("name", "smiles", "formula"):
        rows[meaning] = [_text(cell) for cell in cells[meaning]] if meaning in cells else None
    cells = cells.reindex(columns=["value", "uncertainty"])
    read = [_number(value, uncertainty) for value, uncertainty in cells.itertuples(index=False)]
    rows[["value", "uncertainty", "entry"]] = pd.DataFrame(read, index=frame.index, dtype="object")
    return rows


def _files(at: str) -> dict[str, bytes]:
    """Return the tables at a place, by name."""
    if not at.startswith("s3://"):
        return {file_name(at): read_bytes(at)}
    bucket, _, key = at.removeprefix("s3://").partition("/")
    store = Prefix(f"s3://{bucket}")
    if key and not key.endswith("/") and (single := store.get(key)) is not None:
        return {file_name(at): single}
    folder = Prefix(at.rstrip("/"))
    names = sorted(name for name in folder.find("") if name.lower().endswith(TABLES))
    files = {name: folder.get(name) for name in names}
    if not files:
        raise MatliftError(f"there is no table at {at}, and below it none named *{', *'.join(TABLES)}")
    return {name: content for name, content in files.items() if content is not None}


def _digest(files: dict[str, bytes]) -> str:
    """Return the SHA-256 of one file, or of the names and SHA-256 of several."""
    each = [(name, hashlib.sha256(content).hexdigest()) for name, content in files.items()]
    return each[0][1] if len(each) == 1 else hashlib.sha256(repr(each).encode()).hexdigest()


def _text(cell: object) -> str | None:
    """Return a cell as text: sample 7 of an Excel file as 7, not as 7.0."""
    if pd.isna(cell):  # type: ignore[call-overload]
        return None
    return f"{cell:.0f}" if isinstance(cell, float) and cell.is_integer() else str(cell)


def _number(value: object, uncertainty: object) -> tuple[float | None, float | None, str | None]:
    """Return value, uncertainty, and what stands there if one of them cannot be read; either may be missing."""
    written = [_text(cell) for cell in (value, uncertainty)]
    numbers = [number(cell) for cell in (value, uncertainty)]
    if any(text is not None and found is None for text, found in zip(written, numbers, strict=True)):
        return None, None, " ± ".join(text for text in written if text is not None)
    return numbers[0], numbers[1], None
