"""What the crawled databases share: their values, and the records that are made of their rows."""

import math
from typing import Any

import pandas as pd

from tasks.fetch.ask import OddError
from tasks.fetch.records import Records
from tasks.recipe import Unit


def number(value: Any) -> float | None:
    """Return a value of a JSON body as a number; null, and what JSON can only write as no number, is missing.

    Raises:
        OddError: it is text or anything else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OddError(f"a value is {value!r}, which is no number")
    return float(value) if math.isfinite(value) else None


def records(table: pd.DataFrame, name: str, unit: Unit) -> Records:
    """Return rows as records.

    Args:
        table: id, formula, value, energy.
        name: of the database: it stands before each id, and is the table of each row.
        unit: of the values.
    """
    rows = table.drop(columns="id").assign(record=f"{name}:" + table["id"], table=name)
    return Records(rows, unit)
