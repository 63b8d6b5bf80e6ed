"""Formulas of the structures in files that ASE reads: CIF, VASP's, xyz, and ASE's own databases."""

from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import fsspec
from ase import Atoms
from ase.io import iread
from ase.io.cif import parse_cif

from tasks.predict.bundle import options_of
from tasks.predict.inputs import explained

# By the ending of a file's name. ASE knows many formats more, some of which may run code.
FORMATS = {".cif": "cif", ".xyz": "extxyz", ".extxyz": "extxyz", ".vasp": "vasp", ".db": "db", "": "vasp"}

# What ASE's readers raise where a file is not as they expect.
FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def formulas(name: str) -> Iterator[str]:
    """Yield the formula of each structure of a file; its name, which is no formula, of one that cannot be read.

    Args:
        name: a path, or an address that fsspec knows.

    Raises:
        MatliftError: there is no such file.
    """
    path = _local(name)
    kind = FORMATS[Path(name).suffix.lower()]
    number = 0
    try:
        for atoms in _cif(path) if kind == "cif" else iread(path, ":", kind, do_not_split_by_at_sign=True):
            yield _formula(atoms, name) if atoms else name
            number += 1
    except FAULTS:
        yield name  # what follows cannot be told from what is broken
    else:
        if not number:
            yield name


def _local(name: str) -> Path:
    """Return the path of a file, which is fetched if it is elsewhere."""
    protocol, remote, _ = name.partition("://")
    with explained(name):
        path = Path(fsspec.open_local(f"simplecache::{name}", **{protocol: options_of(name)}) if remote else name)
        path.open("rb").close()
    return path


def _cif(path: Path) -> Iterator[Atoms | None]:
    """Yield the structure of each block of a CIF that is to have one; None if it cannot be read."""
    for block in _blocks(path):
        try:
            for parsed in parse_cif(BytesIO(block)):
                if parsed.has_structure():
                    yield parsed.get_atoms()
        except FAULTS:
            yield None


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the blocks of a CIF, one by one: a broken one spoils no other, and a file of many is not held."""
    held: list[bytes] = []
    inside = False  # a text of several lines, between semicolons
    with path.open("rb") as file:
        for line in file:
            inside ^= line.startswith(b";")
            if not inside and line[:5].lower() == b"data_":
                yield b"".join(held)
                held = []
            held.append(line)
    yield b"".join(held)


def _formula(atoms: Atoms, name: str) -> str:
    """Return the formula of a structure, or the file's name if it has none.

    Sites that several elements share, or that are empty in part, count by their occupancies, which ASE gives for each
    kind of site; the atoms themselves are the most frequent ones.
    """
    occupancies, kinds = atoms.info.get("occupancy"), atoms.arrays.get("spacegroup_kinds")
    counts: Counter[str] = Counter()
    if occupancies and kinds is not None:
        for kind in kinds:
            for symbol, share in occupancies[str(kind)].items():
                counts[symbol] += share
    else:
        counts.update(atoms.get_chemical_symbols())
    return "".join(f"{symbol}{counts[symbol]:.6g}" for symbol in sorted(counts) if counts[symbol]) or name
