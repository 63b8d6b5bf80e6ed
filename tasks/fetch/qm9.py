"""QM9: computed enthalpies of 130,831 molecules (10.1038/sdata.2014.22), from the CSV files of the package qm9pack."""

import json

import numpy as np
import pandas as pd

from tasks.fetch import package
from tasks.fetch.about import About
from tasks.fetch.records import Records
from tasks.recipe import Qm9

FILES = tuple(f"data/qm9_part{part}.csv" for part in (1, 2, 3))
COLUMNS = ("Index", "SMILES", "InChi", "Stoichiometry", "Enthalphy_298K_au")  # spelt as in the files

HARTREE = 2625.4996  # kJ/mol (CODATA 2018, 10.1103/RevModPhys.93.025010)
CALORIE = 4.184  # J, by definition

# H, C, N, O, F: the order of QM9's stoichiometries.
# Enthalpies of the atoms at 298.15 K as QM9 computed them, hartree (10.1038/sdata.2014.22, its file atomref.txt).
COMPUTED_ATOMS = np.array([-0.497912, -37.844411, -54.581501, -75.062219, -99.716370])
# Enthalpies of formation of the gaseous atoms at 298.15 K, measured, kcal/mol (10.1063/1.473182, with its 0 K values
# brought to 298.15 K by its thermal corrections).
MEASURED_ATOMS = np.array([52.103, 171.29, 112.97, 59.555, 18.97])


ABOUT = About(
    computed=True,
    name="QM9",
    what="B3LYP/6-31G(2df,p) enthalpies of small organic molecules, brought to the elements by measured atoms",
    licence="QM9 is in the public domain (CC0); the package qm9pack, from which it is read, is under the MIT licence.",
    citations=("QM9: R. Ramakrishnan et al., Sci. Data 1 (2014) 140022, doi:10.1038/sdata.2014.22",),
)


def about(_data: Qm9) -> About:
    """Return what is to be said of QM9."""
    return ABOUT


def identity(_data: Qm9) -> str:
    """Return what identifies the files: the package's version and their SHA-256.

    Raises:
        MatliftError: the package or a file is missing.
    """
    return package.identity("qm9pack", package.find("qm9pack", FILES))


def read(_data: Qm9, _identity: str) -> Records:
    """Return QM9 as records.

    The value is the enthalpy of formation of the gas at 298.15 K, kJ/mol.

    Raises:
        MatliftError: a file is missing or lacks a column; the message names the file.
    """
    paths = package.find("qm9pack", FILES)
    table = pd.concat([package.read_columns(path, COLUMNS, separator=",") for path in paths], ignore_index=True)
    atoms = np.array([json.loads(counts) for counts in table["Stoichiometry"]])
    records = pd.DataFrame(
        {
            "record": "QM9:" + table["Index"].astype(str),
            "smiles": table["SMILES"],
            "inchi": table["InChi"],
            "formula": [_formula(counts) for counts in atoms],
            "table": "QM9",
            "value": _enthalpy_of_formation(table["Enthalphy_298K_au"].to_numpy(), atoms),
        }
    )
    return Records(records, "kJ/mol")


def _formula(counts: np.ndarray) -> str:
    """Return a formula from the numbers of H, C, N, O and F."""
    return "".join(f"{element}{count}" for element, count in zip("HCNOF", counts, strict=True) if count)


def _enthalpy_of_formation(enthalpy: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Return enthalpies of formation, kJ/mol: computed down to the atoms, measured from there to the elements.

    Args:
        enthalpy: of the molecules at 298.15 K, hartree.
        atoms: the numbers of H, C, N, O and F in each molecule, one row per molecule.
    """
    binding = (enthalpy - atoms @ COMPUTED_ATOMS) * HARTREE
    formation: np.ndarray = binding + atoms @ MEASURED_ATOMS * CALORIE
    return formation
