"""What RDKit says about the structure of one record: its identity, or why it is no molecule to learn from."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from rdkit import Chem, rdBase
from rdkit.Chem.rdinchi import InchiToInchiKey, MolToInchiKey
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

# SMILES puts atoms with an isotope, a charge or unpaired electrons in brackets: most molecules need no closer look.
FAULTY = "[.*"


class Structure(NamedTuple):
    """The structure of one record; a rejected one has a reason and a detail, an accepted one all the others.

    Attributes:
        smiles: canonical, isomeric.
        inchikey: the molecule, stereochemistry included.
        skeleton: its first block: which atoms are bonded to which.
        formula: in Hill's order.
        reason: why the record is rejected, one of a few.
        detail: the same as a sentence with this record's particulars.
    """

    smiles: str | None = None
    inchikey: str | None = None
    skeleton: str | None = None
    formula: str | None = None
    reason: str | None = None
    detail: str | None = None


def describe(records: Sequence[tuple[str | None, str | None]]) -> list[Structure]:
    """Return the structure of each record.

    Args:
        records: SMILES and InChI; the InChI, if given, saves making it.
    """
    with rdBase.BlockLogs():  # what RDKit would print about a bad SMILES stands in its detail
        return [_describe(smiles, inchi) for smiles, inchi in records]


@cache
def element_counts(formula: str) -> Counter[str]:
    """Return how many atoms of each element a formula without parentheses has: {"C": 2, "H": 6} of CH3CH3."""
    counts: Counter[str] = Counter()
    for element, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        counts[element] += int(count or 1)
    return counts


def _describe(smiles: str | None, inchi: str | None) -> Structure:
    """Return the structure of one record."""
    if not smiles:
        return Structure(reason="no SMILES", detail="No table gives its structure.")
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return Structure(reason="unparsable SMILES", detail=f"RDKit cannot read {smiles}.")
    canonical = Chem.MolToSmiles(mol)
    if any(sign in canonical for sign in FAULTY) and (fault := _fault(mol)):
        return fault
    inchikey = InchiToInchiKey(inchi) if inchi else MolToInchiKey(mol)
    if not inchikey:
        return Structure(reason="no InChI", detail=f"{inchi or smiles} has no InChIKey.")
    return Structure(canonical, inchikey, inchikey.partition("-")[0], CalcMolFormula(mol))


def _fault(mol: Chem.Mol) -> Structure | None:
    """Return why a molecule is none to learn from, if so; charges that add up to zero are no fault."""
    atoms = list(mol.GetAtoms())
    components = len(Chem.GetMolFrags(mol))
    isotopes = sorted({f"{atom.GetIsotope()}{atom.GetSymbol()}" for atom in atoms if atom.GetIsotope()})
    charge = Chem.GetFormalCharge(mol)
    electrons = sum(atom.GetNumRadicalElectrons() for atom in atoms)
    if not all(atom.GetAtomicNum() for atom in atoms):
        return Structure(reason="placeholder", detail="One of its atoms stands for any atom.")
    if components > 1:
        return Structure(reason="several components", detail=f"It has {components} components.")
    if isotopes:
        return Structure(reason="isotope", detail=f"It has {', '.join(isotopes)}.")
    if charge:
        return Structure(reason="charged", detail=f"Its charge is {charge:+d}.")
    if electrons:
        return Structure(reason="radical", detail=f"Its unpaired or missing electrons: {electrons}.")
    return None
