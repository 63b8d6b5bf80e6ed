"""From the atoms of a porphyrin dye to the graph of its free base: a program of its own, because perception can hang.

It answers each line of its input, an xyz text in JSON, with a line: the result as JSON. It imports nothing of Prefect.

The rule by which a graph is believed: OpenBabel makes it from the positions. The atoms in contact, by their covalent
radii, must be its bonds, no more and no less; RDKit must find it sound; and every atom must have the valence that is
usual for its element and number of neighbours, without charges, unpaired electrons or hydrogens that are not there.
Where bonds lead and what valence each atom has leave no choice but which of several mesomeric forms is drawn, and those
are one molecule once RDKit has found the aromatic rings. RDKit's own DetermineBonds is not asked: it depends on the
order of the atoms, turns sound dyes with sulphur into zwitterions and can take seconds.
"""

import json
import sys
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, covalent_radii
from openbabel import openbabel
from rdkit import Chem, rdBase
from rdkit.Chem.rdinchi import MolToInchiKey

from tasks.formulas import written
from tasks.porphyrins import NITROGENS, core, with_aromatic_core

CONTACT = 1.25  # times the sum of the covalent radii (10.1039/b801115j): no bond is longer, no other contact as short
TOUCHING = 0.6  # Å: no two nuclei are nearer
COORDINATED = 2.6  # Å: farther away, a metal is not bonded to a nitrogen of the core
BOND_NH = 1.01  # Å

# By element and number of neighbours; any number if one valence is all there is. What has none is taken for a metal.
VALENCES = {
    **dict.fromkeys(("H", "F", "Cl", "Br", "I"), 1),
    **dict.fromkeys(("C", "Si"), 4),
    **dict.fromkeys(("B", "N"), 3),
    "O": 2,
}
SULPHUR = {1: 2, 2: 2, 3: 4, 4: 6}
PHOSPHORUS = {1: 3, 2: 3, 3: 3, 4: 5}
SEVERAL = {"S": SULPHUR, "Se": SULPHUR, "P": PHOSPHORUS}

Positions = npt.NDArray[np.float64]


