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

HYDROGEN = 1

ALIKE, EIGHT = 16, 8  # beyond so many atoms, molecules of up to eight sizes are taken together
WORD = 64  # bits
AT_ONCE = 200_000  # pairs of atoms in one array: it then stays in the processor's cache


@dataclass(frozen=True)
class Graphs:
    """Some molecules in n places for atoms each, b of them. Atoms are counted through all b * n.

    A molecule may have fewer atoms than places: the last ones then have the atomic number 0 and no bonds.

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
        """The number of places of each molecule."""
        return int(self.distances.shape[1])

    @property
    def degrees(self) -> Integers:
        """(b * n,), the bonds of each atom."""
        return np.bincount(self.atoms, minlength=len(self.numbers))


def graphs(molecules: Sequence[Chem.Mol]) -> Iterator[Graphs]:
    """Yield the graphs of molecules, those of about one size together.

    How many places a molecule gets depends on it alone: the last bits of sums over them do, too.
    """
    sizes = np.array([molecule.GetNumAtoms() for molecule in molecules], dtype=np.int64)
    sizes = np.where(sizes > ALIKE, -(-sizes // EIGHT) * EIGHT, sizes)
    for size in np.unique(sizes[sizes > 0]).tolist():
        places = np.flatnonzero(sizes == size)
        step = max(1, AT_ONCE // size**2)
        for start in range(0, len(places), step):
            some = places[start : start + step]
            yield _together([molecules[place] for place in some.tolist()], some, size)


def _together(molecules: Sequence[Chem.Mol], places: Integers, size: int) -> Graphs:
    """Return the graphs of molecules in so many places each."""
    numbers: list[int] = []
    hydrogens: list[int] = []
    matrices = np.zeros((len(molecules), size, size))
    for molecule, matrix in zip(molecules, matrices, strict=True):
        here = molecule.GetNumAtoms()
        matrix[:here, :here] = _bonds(molecule)
        found = _atoms(molecule)
        numbers += [*found[0], *[0] * (size - here)]
        hydrogens += [*found[1], *[0] * (size - here)]
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


def _atoms(molecule: Chem.Mol) -> tuple[list[int], list[int]]:
    """Return the atomic number of each atom of a molecule, and its hydrogens that are not atoms themselves."""
    atoms = [molecule.GetAtomWithIdx(place) for place in range(molecule.GetNumAtoms())]  # GetAtoms is slower
    return [atom.GetAtomicNum() for atom in atoms], [atom.GetTotalNumHs() for atom in atoms]


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
    alone = np.packbits(np.eye(size, -(-size // WORD) * WORD, dtype=bool), axis=1).view(np.uint64)
    reached = np.tile(alone, (number, 1))
    theirs = np.empty_like(reached)
    distances = np.zeros((total, size), dtype=np.min_scalar_type(size))
    for _ in range(size):
        missing = np.unpackbits((~reached).view(np.uint8), axis=1, count=size)
        distances += missing
        before = reached.copy()
        for neighbour in neighbours:
            np.take(before, neighbour, axis=0, out=theirs, mode="clip")  # which nothing is, but it is twice as fast
            reached |= theirs
        if np.array_equal(reached, before):
            distances[missing.astype(bool)] = size
            break
    return distances.reshape(number, size, size)
