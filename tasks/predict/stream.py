"""Predicts for files of any size: in parts, on all cores, in order, in bounded memory."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import MatliftError
from tasks.parallel import run_parts
from tasks.predict.inputs import Inputs, Part, items_of
from tasks.predict.predictor import NUMBERS, Predictions, Predictor

HEADER = b"item,value,lower,upper,in_domain,reason,unit\n"
LIBRARIES = ["tasks.predict.stream"]
SPECIAL = frozenset(',"\n\r')


Make = Callable[[Predictor, Part], "Done"]


class Count(NamedTuple):
    """How many rows there are, how many of them have no value, and how many a value that is not to be trusted."""

    rows: int = 0
    bad: int = 0
    outside: int = 0

    def plus(self, other: "Count") -> "Count":
        """Return those of both together."""
        return Count(*(one + two for one, two in zip(self, other, strict=True)))


class Done(NamedTuple):
    """What became of a part: its rows, as CSV or as a table of Arrow's, and how many they are."""

    rows: bytes | pa.Table
    counts: Count


def predict_files(predictor: Predictor, inputs: Inputs, output: Path | None) -> Count:
    """Predict for all items, in their order, and write a row for each.

    Args:
        predictor: the model.
        inputs: the items, and the files that hold more.
        output: a file `.csv` or `.parquet`, which is there when it is complete; None for CSV on the standard output.

    Raises:
        MatliftError: a file cannot be read or written.
    """
    total = Count()
    with _written(output, predictor.unit) as (make, write):
        for done in run_parts(make, predictor, inputs.parts(), label="predict", libraries=LIBRARIES):
            write(done.rows)
            total = total.plus(done.counts)
    return total


def as_csv(predictor: Predictor, part: Part) -> Done:
    """Predict for a part; the rows come as lines of CSV, numbers with the digits of single precision that they have."""
    items = items_of(part)
    found = predictor.predict_arrays(items)
    texts, reasons = (pa.array(_quoted(column), pa.string()) for column in (items, found.reasons.tolist()))
    numbers = [
        pa.array(row.astype(np.float32), from_pandas=True).cast(pa.string()).fill_null("") for row in found.numbers
    ]
    inside = pa.array(found.in_domain).cast(pa.string())
    lines = pc.binary_join_element_wise(texts, *numbers, inside, reasons, f"{predictor.unit}\n", ",")
    whole = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "")[0]
    return Done(whole.as_buffer().to_pybytes(), _count(found))


def as_table(predictor: Predictor, part: Part) -> Done:
    """Predict for a part; the rows come as a table of Arrow's."""
    items = items_of(part)
    found = predictor.predict_arrays(items)
    columns = (items, *found.numbers, found.in_domain, found.reasons)
    schema = _schema(predictor.unit)
    arrays = [pa.array(column, field.type, from_pandas=True) for column, field in zip(columns, schema, strict=True)]
    return Done(pa.table(arrays, schema), _count(found))


def _count(found: Predictions) -> Count:
    bad = int(np.isnan(found.numbers[0]).sum())
    return Count(len(found.reasons), bad, int((~found.in_domain).sum()) - bad)


def _quoted(column: Sequence[str | None]) -> list[str]:
    """Return text as CSV has it: in quotation marks where it needs them."""
    text = [item or "" for item in column]
    whole = "".join(text)
    if not any(sign in whole for sign in SPECIAL):
        return text
    return [item if SPECIAL.isdisjoint(item) else '"{}"'.format(item.replace('"', '""')) for item in text]


def _schema(unit: str) -> pa.Schema:
    """Return the columns of a Parquet file of predictions, with the units of those that have one."""
    number = partial(pa.field, type=pa.float64(), metadata={"unit": unit})
    return pa.schema(
        [
            pa.field("item", pa.string()),
            *(number(name) for name in NUMBERS),
            pa.field("in_domain", pa.bool_()),
            pa.field("reason", pa.string()),
        ]
    )


@contextmanager
def _written(output: Path | None, unit: str) -> Iterator[tuple[Make, Callable[[Any], object]]]:
    """Lend what makes rows of parts, and what writes them; a file gets its name when it is complete.

    Args:
        output: see `predict_files`.
        unit: of the values.
    """
    if output is None:
        sys.stdout.buffer.write(HEADER)
        yield as_csv, sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    if output.suffix.lower() not in {".csv", ".parquet"}:
        raise MatliftError(f"{output} is neither .csv nor .parquet: name a file that is one of these")
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        if output.suffix.lower() == ".parquet":
            with pq.ParquetWriter(unfinished, _schema(unit), compression="zstd") as table:
                yield as_table, table.write_table
        else:
            with unfinished.open("wb") as file:
                file.write(HEADER)
                yield as_csv, file.write
        unfinished.replace(output)
    except OSError as error:
        raise MatliftError(f"{output} cannot be written ({error.strerror or error})") from error
    finally:
        unfinished.unlink(missing_ok=True)