class DoubtError(Exception):
    """A dye cannot be understood: one of a few reasons, and a sentence with this one's particulars."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Atoms(NamedTuple):
    """Atoms with their positions, Å, and which of them are in contact, as pairs in ascending order."""

    symbols: list[str]
    positions: Positions
    contacts: set[tuple[int, int]]


def identify(xyz: str) -> dict[str, str]:
    """Return what a dye is: `smiles` and `key` (of its free base) and `formula`, or a `reason` with its `detail`."""
    try:
        atoms = _parse(xyz)
        smiles, key = _canonical(Chem.MolToSmiles(_perceive(_free_base(atoms))))
    except DoubtError as doubt:
        return {"reason": doubt.reason, "detail": doubt.detail}
    return {"smiles": smiles, "key": key, "formula": written(Counter(atoms.symbols))}


def _parse(xyz: str) -> Atoms:
    """Return the atoms of an xyz text without its two headlines."""
    rows = [line.split() for line in xyz.splitlines()]
    try:
        symbols = [row[0] for row in rows]
        positions = np.array([[float(number) for number in row[1:]] for row in rows]).reshape(len(rows), 3)
        radii = np.array([covalent_radii[atomic_numbers[symbol]] for symbol in symbols])
    except (ValueError, KeyError, IndexError) as error:
        raise DoubtError("unreadable positions", f"Its atoms cannot be read: {error}.") from error
    if not np.isfinite(positions).all():
        raise DoubtError("impossible positions", "An atom has no finite position.")
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2) + np.diag(np.full(len(rows), np.inf))
    if len(rows) > 1 and distances.min() < TOUCHING:
        one, other = divmod(int(distances.argmin()), len(rows))
        raise DoubtError(
            "impossible positions",
            f"{symbols[one]}{one + 1} and {symbols[other]}{other + 1} are {distances.min():.2f} Å apart.",
        )
    near = np.triu(distances < CONTACT * (radii[:, None] + radii[None]))
    return Atoms(symbols, positions, set(zip(*(places.tolist() for places in np.nonzero(near)), strict=True)))


def _free_base(atoms: Atoms) -> Atoms:
    """Return the dye with two hydrogens on opposite nitrogens in place of its metal and the metal's other ligands."""
    metals = [place for place, symbol in enumerate(atoms.symbols) if symbol not in {*VALENCES, *SEVERAL}]
    if len(metals) > 1:
        found = ", ".join(atoms.symbols[place] for place in metals)
        raise DoubtError("several metals", f"It has {found}, and one metal at most is understood.")
    skeleton = _skeleton(atoms, set(metals))
    ring = core(skeleton)
    if not ring:
        raise DoubtError("no porphyrin", "Its atoms in contact hold no porphyrin core, or more than one.")
    nitrogens = [ring[place] for place in NITROGENS]
    dye = _dye(atoms, skeleton, ring, metals)
    inner = {
        atom.GetIdx(): place
        for place, nitrogen in enumerate(nitrogens)
        for atom in skeleton.GetAtomWithIdx(nitrogen).GetNeighbors()
        if atom.GetSymbol() == "H"
    }
    if not metals:
        if sorted(inner.values()) not in ([0, 2], [1, 3]):
            raise DoubtError(
                "no free base", f"It has no metal, and {len(inner)} hydrogens that are not on two opposite nitrogens."
            )
        return atoms
    _check_metal(atoms, metals[0], nitrogens, len(inner))
    centre = atoms.positions[nitrogens].mean(axis=0)
    hydrogens = [_towards(atoms.positions[nitrogens[place]], centre) for place in (0, 2)]
    new = {old: place for place, old in enumerate(dye)}
    return Atoms(
        [*(atoms.symbols[place] for place in dye), "H", "H"],
        np.concatenate([atoms.positions[dye], hydrogens]),
        {(new[one], new[other]) for one, other in atoms.contacts if one in new and other in new}
        | {(new[nitrogens[place]], len(dye) + place // 2) for place in (0, 2)},
    )


def _skeleton(atoms: Atoms, without: set[int]) -> Chem.Mol:
    """Return a molecule of single bonds between the atoms in contact, but for those of some atoms."""
    molecule = Chem.RWMol()
    for symbol in atoms.symbols:
        molecule.AddAtom(Chem.Atom(symbol))
    for one, other in atoms.contacts:
        if not without & {one, other}:
            molecule.AddBond(one, other, Chem.BondType.SINGLE)
    return molecule.GetMol()


def _dye(atoms: Atoms, skeleton: Chem.Mol, ring: tuple[int, ...], metals: list[int]) -> list[int]:
    """Return the atoms of the porphyrin and its groups; the others must be the metal and what is bonded to it."""
    pieces = [set(piece) for piece in Chem.GetMolFrags(skeleton)]
    (dye,) = (piece for piece in pieces if ring[0] in piece)
    bonded = {place for pair in atoms.contacts if set(pair) & set(metals) for place in pair}
    for piece in pieces:
        if piece is not dye and not piece & {*bonded, *metals}:
            formula = written(Counter(atoms.symbols[place] for place in piece))
            raise DoubtError("several components", f"{formula} is bonded neither to the porphyrin nor to a metal.")
    return sorted(dye)


def _check_metal(atoms: Atoms, metal: int, nitrogens: list[int], hydrogens: int) -> None:
    """Make sure that the metal sits in the porphyrin, and in place of its hydrogens."""
    far = max(float(np.linalg.norm(atoms.positions[metal] - atoms.positions[nitrogen])) for nitrogen in nitrogens)
    symbol = atoms.symbols[metal]
    if far > COORDINATED:
        raise DoubtError("metal outside", f"{symbol} is {far:.2f} Å from a nitrogen of the porphyrin core.")
    if hydrogens:
        raise DoubtError("metal and hydrogen", f"It has {symbol} in the core, and {hydrogens} hydrogens as well.")


def _towards(nitrogen: Positions, centre: Positions) -> Positions:
    """Return the position of a hydrogen on a nitrogen, in the direction of the core's centre."""
    way = centre - nitrogen
    position: Positions = nitrogen + BOND_NH * way / np.linalg.norm(way)
    return position


def _perceive(atoms: Atoms) -> Chem.Mol:
    """Return the molecule that OpenBabel finds in the atoms, if it is believed (see above); without its hydrogens."""
    lines = "\n".join(
        f"{symbol} {x:.6f} {y:.6f} {z:.6f}"
        for symbol, (x, y, z) in zip(atoms.symbols, atoms.positions.tolist(), strict=True)
    )
    converter = openbabel.OBConversion()
    converter.SetInAndOutFormats("xyz", "mol")
    found = openbabel.OBMol()
    converter.ReadString(found, f"{len(atoms.symbols)}\n\n{lines}\n")
    molecule = Chem.MolFromMolBlock(converter.WriteString(found), sanitize=False, removeHs=False)
    if molecule is None or [atom.GetSymbol() for atom in molecule.GetAtoms()] != atoms.symbols:
        raise DoubtError("no graph", "OpenBabel makes no molecule of its atoms.")
    _check_bonds(atoms, molecule)
    if problems := Chem.DetectChemistryProblems(molecule):
        raise DoubtError("unsound graph", f"RDKit does not take OpenBabel's graph: {problems[0].Message()}.")
    Chem.SanitizeMol(molecule)
    _check_atoms(molecule)
    Chem.AssignStereochemistryFrom3D(molecule)
    return Chem.RemoveHs(molecule)


def _check_bonds(atoms: Atoms, molecule: Chem.Mol) -> None:
    """Make sure that the bonds are the contacts."""
    bonds = {tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))) for bond in molecule.GetBonds()}
    if differing := sorted(bonds ^ atoms.contacts):
        said = ", ".join(
            "-".join(f"{atoms.symbols[place]}{place + 1}" for place in pair)
            + f" ({'a bond' if pair in bonds else 'a contact'} only)"
            for pair in differing[:3]
        )
        raise DoubtError(
            "bonds differ", f"OpenBabel's bonds are not the atoms in contact, {len(differing)} times: {said}."
        )


