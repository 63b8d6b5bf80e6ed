"""Measured enthalpies of formation of gases: the tables of the package chemicals, joined with structures."""

import re
from typing import NamedTuple

import pandas as pd

from tasks.fetch import package
from tasks.fetch.about import About
from tasks.fetch.records import Records
from tasks.recipe import Chemicals


class Table(NamedTuple):
    """One table of the package; all of them have CAS numbers in `CAS` and give the value, J/mol, in `Hfg`.

    Attributes:
        file: its path in the package.
        columns: the columns that it has and that are used, beside those two.
    """

    file: str
    columns: tuple[str, ...]


# Predictions (Joback, Yaws) are left out: a model should not learn what another model says.
TABLES = {
    # Active Thermochemical Tables 1.112 (10.1088/1742-6596/16/1/078); uncertainty: 95 % confidence, as published
    "ATcT": Table("Reactions/ATcT 1.112 (g).tsv", ("Chemical", "Formula", "uncertainty")),
    # Standard Thermodynamic Properties of Chemical Substances, CRC Handbook of Chemistry and Physics
    "CRC": Table("Heat Capacity/CRC Standard Thermodynamic Properties of Chemical Substances.tsv", ("Chemical",)),
    # NIST Chemistry WebBook (10.18434/T4D303)
    "WebBook": Table("Misc/webbook_constants.tsv", ("Hfl", "Hvap", "Hfs", "Hsub")),
}


class Substance(NamedTuple):
    """What PubChem knows of a substance; empty where it knows nothing."""

    smiles: str
    formula: str
    name: str


UNKNOWN = Substance("", "", "")

COLUMNS = ["CAS", "Hfg", "Chemical", "Formula", "uncertainty", "Hfl", "Hvap", "Hfs", "Hsub"]

# PubChem's structures; where a CAS number occurs twice, the first file decides (they agree on all that is used here).
STRUCTURES = tuple(
    f"Identifiers/{name}.tsv"
    for name in (
        "Inorganic db",
        "chemical identifiers pubchem large",
        "chemical identifiers pubchem small",
        "chemical identifiers example user db",
        "Anion db",
        "Cation db",
    )
)

# Greatest enthalpies of vaporization and sublimation that a molecule can have, J/mol. The WebBook's own columns hold
# misprints up to 5.5 MJ/mol, which must not cast doubt on the enthalpy of formation beside them.
GREATEST = {"Hvap": 200e3, "Hsub": 400e3}


CITATIONS = {
    "ATcT": (
        "ATcT: B. Ruscic et al., Active Thermochemical Tables, version 1.112, Argonne National Laboratory; "
        "J. Phys. Chem. A 108 (2004) 9979, doi:10.1021/jp047912y"
    ),
    "CRC": (
        "CRC: W. M. Haynes (ed.), CRC Handbook of Chemistry and Physics, CRC Press, Boca Raton, 2014, "
        "Standard Thermodynamic Properties of Chemical Substances"
    ),
    "WebBook": (
        "WebBook: P. J. Linstrom, W. G. Mallard (eds.), NIST Chemistry WebBook, "
        "NIST Standard Reference Database 69, doi:10.18434/T4D303"
    ),
}
PACKAGE = "The tables are those of the package chemicals: C. Bell et al., https://github.com/CalebBell/chemicals"


def about(data: Chemicals) -> About:
    """Return what is to be said of the tables that a recipe takes from the package."""
    return About(
        name="chemicals",
        what=f"measured and evaluated values of {', '.join(data.tables)}, from the first table that has a molecule",
        licence=(
            "The package chemicals, from which the measured values are read, is under the MIT licence; the values "
            "are those of the publishers named below."
        ),
        citations=(*(CITATIONS[name] for name in data.tables), PACKAGE),
    )


def identity(data: Chemicals) -> str:
    """Return what identifies the files: the package's version and their SHA-256.

    Raises:
        MatliftError: the package or a file is missing.
    """
    return package.identity("chemicals", package.find("chemicals", [*_files(data), *STRUCTURES]))


def read(data: Chemicals, _identity: str) -> Records:
    """Return the tables that a recipe names, in its order, as records.

    The value is the enthalpy of formation of the gas at 298.15 K, kJ/mol.

    Raises:
        MatliftError: a file is missing or lacks a column; the message names the file.
    """
    records = pd.concat([_read_table(name) for name in data.tables], ignore_index=True)
    structures = substances()
    records["smiles"] = [structures.get(cas, UNKNOWN).smiles or None for cas in records["cas"]]
    known = pd.Series([structures.get(cas, UNKNOWN).name or None for cas in records["cas"]], dtype="str")
    records["name"] = known.fillna(records["name"])
    return Records(records, "kJ/mol")


def _files(data: Chemicals) -> list[str]:
    """Return the files of the tables that a recipe names."""
    return [TABLES[name].file for name in data.tables]


def _read_table(name: str) -> pd.DataFrame:
    """Return the rows of a table that have a value, kJ/mol, with their CAS numbers without dashes."""
    (path,) = package.find("chemicals", [TABLES[name].file])
    table = package.read_columns(path, ("CAS", "Hfg", *TABLES[name].columns), separator="\t")
    table = table[table["Hfg"].notna()].reindex(columns=COLUMNS)
    cas = table["CAS"].astype("str").str.replace("-", "")  # the WebBook's have no dashes and are read as numbers
    for column, greatest in GREATEST.items():
        table[column] = table[column].where(table[column].between(0, greatest, inclusive="right"))
    return pd.DataFrame(
        {
            "record": name + ":" + dashed(cas),
            "cas": cas,
            "name": table["Chemical"].astype("str"),
            "formula": table["Formula"].map(stateless, na_action="ignore"),
            "table": name,
            "value": table["Hfg"] / 1000,
            "uncertainty": table["uncertainty"] / 1000,
            "via_liquid": (table["Hfl"] + table["Hvap"]) / 1000,
            "via_solid": (table["Hfs"] + table["Hsub"]) / 1000,
        }
    )


def dashed(cas: pd.Series) -> pd.Series:
    """Return CAS numbers with their dashes: 50-00-0 of 50000."""
    with_dashes: pd.Series = cas.str[:-3] + "-" + cas.str[-3:-1] + "-" + cas.str[-1:]
    return with_dashes


def stateless(formula: str) -> str:
    """Return a formula of ATcT without the state behind it: (CH)2CHO of "(CH)2CHO (g)"."""
    return re.sub(r" \((g|l)\)$", "", formula)


def substances() -> dict[str, Substance]:
    """Return what PubChem knows of substances, by CAS number without dashes."""
    found: dict[str, Substance] = {}
    for path in package.find("chemicals", STRUCTURES):
        with path.open(encoding="utf-8") as lines:  # ragged: all synonyms of a substance follow in its line
            for line in lines:
                _, cas, formula, _, smiles, _, _, *names = line.rstrip("\n").split("\t", 9)
                name = names[1] if names[1:] and names[1] != cas else names[0]  # the common, else the systematic one
                found.setdefault(cas.replace("-", ""), Substance(smiles, formula, name))
    return found
