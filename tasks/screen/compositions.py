"""All compositions of some elements whose charges balance, by the elements' common oxidation states.

The states are those that pymatgen calls common (S. P. Ong et al., Comput. Mater. Sci. 68 (2013) 314,
doi:10.1016/j.commatsci.2012.10.028; MIT licence), without zero. In a composition each element has one state: what
needs an element in two, such as Fe3O4, is not found. Shapes: m compositions, k elements.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import comb

import numpy as np
import numpy.typing as npt

from tasks.errors import MatliftError
from tasks.formulas import ELEMENTS

Counts = npt.NDArray[np.int64]

MOST = 10**10  # compositions that are tried, which takes an hour; few of them balance
TOGETHER = 3  # elements whose numbers of atoms are enumerated by arrays; those of the others in Python

_ELEMENTS_OF_STATES = {
    (1,): "Li Na K Rb Cs Fr Ag",
    (2,): "Be Mg Ca Sr Ba Ra Ni Cu Zn Cd Kr",
    (3,): "B Al Ga In Sc Y La Pr Nd Pm Sm Gd Tb Dy Ho Er Tm Yb Lu Ac Rh Au Bi Am Cm Bk Cf Es Fm Md No Lr",
    (4,): "Ti Zr Hf Rf Os Th Pu",
    (5,): "V Nb Ta Pa Np",
    (6,): "U",
    (-2,): "O",
    (-1,): "F",
    (-1, 1): "H At",
    (1, 2): "Hg",
    (1, 3): "Tl",
    (2, 3): "Fe Co Eu",
    (2, 4): "Pd Pt Pb",
    (3, 4): "Ru Ir Ce",
    (3, 6): "Cr",
    (4, 6): "Mo W",
    (4, 7): "Tc Re",
    (-4, 4): "Si",
    (-3, 3, 5): "N P As Sb",
    (-2, 2, 4): "Po",
    (-4, 2, 4): "Ge Sn",
    (2, 4, 6): "Xe",
    (2, 4, 7): "Mn",
    (-2, 2, 4, 6): "S Se Te",
    (-1, 1, 3, 5): "Br",
    (-1, 1, 3, 5, 7): "Cl I",
    (-4, -3, -2, -1, 1, 2, 3, 4): "C",
}
STATES = {element: states for states, elements in _ELEMENTS_OF_STATES.items() for element in elements.split()}


def identity(elements: Sequence[str], atoms: int) -> str:
    """Return the states that are used of the elements.

    Args:
        elements: which may occur.
        atoms: of a formula at most.

    Raises:
        MatliftError: one is no element or has no common state, or is named twice; or there is too much to try.
    """
    for element in elements:
        if element not in STATES:
            what = "has no common oxidation state" if element in ELEMENTS else "is no element"
            raise MatliftError(f"{element} {what}: name others, Li,Fe,P,O say")
    if len(set(elements)) < len(elements):
        raise MatliftError(f"an element is named twice among {', '.join(elements)}")
    tried = sum(comb(len(elements), kinds) * comb(atoms, kinds) for kinds in range(2, len(elements) + 1))
    if tried > MOST:
        raise MatliftError(
            f"{len(elements)} elements make {tried:.1g} compositions of up to {atoms} atoms, more than the {MOST:.0g} "
            "that can be tried: name fewer elements, or fewer atoms"
        )
    return ", ".join(f"{element} {STATES[element]}" for element in elements)


def batches(elements: Sequence[str], atoms: int) -> Iterator[Sequence[str]]:
    """Yield formulas of two or more of the elements, in the least whole numbers, those of few elements first.

    Args:
        elements: in the order in which formulas are to have them.
        atoms: of a formula at most.
    """
    for kinds in range(2, len(elements) + 1):
        for some in combinations(elements, kinds):
            states = np.array(list(product(*(STATES[element] for element in some))))
            states = states[(states.min(axis=1) < 0) & (states.max(axis=1) > 0)]
            if len(states):
                for counts in _counts(kinds, atoms):
                    yield _formulas(some, counts[_balanced(counts, states) & (np.gcd.reduce(counts, axis=1) == 1)])


def _balanced(counts: Counts, states: Counts) -> npt.NDArray[np.bool_]:
    """Return of each row (m, k) of counts whether any row (s, k) of states brings its charge to zero."""
    found = np.zeros(len(counts), bool)
    for one in states:
        found |= counts @ one == 0
    return found


def _counts(kinds: int, atoms: int) -> Iterator[Counts]:
    """Yield all numbers of atoms of each of some elements (m, k), each from 1 on, whose sum is not too large."""
    together = min(kinds, TOGETHER)
    most = atoms - (kinds - together)
    ends = np.indices((max(most, 0),) * together).reshape(together, -1).T + 1
    sums = ends.sum(axis=1)
    order = np.argsort(sums, kind="stable")
    ends, sums = ends[order], sums[order]
    for start in _starts(kinds - together, atoms - together):
        few = ends[: np.searchsorted(sums, atoms - sum(start), side="right")]
        if len(few):
            yield np.hstack([np.broadcast_to(np.array(start, np.int64), (len(few), len(start))), few])


def _starts(kinds: int, atoms: int) -> Iterator[tuple[int, ...]]:
    """Yield all numbers of atoms of the first elements whose sum is not too large."""
    if kinds == 0:
        yield ()
        return
    for first in range(1, atoms - kinds + 2):
        for rest in _starts(kinds - 1, atoms - first):
            yield (first, *rest)


def _formulas(elements: Sequence[str], counts: Counts) -> list[str]:
    """Return the formulas of rows of counts (m, k)."""
    texts = np.full(len(counts), "", dtype=object)
    most = int(counts.max(initial=1))
    for element, numbers in zip(elements, counts.T, strict=True):
        written = np.array(["", element, *(f"{element}{number}" for number in range(2, most + 1))], dtype=object)
        texts = texts + written[numbers]
    formulas: list[str] = texts.tolist()
    return formulas