def _check_atoms(molecule: Chem.Mol) -> None:
    """Make sure that every atom has the usual valence, and nothing but its bonds to have it from."""
    for atom in molecule.GetAtoms():
        symbol, neighbours = atom.GetSymbol(), atom.GetDegree()
        usual = SEVERAL[symbol].get(neighbours) if symbol in SEVERAL else VALENCES[symbol]
        name = f"{symbol}{atom.GetIdx() + 1}"
        if charge := atom.GetFormalCharge():
            raise DoubtError("charged atom", f"{name} would have the charge {charge:+d}.")
        if atom.GetNumRadicalElectrons() or atom.GetTotalNumHs() or atom.GetTotalValence() != usual:
            raise DoubtError("unusual valence", f"{name} with {neighbours} neighbours has not its usual valence.")


@lru_cache(maxsize=4096)  # dyes that differ in metal or shape share their free base
def _canonical(drawn: str) -> tuple[str, str]:
    """Return canonical SMILES and skeleton of the InChIKey of a free base, of the tautomer whose SMILES comes first.

    A metal does not say which two opposite nitrogens its hydrogens would be on, so no dye may say it.
    """
    base = Chem.MolFromSmiles(drawn)
    if base is None:
        raise DoubtError("unstable SMILES", f"RDKit cannot read its own {drawn}.")
    smiles = min(Chem.MolToSmiles(_tautomer(base, first)) for first in (0, 1))
    again = Chem.MolFromSmiles(smiles)
    if again is None or Chem.MolToSmiles(again) != smiles:
        raise DoubtError("unstable SMILES", f"RDKit reads its own {smiles} as another molecule.")
    inchikey = MolToInchiKey(again)
    if not inchikey:
        raise DoubtError("no InChI", f"{smiles} has no InChIKey.")
    return smiles, inchikey.partition("-")[0]


def _tautomer(base: Chem.Mol, first: int) -> Chem.Mol:
    """Return a free base with its hydrogens on the nitrogens `first` and `first + 2` of the core."""
    molecule, ring = with_aromatic_core(base), core(base)
    for bond in molecule.GetBonds():
        if bond.GetBeginAtomIdx() in ring and bond.GetEndAtomIdx() in ring:
            bond.SetStereo(Chem.BondStereo.STEREONONE)
    for place, nitrogen in enumerate(NITROGENS):
        atom = molecule.GetAtomWithIdx(ring[nitrogen])
        atom.SetNoImplicit(True)  # noqa: FBT003 -- RDKit's signature
        atom.SetNumExplicitHs(int(place % 2 == first))
    Chem.SanitizeMol(molecule)
    return molecule


def main() -> None:
    """Answer until the input ends."""
    openbabel.obErrorLog.StopLogging()
    with rdBase.BlockLogs():  # what RDKit would print stands in the answers
        print("ready", flush=True)  # noqa: T201 -- this is how it answers
        for line in sys.stdin:
            print(json.dumps(identify(json.loads(line))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
