"""Errors by what the rows contain: the elements of compositions, the atom types of molecules and dyes."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.featurize.atom_types import TYPES
from tasks.featurize.estate import estate_rows
from tasks.formulas import amounts

Mask = npt.NDArray[np.bool_]

LEAST = 10  # rows from which a mean error says something
NOUNS = {"compositions": "element"}
# How the bonds of an atom type are drawn: s, d, t are single, double, triple ones; aromatic ones (a) are said.
BONDS = {
    "s": "-{}",
    "d": "={}",
    "t": "≡{}",
    "ss": "-{}-",
    "ds": "={}-",
    "dd": "={}=",
    "ts": "≡{}-",
    "sss": ">{}-",
    "dss": "={}<",
    "dds": "(=)₂{}-",
    "ssss": ">{}<",
    "ddss": "(=)₂{}<",
}
DRAWN = str.maketrans("0123456789-", "₀₁₂₃₄₅₆₇₈₉\N{EN DASH}")


class Group(NamedTuple):
    """Some rows and how well they are predicted while held out.

    Attributes:
        name: of what the rows share.
        rows: how many they are.
        transfer: mean absolute error of what stands for transfer, in the unit of the property.
        scratch: that of training from scratch on the same rows.
    """

    name: str
    rows: int
    transfer: float
    scratch: float


def noun(of: str) -> str:
    """Return what rows are grouped by, in the singular: element or atom type."""
    return NOUNS.get(of, "atom type")


def spelled(atom_type: str) -> str:
    """Return an atom type as a chemist draws it, with its name: -CH2- (ssCH2), aromatic C- (aasC)."""
    bonds, atom = re.findall("^([sdta]*)(.+)$", atom_type)[0]
    if "a" in bonds:
        drawn = f"aromatic {atom}" + "-" * bonds.count("s") + "=" * bonds.count("d")
    else:
        drawn = BONDS.get(bonds, "{}").format(atom)
    return f"{drawn.translate(DRAWN)} ({atom_type})"


def contents(rows: pd.DataFrame, of: str) -> dict[str, Mask]:
    """Return which rows contain each element or atom type, (n,) each, for those that occur at all.

    Args:
        rows: of a snapshot: `formula` of compositions, `smiles` of molecules and dyes.
        of: what a row is.
    """
    if of == "compositions":
        found = [amounts(formula).keys() for formula in rows["formula"]]
        return {name: np.array([name in atoms for atoms in found]) for name in sorted(set().union(*found))}
    counts = estate_rows(rows["smiles"].tolist(), topological=False, dyes=of == "dyes", statistics=("count",))
    return {spelled(name): column > 0 for name, column in zip(TYPES, counts.T, strict=True) if column.any()}


def by_content(predictions: pd.DataFrame, contained: Mapping[str, Mask], transfer: str) -> list[Group]:
    """Return the errors of the rows that contain each, by the number of rows.

    Args:
        predictions: of the comparison.
        contained: as `contents` gives it, of the same rows.
        transfer: the method that stands for transfer.
    """
    errors = {method: (predictions[method] - predictions["value"]).abs().to_numpy() for method in (transfer, "scratch")}
    groups = [
        Group(name, int(rows.sum()), float(errors[transfer][rows].mean()), float(errors["scratch"][rows].mean()))
        for name, rows in contained.items()
    ]
    return sorted(groups, key=lambda group: (-group.rows, group.name))


def enough(groups: Sequence[Group]) -> list[Group]:
    """Return the groups of enough rows for a mean error to say something."""
    return [group for group in groups if group.rows >= LEAST]
