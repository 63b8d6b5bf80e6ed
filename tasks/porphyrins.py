"""The core of a porphyrin: found in a molecule, and taken as the aromatic ring that it is."""

from rdkit import Chem

# Around the ring: four times a meso carbon, then a pyrrole, its nitrogen last. Any bonds: the graph may have none yet.
CORE = Chem.MolFromSmarts(
    "[#6]~1~[#6]~2~[#6]~[#6]~[#6](~[#7]~2)~[#6]~[#6]~3~[#6]~[#6]~[#6](~[#7]~3)"
    "~[#6]~[#6]~4~[#6]~[#6]~[#6](~[#7]~4)~[#6]~[#6]~5~[#6]~[#6]~[#6]~1~[#7]~5"
)
NITROGENS = (5, 11, 17, 23)  # their places in it


def core(molecule: Chem.Mol) -> tuple[int, ...]:
    """Return the 24 atoms of a molecule's porphyrin core, in the order of CORE; none if it has not exactly one."""
    found: tuple[tuple[int, ...], ...] = molecule.GetSubstructMatches(CORE, maxMatches=8)
    return found[0] if len(found) == 1 else ()


def with_aromatic_core(molecule: Chem.Mol) -> Chem.Mol:
    """Return a molecule whose porphyrin core is aromatic in all its atoms and bonds; as it is without such a core.

    RDKit leaves two of the eight beta carbons' bonds out of the aromatic ring, where one form of drawing it has them.
    The result must not be sanitised, which would undo it.
    """
    changed = Chem.RWMol(molecule)
    atoms = set(core(molecule))
    for bond in changed.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if atoms.issuperset(end.GetIdx() for end in ends):
            bond.SetBondType(Chem.BondType.AROMATIC)
            bond.SetIsConjugated(True)  # noqa: FBT003 -- RDKit's signature
            for part in (bond, *ends):
                part.SetIsAromatic(True)  # noqa: FBT003
    return changed.GetMol()
