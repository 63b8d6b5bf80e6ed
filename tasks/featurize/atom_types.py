"""The atom types of Kier and Hall, found for many molecules at once.

A type is a SMARTS pattern that sees an atom, its hydrogens and bonds, and which of its neighbours are terminal oxygens.
All that is its environment, one number. RDKit matches the patterns once on the first atom of each environment, of which
there are hundreds; all other atoms look their types up.
"""

import re
from collections.abc import Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem.EState import AtomTypes

from tasks.featurize.graphs import HYDROGEN, KINDS, Graphs, Integers

TYPES, SMARTS = zip(*AtomTypes._rawD, strict=True)  # noqa: SLF001 -- RDKit's table of atom types has no public name
PATTERNS: dict[str, list[tuple[int, Chem.Mol]]] = {}  # by element, with the place of the type
for _place, _smarts in enumerate(SMARTS):
    _element = re.findall("[A-Z][a-z]?", _smarts)[0]
    PATTERNS.setdefault(_element, []).append((_place, Chem.MolFromSmarts(f"[$({_smarts})]")))

MOST = 32  # bonds of one kind that an atom can have, and more
OXYGEN = 8

_known: dict[int, tuple[int, ...]] = {0: ()}  # the types of each environment that this process has met; 0 is no atom


def find_types(graphs: Graphs, molecules: Sequence[Chem.Mol]) -> tuple[Integers, Integers]:
    """Return pairs of an atom and a type that it has; an atom may have several or none.

    Args:
        graphs: some molecules.
        molecules: all that were given.

    Returns:
        The atoms, ascending, and the places of their types among TYPES.
    """
    environments = _environments(graphs)
    found, first, place = np.unique(environments, return_index=True, return_inverse=True)
    size = graphs.size
    for environment, atom in zip(found.tolist(), first.tolist(), strict=True):
        if environment not in _known:
            _known[environment] = _matched(molecules[graphs.places[atom // size]], atom % size)
    types = [_known[environment] for environment in found.tolist()]
    several = np.array([len(each) for each in types])[place]
    starts = np.cumsum([0, *map(len, types)])[place]
    atoms = np.repeat(np.arange(environments.size), several)
    within = np.arange(len(atoms)) - np.repeat(np.cumsum(several) - several, several)
    flat = np.array([each for found in types for each in found], dtype=np.int64)
    return atoms, flat[np.repeat(starts, several) + within]


def twins(graphs: Graphs) -> tuple[Integers, Integers]:
    """Return pairs of bonded atoms that are bonded to the same others, the earlier one first.

    As in ethane, in cyclopropane, and the carbons of an epoxide.
    """
    own = np.arange(len(graphs.numbers))
    # Twins reach the same atoms, themselves included: so the sums of their places agree, as few others' do.
    sums = own + np.bincount(graphs.atoms, graphs.others, len(own)).astype(np.int64)
    likely = (graphs.atoms < graphs.others) & (sums[graphs.atoms] == sums[graphs.others])
    pairs = graphs.atoms[likely], graphs.others[likely]
    near = (graphs.distances <= 1).reshape(len(own), graphs.size)
    same = (near[pairs[0]] == near[pairs[1]]).all(axis=1)
    return pairs[0][same], pairs[1][same]


def _environments(graphs: Graphs) -> Integers:
    """Return a number for each atom: atoms with the same one have the same types.

    Its digits are the atomic number, the hydrogens, and for each kind of bond how many lead to a terminal oxygen
    without hydrogens, and how many to other atoms.
    """
    total, numbers = len(graphs.numbers), graphs.numbers
    written_out = np.bincount(graphs.atoms, numbers[graphs.others] == HYDROGEN, total).astype(np.int64)
    hydrogens = graphs.hydrogens + written_out
    terminal = (numbers == OXYGEN) & (graphs.degrees == 1) & (hydrogens == 0)
    digit = np.searchsorted(KINDS, graphs.kinds) + len(KINDS) * terminal[graphs.others]
    bonds = np.bincount(graphs.atoms, float(MOST) ** digit, total).astype(np.int64)  # below 2**53: exact
    environments: Integers = (bonds * MOST + np.minimum(hydrogens, MOST - 1)) * 128 + numbers
    return environments


def _matched(molecule: Chem.Mol, atom: int) -> tuple[int, ...]:
    """Return the types of an atom, as RDKit matches them."""
    patterns = PATTERNS.get(molecule.GetAtomWithIdx(atom).GetSymbol(), ())
    return tuple(place for place, pattern in patterns if (atom,) in molecule.GetSubstructMatches(pattern))
