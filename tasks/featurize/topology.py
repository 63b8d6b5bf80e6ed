"""Counts of rings, shared atoms and conjugated bonds: what group additivity corrects and atom types do not see."""

from collections import Counter
from itertools import chain

import numpy as np
import numpy.typing as npt
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

RING_SIZES = (3, 4, 5, 6, 7, 8)
TOPOLOGY = (
    *(f"rings_{size}" for size in RING_SIZES[:-1]),
    "rings_8_or_more",
    "rings_aromatic",
    "atoms_bridgehead",
    "atoms_spiro",
    "atoms_in_2_rings",
    "atoms_in_3_or_more_rings",
    "bonds_conjugated",
)


def topology(molecule: Chem.Mol) -> npt.NDArray[np.float64]:
    """Return the counts of rings, of atoms that rings share and of conjugated bonds, in the order of TOPOLOGY.

    Atom types see an atom's neighbours and not the ring it closes: the strain of a ring is a correction of its own in
    group additivity (S. W. Benson et al., Chem. Rev. 69 (1969) 279, doi:10.1021/cr60259a002), and so it is here.

    Returns:
        12 counts; rings are RDKit's symmetrised smallest ones, of which cubane has 6; conjugated bonds those that are
        not aromatic.
    """
    rings = molecule.GetRingInfo()
    around = rings.AtomRings() if rings.NumRings() else ()
    by_size = Counter(min(len(ring), RING_SIZES[-1]) for ring in around)
    several = len(around) > 1
    by_atom = Counter(chain.from_iterable(around)).values() if several else ()
    return np.array(
        [
            *(by_size[size] for size in RING_SIZES),
            rdMolDescriptors.CalcNumAromaticRings(molecule) if around else 0,
            rdMolDescriptors.CalcNumBridgeheadAtoms(molecule) if several else 0,
            rdMolDescriptors.CalcNumSpiroAtoms(molecule) if several else 0,
            sum(number == 2 for number in by_atom),
            sum(number > 2 for number in by_atom),
            _conjugated(molecule),
        ],
        dtype=float,
    )


def _conjugated(molecule: Chem.Mol) -> int:
    """Return how many bonds are conjugated and not aromatic."""
    bonds = map(molecule.GetBondWithIdx, range(molecule.GetNumBonds()))  # GetBonds is twice as slow
    return sum(not bond.GetIsAromatic() for bond in bonds if bond.GetIsConjugated())
