"""The table that every database gives: one row per record, with what it is and the value of the property."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from tasks.fetch.units import convert
from tasks.recipe import Unit
from tasks.tables import to_parquet

TEXT = ("record", "name", "smiles", "inchi", "formula", "xyz", "labels", "table", "entry")
NUMBERS = ("value", "uncertainty", "via_liquid", "via_solid")  # in the unit of the property


class Records(NamedTuple):
    """What a database gave.

    Attributes:
        rows: some of these columns, `record`, `table` and `value` among them:
            record: the name of the row, unique, "QM9:1" say.
            name: the name of the substance.
            smiles, inchi: the structure of a molecule.
            formula: as the database gives it: "C2H6", "CH3CH2OH", "Ca(NO3)2", "Zn0.15Ga0.85As".
            xyz: the atoms with their positions, one "symbol x y z" per line, Å.
            labels: what else the database calls the row, as a JSON object of text: {"M": "ZnP"}.
            table: which table of the database gives the value; tables come in order of preference.
            value: the property.
            entry: what the table says where no value could be read, "n.a." say.
            uncertainty: of the value, as its table defines it.
            via_liquid, via_solid: the value that follows from the same table's numbers for the liquid and its
                vaporization, the solid and its sublimation.
            energy: of a computed record whose value may be something else, eV/atom: the lowest is that of the most
                stable record of a material.
        unit: of all numbers but the energy.
    """

    rows: pd.DataFrame
    unit: Unit


def number_units(unit: Unit) -> dict[str, str]:
    """Return the unit of each column of numbers, by that of the property."""
    return {**dict.fromkeys(NUMBERS, unit), "energy": "eV/atom"}


def pack(records: Records, unit: Unit, more: Sequence[Records] = ()) -> bytes:
    """Return records as Parquet with all columns, in their order; columns that the database lacks are missing.

    Args:
        records: what the database gave.
        unit: to which the numbers are brought.
        more: records that follow, each in a unit of its own.

    Raises:
        MatliftError: the unit of the records cannot be brought to this one.
    """
    complete = pd.concat([_complete(part, unit) for part in (records, *more)], ignore_index=True)
    return to_parquet(complete, number_units(unit))


def _complete(records: Records, unit: Unit) -> pd.DataFrame:
    """Return the rows with all columns and in this unit; `entry` keeps a value that cannot be brought to it."""
    rows = records.rows.reindex(columns=[*TEXT, *NUMBERS, "energy"])
    rows = rows.astype(dict.fromkeys(TEXT, "str") | dict.fromkeys((*NUMBERS, "energy"), "float64"))
    given = rows["value"]
    for name in NUMBERS:
        differences = name == "uncertainty"
        rows[name] = convert(rows[name], records.unit, unit, rows["formula"], differences=differences)
    lost = given.notna() & rows["value"].isna()
    said = given[lost].astype("str") + f" {records.unit} of " + rows["formula"][lost].fillna("no formula")
    rows["entry"] = rows["entry"].where(~lost, said)
    return rows
