"""Kier-Hall electrotopological-state indices of molecules, by atom type."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.EState.EState import GetPrincipleQuantumNumber

from tasks.errors import MatliftError
from tasks.featurize.atom_types import TYPES, find_types, twins
from tasks.featurize.graphs import Graphs, graphs
from tasks.featurize.topology import topology
from tasks.porphyrins import with_aromatic_core
from tasks.recipe import EstateStatistic

Matrix = npt.NDArray[np.float64]

STATISTICS: tuple[EstateStatistic, ...] = ("count", "sum")

HYDROGEN_ATOM = re.compile(r"\[\d*H")
UNSANITISED = Chem.SmilesParserParams()
for _option in ("sanitize", "removeHs"):
    setattr(UNSANITISED, _option, False)

_table = Chem.GetPeriodicTable()
_numbers = range(119)
OUTER_ELECTRONS = np.array([_table.GetNOuterElecs(number) for number in _numbers], dtype=float)
QUANTUM_NUMBERS = np.array([GetPrincipleQuantumNumber(number) for number in _numbers], dtype=float)


def estate_names(statistics: Sequence[EstateStatistic] = STATISTICS) -> tuple[str, ...]:
    """Return the columns of `estate`: count_sLi, ..., sum_ssssPb."""
    return tuple(f"{statistic}_{name}" for statistic in statistics for name in TYPES)


def estate_rows(
    molecules: Sequence[str],
    *,
    topological: bool,
    dyes: bool = False,
    statistics: Sequence[EstateStatistic] = STATISTICS,
    merged: bool = False,
) -> Matrix:
    """Return the features of some molecules: rows by `estate_names`, followed by TOPOLOGY if wanted.

    Args:
        molecules: as SMILES.
        topological: whether TOPOLOGY is wanted.
        dyes: whether they are porphyrins, whose core is then aromatic in all its atoms, as in the published features
            (10.1021/acs.jpca.8b02842).
        statistics: see `estate`.
        merged: see `estate`.

    Raises:
        MatliftError: one of them is none that RDKit can read.
    """
    with rdBase.BlockLogs():  # RDKit warns of hydrogen molecules
        parsed = [_parsed(smiles) for smiles in molecules]
    if dyes:
        parsed = [with_aromatic_core(molecule) for molecule in parsed]
    indices = estate(parsed, statistics, merged=merged)
    return np.hstack([indices, [topology(molecule) for molecule in parsed]]) if topological else indices


def formulas_of(molecules: Sequence[str]) -> list[str]:
    """Return the formulas of some molecules, given as SMILES."""
    return [rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(smiles)) for smiles in molecules]


def estate(
    molecules: Sequence[Chem.Mol], statistics: Sequence[EstateStatistic] = STATISTICS, *, merged: bool = False
) -> Matrix:
    """Return statistics of the E-state indices of the atoms of each type, in the order of `estate_names`.

    L. H. Hall, L. B. Kier, J. Chem. Inf. Comput. Sci. 35 (1995) 1039, doi:10.1021/ci00028a014; the types and the
    intrinsic states are RDKit's.

    Args:
        molecules: n of them.
        statistics: of each type: the count of its atoms; the sum, the minimum, the maximum of their indices, which are
            0 where there are none.
        merged: whether atoms of a type that are bonded to each other and to the same others count as one, the first,
            as in RDKit's Fingerprinter, which takes matches on the same atoms for one: it finds one CH3 in ethane, and
            one CH2 in cyclopropane. Otherwise every atom counts.

    Returns:
        (n, 79 times the number of statistics), without unit.
    """
    result = np.zeros((len(molecules), len(statistics), len(TYPES)))
    for some in graphs(molecules):
        atoms, types = find_types(some, molecules)
        if merged:
            kept = _first_of_twins(some, atoms, types)
            atoms, types = atoms[kept], types[kept]
        indices = estate_indices(some)[atoms]
        cells = atoms // some.size * len(TYPES) + types
        for place, statistic in enumerate(statistics):
            values = _reduced(statistic, cells, indices, len(some.places) * len(TYPES))
            result[some.places, place] = values.reshape(len(some.places), len(TYPES))
    return result.reshape(len(molecules), -1)


def estate_indices(some: Graphs) -> Matrix:
    """Return the E-state index of each atom: (b * n,).

    Those of a molecule depend on nothing else, to the last bit.
    """
    degrees = some.degrees
    valence = OUTER_ELECTRONS[some.numbers] - some.hydrogens
    intrinsic = (4 / QUANTUM_NUMBERS[some.numbers] ** 2 * valence + 1) / np.maximum(degrees, 1)
    intrinsic = np.where(degrees > 0, intrinsic, 0.0).reshape(-1, some.size)
    reach = some.distances + 1.0  # in place from here on: large arrays cost more to get than to fill
    reach[some.distances == some.size] = np.inf
    reach *= reach
    perturbed = intrinsic[:, :, None] - intrinsic[:, None, :]
    perturbed /= reach
    indices: Matrix = intrinsic + perturbed.sum(axis=2)
    return indices.ravel()


def _parsed(smiles: str) -> Chem.Mol:
    """Return a molecule as RDKit's MolFromSmiles does, without its stereochemistry, which is a third of the work."""
    if HYDROGEN_ATOM.search(smiles):  # most of these become a number of their neighbour, which is not done below
        molecule = Chem.MolFromSmiles(smiles)
    else:
        molecule = Chem.MolFromSmiles(smiles, UNSANITISED)
        if molecule and Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            molecule = None
    if molecule is None:
        raise MatliftError(f"“{smiles}” cannot be read as a molecule (SMILES)")
    return molecule


def _first_of_twins(some: Graphs, atoms: npt.NDArray[np.int64], types: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which pairs of atom and type remain if of twins of a type only the first counts."""
    first, second = twins(some)
    kept = np.ones(len(atoms), dtype=bool)
    place_of: dict[int, dict[int, int]] = {}  # by atom, then by type
    for place in np.flatnonzero(np.isin(atoms, [first, second])).tolist():
        place_of.setdefault(int(atoms[place]), {})[int(types[place])] = place
    for earlier, later in zip(first.tolist(), second.tolist(), strict=True):
        again = place_of.get(later, {}).keys() & place_of.get(earlier, {}).keys()
        kept[[place_of[later][kind] for kind in again]] = False
    return kept


def _reduced(statistic: EstateStatistic, cells: npt.NDArray[np.int64], indices: Matrix, number: int) -> Matrix:
    """Return a statistic of the indices in each of a number of cells."""
    if statistic == "count":
        return np.bincount(cells, minlength=number).astype(float)
    if statistic == "sum":
        return np.bincount(cells, indices, number).astype(float)
    extreme, nothing = (np.minimum, np.inf) if statistic == "minimum" else (np.maximum, -np.inf)
    values = np.full(number, nothing)
    extreme.at(values, cells, indices)
    return np.where(np.isfinite(values), values, 0.0)
