"""What is measured on: molecules of QM9, large dyes and formulas, the same in every run, and new ones in every round.

Nothing is worked on twice in a process, because libraries keep what they have read (pymatgen formulas, and so do we).
"""

from functools import cache
from itertools import product
from string import digits

import numpy as np
import pandas as pd
from rdkit import Chem

from tasks.fetch import package, qm9
from tasks.recipe.schema import ELEMNET_ELEMENTS

# A free-base porphyrin with four substituents at its meso carbons.
CORE = "c1cc2c({})c3ccc(c({})c4ccc(c({})c5ccc(c({})c1n2)[nH]5)n4)[nH]3"
ANCHORS = (
    "-c8ccc(C(=O)O)cc8",
    "C#Cc8ccc(C(=O)O)cc8",
    "C#Cc8ccc(C#Cc9ccc(C(=O)O)cc9)cc8",
    "C#Cc8cc(C(=O)O)cc(C(=O)O)c8",
    "C#Cc8ccc(C(=O)O)s8",
    "C#Cc8ccc(-c9ccc(C=C(C#N)C(=O)O)s9)s8",
    "-c8ccc(-c9ccc(C(=O)O)o9)s8",
    "C=Cc8ccc(C=C(C#N)C(=O)O)cc8",
)
SIDES = (
    "-c8c(F)c(F)c(F)c(F)c8F",
    "-c8cc(OC)c(OC)c(OC)c8",
    "-c8cc(C(C)(C)C)cc(C(C)(C)C)c8",
    "-c8ccc(N(c9ccccc9)c9ccccc9)cc8",
    "-c8ccc(-c9cccs9)s8",
    "-c8ccc(OCCCC)cc8",
    "C#Cc8ccc(N(C)C)cc8",
    "C#Cc8ccc(-c9ccccc9)s8",
    "-c8ccc(C#Cc9ccccc9)cc8",
    "-c8ccc(N(c9ccc(OC)cc9)c9ccc(OC)cc9)cc8",
    "-c8c(OC)cccc8OC",
    "-c8ccc(-c9ccncc9)cc8",
    "C#Cc8cc(C(F)(F)F)cc(C(F)(F)F)c8",
    "-c8ccc(OCCOC)c(OCCOC)c8",
)


@cache
def qm9_smiles() -> tuple[str, ...]:
    """Return the SMILES of QM9's 130,831 molecules, in random order."""
    tables = [package.read_columns(path, ("SMILES",), separator=",") for path in package.find("qm9pack", qm9.FILES)]
    return tuple(pd.concat(tables)["SMILES"].sample(frac=1, random_state=0))


@cache
def dyes() -> tuple[str, ...]:
    """Return the SMILES of porphyrin dyes of 60 heavy atoms and more, in random order."""
    drawn = [CORE.format(anchor, side, opposite, side) for anchor, side, opposite in product(ANCHORS, SIDES, SIDES)]
    sizes = {smiles: Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() for smiles in drawn}
    large = [smiles for smiles, size in sizes.items() if size >= 60]
    different = {Chem.MolToSmiles(Chem.MolFromSmiles(smiles)) for smiles in large}
    assert len(different) == len(large) >= 200
    return tuple(np.random.default_rng(0).permutation(large).tolist())


@cache
def computed_formulas(number: int, *, seed: int) -> tuple[str, ...]:
    """Return so many different formulas like those of computed compounds: up to five elements, whole amounts."""
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < number:
        found["".join(_parts(random))] = None
    return tuple(found)


@cache
def measured_formulas(number: int, *, seed: int) -> tuple[str, ...]:
    """Return so many different formulas like those of measured compounds.

    One of three is like those of computed ones, the others are solid solutions with decimal amounts, every fourth of
    them in brackets.
    """
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < number:
        first, second, *others = _parts(random)
        share = random.integers(1, 20) / 20
        mixed = f"{first.rstrip(digits)}{share:g}{second.rstrip(digits)}{1 - share:g}"
        bracket = f"({random.choice([mixed, first + second])}){random.integers(2, 5)}"
        start = random.choice([first + second, mixed, bracket], p=[0.35, 0.5, 0.15])
        found["".join([str(start), *others])] = None
    return tuple(found)


def _parts(random: np.random.Generator) -> list[str]:
    """Return some elements with their whole amounts."""
    elements = random.choice(ELEMNET_ELEMENTS, size=random.integers(2, 6), replace=False).tolist()
    return [f"{element}{amount if amount > 1 else ''}" for element, amount in _amounts(elements, random)]


def _amounts(elements: list[str], random: np.random.Generator) -> list[tuple[str, int]]:
    """Return whole amounts for some elements, small ones more often."""
    return list(zip(elements, np.minimum(random.geometric(0.35, len(elements)), 24).tolist(), strict=True))


def batches(items: tuple[str, ...], size: int, rounds: int) -> list[tuple[str, ...]]:
    """Return a batch to warm up, then one for each round."""
    assert len(items) >= size * (rounds + 1), f"{len(items)} items are too few for {rounds} rounds of {size}"
    return [items[start : start + size] for start in range(0, size * (rounds + 1), size)]
