"""Labels of records as features: one column for each value that a label has in the source, 1 where a row has it."""

import json
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tasks.errors import MatliftError

START = "label_"


def label_columns(records: Iterable[str], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that the labels of the source make: `label_M=ZnP`, sorted within each label.

    Args:
        records: the labels of each record, a JSON object of text.
        labels: the names of those wanted.

    Raises:
        MatliftError: no record has one of them.
    """
    said = [json.loads(text) for text in records]
    values = {label: sorted({row[label] for row in said if label in row}) for label in labels}
    if missing := [label for label in labels if not values[label]]:
        raise MatliftError(f"no row of the source has the label {missing[0]}: leave it out of features.labels")
    return tuple(f"{START}{label}={value}" for label in labels for value in values[label])


def label_rows(records: Sequence[str], columns: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return rows by columns: 1 where a record has the label's value, else 0, as for one that the source never has."""
    matrix: npt.NDArray[np.float64] = np.zeros((len(records), len(columns)))
    place = {column: number for number, column in enumerate(columns)}
    for row, text in zip(matrix, records, strict=True):
        for label, value in json.loads(text).items():
            column = place.get(f"{START}{label}={value}")
            if column is not None:
                row[column] = 1
    return matrix
