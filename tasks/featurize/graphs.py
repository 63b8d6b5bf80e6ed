"""Molecular graphs as arrays: the atoms, bonds and distances of many molecules at once, as RDKit knows them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rdkit import Chem

Integers = npt.NDArray[np.int64]

# Kinds of bonds, as in RDKit's adjacency matrix; the last are dative bonds, which it has as single ones, and those of
# order zero, which it lacks.
KINDS = SINGLE, AROMATIC, DOUBLE, TRIPLE, OTHER = 1.0, 1.5, 2.0, 3.0, 4.0
ODD = Chem.MolFromSmarts("*!-!=!#!:*")

AT_ONCE = 200_000  # pairs of atoms in one array: it then stays in the processor's cache


@dataclass(frozen=True)
class Graphs:
    """Some molecules of n atoms each, b of them. Atoms are counted through all b * n.

    Attributes:
        places: (b,), where the molecules stand among all that were given.
        numbers: (b * n,), atomic numbers.
        hydrogens: (b * n,), the hydrogens of each atom that are not atoms of the graph themselves.
        atoms, others: (e,), the ends of the bonds, each of which is there in both directions, by `atoms`.
        kinds: (e,), of the bonds.
        distances: (b, n, n), the fewest bonds between two atoms; n if no bonds lead from one to the other.
    """

    places: Integers
    numbers: Integers
    hydrogens: Integers
    atoms: Integers
    others: Integers
    kinds: npt.NDArray[np.float64]
    distances: npt.NDArray[np.unsignedinteger]

    @property
    def size(self) -> int:
        """The number of atoms of each molecule."""
        return int(self.distances.shape[1])

    @property
    def degrees(self) -> Integers:
        """(b * n,), the bonds of each atom."""
        return np.bincount(self.atoms, minlength=len(self.numbers))


def graphs(molecules: Sequence[Chem.Mol]) -> Iterator[Graphs]:
    """Yield the graphs of molecules, those of one size together."""
    sizes = np.array([molecule.GetNumAtoms() for molecule in molecules], dtype=np.int64)
    for size in np.unique(sizes[sizes > 0]).tolist():
        places = np.flatnonzero(sizes == size)
        step = max(1, AT_ONCE // size**2)
        for start in range(0, len(places), step):
            some = places[start : start + step]
            yield _together([molecules[place] for place in some.tolist()], some, size)


def _together(molecules: Sequence[Chem.Mol], places: Integers, size: int) -> Graphs:
    """Return the graphs of molecules of one size."""
    numbers, hydrogens = [], []
    for molecule in molecules:
        for atom in map(molecule.GetAtomWithIdx, range(size)):
            numbers.append(atom.GetAtomicNum())
            hydrogens.append(atom.GetTotalNumHs())
    matrices = np.array([_bonds(molecule) for molecule in molecules])
    cells = np.flatnonzero(matrices)
    ends = cells // size, cells // size**2 * size + cells % size
    return Graphs(
        places,
        np.array(numbers, dtype=np.int64),
        np.array(hydrogens, dtype=np.int64),
        *ends,
        matrices.ravel()[cells],
        _distances(*ends, len(molecules), size),
    )


def _bonds(molecule: Chem.Mol) -> npt.NDArray[np.float64]:
    """Return the kinds of bonds between the atoms of a molecule."""
    # Forced: what RDKit remembers of a molecule survives changes to it.
    kinds: npt.NDArray[np.float64] = Chem.GetAdjacencyMatrix(molecule, True, 0, True)  # noqa: FBT003
    for one, other in molecule.GetSubstructMatches(ODD):
        kinds[one, other] = kinds[other, one] = OTHER
    return kinds


def _distances(atoms: Integers, others: Integers, number: int, size: int) -> npt.NDArray[np.unsignedinteger]:
    """Return the fewest bonds between the atoms of each of a number of molecules of one size.

    All atoms grow the sets of those that they reach by one bond at a time; the sets are rows of bits. That takes the
    square of the size, where RDKit's Floyd-Warshall takes the cube.
    """
    total = number * size
    degrees = np.bincount(atoms, minlength=total)
    neighbours = np.tile(np.arange(total), (degrees.max(initial=0), 1))  # each atom is one of its own
    neighbours[np.arange(len(atoms)) - (np.cumsum(degrees) - degrees)[atoms], atoms] = others
    reached = np.tile(np.packbits(np.eye(size, dtype=bool), axis=1), (number, 1))
    distances = np.zeros((total, size), dtype=np.min_scalar_type(size))
    for _ in range(size):
        missing = np.unpackbits(~reached, axis=1, count=size)
        distances += missing
        before = reached.copy()
        for neighbour in neighbours:
            reached |= before[neighbour]
        if np.array_equal(reached, before):
            distances[missing.astype(bool)] = size
            break
    return distances.reshape(number, size, size)
