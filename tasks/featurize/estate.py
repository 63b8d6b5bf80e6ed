"""Kier-Hall electrotopological-state indices, and the ring counts by which group additivity corrects them."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.EState import AtomTypes, EStateIndices

from tasks.porphyrins import with_aromatic_core

TYPES, SMARTS = zip(*AtomTypes._rawD, strict=True)  # noqa: SLF001 -- RDKit's table of atom types has no public name
PATTERNS = [(re.findall("[A-Z][a-z]?", smarts)[0], Chem.MolFromSmarts(f"[$({smarts})]")) for smarts in SMARTS]
RING_SIZES = (3, 4, 5, 6, 7, 8)
ESTATE = tuple(f"{statistic}_{name}" for statistic in ("count", "sum") for name in TYPES)
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


def estate_rows(molecules: Sequence[str], *, topological: bool, dyes: bool = False) -> npt.NDArray[np.float64]:
    """Return the features of some molecules: rows by ESTATE, followed by TOPOLOGY if wanted.

    Args:
        molecules: as SMILES.
        topological: whether TOPOLOGY is wanted.
        dyes: whether they are porphyrins, whose core is then aromatic in all its atoms, as in the published features
            (10.1021/acs.jpca.8b02842).
    """
    with rdBase.BlockLogs():  # RDKit warns of hydrogen molecules
        parsed = [Chem.MolFromSmiles(smiles) for smiles in molecules]
    if dyes:
        parsed = [with_aromatic_core(molecule) for molecule in parsed]
    indices = np.array([estate(molecule) for molecule in parsed])
    return np.hstack([indices, [topology(molecule) for molecule in parsed]]) if topological else indices


def formulas_of(molecules: Sequence[str]) -> list[str]:
    """Return the formulas of some molecules, given as SMILES."""
    return [rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(smiles)) for smiles in molecules]


def estate(molecule: Chem.Mol) -> npt.NDArray[np.float64]:
    """Return the count of each atom type in a molecule, then the sum of its E-state indices, in the order of ESTATE.

    L. H. Hall, L. B. Kier, J. Chem. Inf. Comput. Sci. 35 (1995) 1039, doi:10.1021/ci00028a014. Types and indices are
    RDKit's; only the types of elements that are present are looked for. Every atom counts, while RDKit's Fingerprinter
    takes matches on the same atoms for one: it finds one CH3 in ethane, and one CH2 in cyclopropane.

    Returns:
        158 numbers without unit: 79 counts, 79 sums.
    """
    present = {atom.GetSymbol() for atom in molecule.GetAtoms()}
    indices = EStateIndices(molecule)
    result = np.zeros((2, len(TYPES)))
    for column, (element, pattern) in enumerate(PATTERNS):
        if element in present:
            atoms = [atom for (atom,) in molecule.GetSubstructMatches(pattern)]
            result[:, column] = len(atoms), sum(indices[atom] for atom in atoms)
    return result.ravel()


def topology(molecule: Chem.Mol) -> npt.NDArray[np.float64]:
    """Return the counts of rings, of atoms that rings share and of conjugated bonds, in the order of TOPOLOGY.

    Atom types see an atom's neighbours and not the ring it closes: the strain of a ring is a correction of its own in
    group additivity (S. W. Benson et al., Chem. Rev. 69 (1969) 279, doi:10.1021/cr60259a002), and so it is here.

    Returns:
        12 counts; rings are RDKit's symmetrised smallest ones, of which cubane has 6; conjugated bonds those that are
        not aromatic.
    """
    rings = molecule.GetRingInfo()
    sizes = np.clip([len(ring) for ring in rings.AtomRings()], RING_SIZES[0], RING_SIZES[-1]).astype(int)
    aromatic = sum(all(molecule.GetBondWithIdx(bond).GetIsAromatic() for bond in ring) for ring in rings.BondRings())
    shared = np.array([rings.NumAtomRings(atom) for atom in range(molecule.GetNumAtoms())])
    return np.array(
        [
            *np.bincount(sizes, minlength=RING_SIZES[-1] + 1)[RING_SIZES[0] :],
            aromatic,
            rdMolDescriptors.CalcNumBridgeheadAtoms(molecule),
            rdMolDescriptors.CalcNumSpiroAtoms(molecule),
            np.sum(shared == 2),
            np.sum(shared > 2),
            sum(bond.GetIsConjugated() and not bond.GetIsAromatic() for bond in molecule.GetBonds()),
        ],
        dtype=float,
    )
