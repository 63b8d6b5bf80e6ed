"""Molecules by their SMILES: which one a record means, or why it is none to learn from."""

from collections.abc import Sequence

from rdkit import Chem, rdBase
from rdkit.Chem.rdinchi import InchiToInchiKey, MolToInchiKey
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tasks.curate.identity import Identity

# SMILES puts atoms with an isotope, a charge or unpaired electrons in brackets: most molecules need no closer look.
FAULTY = "[.*"


def describe(records: Sequence[tuple[str | None, str | None]]) -> list[Identity]:
    """Return the molecule of each record.

    Args:
        records: SMILES and InChI; the InChI, if given, saves making it.
    """
    with rdBase.BlockLogs():  # what RDKit would print about a bad SMILES stands in its detail
        return [_describe(smiles, inchi) for smiles, inchi in records]


def _describe(smiles: str | None, inchi: str | None) -> Identity:
    """Return the molecule of one record."""
    if not smiles:
        return Identity(reason="no SMILES", detail="No table gives its structure.")
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return Identity(reason="unparsable SMILES", detail=f"RDKit cannot read {smiles}.")
    canonical = Chem.MolToSmiles(mol)
    if any(sign in canonical for sign in FAULTY) and (fault := _fault(mol)):
        return fault
    inchikey = InchiToInchiKey(inchi) if inchi else MolToInchiKey(mol)
    if not inchikey:
        return Identity(reason="no InChI", detail=f"{inchi or smiles} has no InChIKey.")
    skeleton = inchikey.partition("-")[0]  # which atoms are bonded to which
    return Identity(inchikey, skeleton, skeleton, CalcMolFormula(mol), canonical)


def _fault(mol: Chem.Mol) -> Identity | None:
    """Return why a molecule is none to learn from, if so; charges that add up to zero are no fault."""
    atoms = list(mol.GetAtoms())
    components = len(Chem.GetMolFrags(mol))
    isotopes = sorted({f"{atom.GetIsotope()}{atom.GetSymbol()}" for atom in atoms if atom.GetIsotope()})
    charge = Chem.GetFormalCharge(mol)
    electrons = sum(atom.GetNumRadicalElectrons() for atom in atoms)
    if not all(atom.GetAtomicNum() for atom in atoms):
        return Identity(reason="placeholder", detail="One of its atoms stands for any atom.")
    if components > 1:
        return Identity(reason="several components", detail=f"It has {components} components.")
    if isotopes:
        return Identity(reason="isotope", detail=f"It has {', '.join(isotopes)}.")
    if charge:
        return Identity(reason="charged", detail=f"Its charge is {charge:+d}.")
    if electrons:
        return Identity(reason="radical", detail=f"Its unpaired or missing electrons: {electrons}.")
    return None
