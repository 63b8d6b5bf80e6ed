"""The table that every database of molecules gives: one row per record, energies in kJ/mol."""

import pandas as pd

from tasks.tables import to_parquet

TEXT = ("record", "name", "smiles", "inchi", "formula", "table")
UNITS = {"value": "kJ/mol", "uncertainty": "kJ/mol", "via_liquid": "kJ/mol", "via_solid": "kJ/mol"}


def pack(records: pd.DataFrame) -> bytes:
    """Return the records as Parquet with all columns, in their order; columns that the database lacks are missing.

    Args:
        records: some of these columns, `record`, `table` and `value` among them:
            record: the name of the row, unique, "QM9:1" say.
            name: the name of the substance.
            smiles, inchi: its structure.
            formula: as the table itself gives it, each element once or more: "C2H6", "CH3CH2OH".
            table: which table of the database gives the value; tables come in order of preference.
            value: the property, kJ/mol.
            uncertainty: of the value, as its table defines it, kJ/mol.
            via_liquid, via_solid: the value that follows from the same table's numbers for the liquid and its
                vaporization, the solid and its sublimation, kJ/mol.
    """
    complete = records.reindex(columns=[*TEXT, *UNITS])
    types = dict.fromkeys(TEXT, "str") | dict.fromkeys(UNITS, "float64")
    return to_parquet(complete.astype(types), UNITS)
