"""Properties of the elements, from which those of a composition are made."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from chemicals import Tm
from chemicals.elements import periodic_table

# From P. Villars et al., J. Alloys Compd. 367 (2004) 167, doi:10.1016/j.jallcom.2003.08.060: elements that behave alike
# stand side by side; the number of an element is its place, from 1.
MENDELEEV = (  # noqa: SIM905 -- so it is read more easily
    "Li Na K Rb Cs Fr Ca Sr Ba Ra Sc Y La Ac Ce Th Pr Pa Nd U Pm Np Sm Pu Eu Am Gd Cm Tb Bk Dy Cf Ho Es Er Fm Tm Md Yb "
    "No Lu Lr Ti Zr Hf V Nb Ta Cr Mo W Mn Tc Re Fe Ru Os Co Rh Ir Ni Pd Pt Cu Ag Au Be Mg Zn Cd Hg B Al Ga In Tl C Si "
    "Ge Sn Pb N P As Sb Bi O S Se Te Po H F Cl Br I At He Ne Ar Kr Xe Rn"
).split()

# Shells in the order in which they fill (E. Madelung's rule), and the atoms that do otherwise, by what they have beyond
# their noble gas: A. Kramida et al., NIST Atomic Spectra Database, doi:10.18434/T4W30F.
SHELLS = "1s 2s 2p 3s 3p 4s 3d 4p 5s 4d 5p 6s 4f 5d 6p 7s 5f 6d 7p".split()  # noqa: SIM905 -- so it is read more easily
NOBLE = (0, 2, 10, 18, 36, 54, 86)
CAPACITY = {"s": 2, "p": 6, "d": 10, "f": 14}
IRREGULAR = {
    "Cr": "d5 s1", "Cu": "d10 s1", "Nb": "d4 s1", "Mo": "d5 s1", "Ru": "d7 s1", "Rh": "d8 s1", "Pd": "d10",
    "Ag": "d10 s1", "La": "d1 s2", "Ce": "f1 d1 s2", "Gd": "f7 d1 s2", "Pt": "f14 d9 s1", "Au": "f14 d10 s1",
    "Ac": "d1 s2", "Th": "d2 s2", "Pa": "f2 d1 s2", "U": "f3 d1 s2", "Np": "f4 d1 s2", "Cm": "f7 d1 s2",
}  # fmt: skip

WITHOUT_ELECTRONEGATIVITY = ("Pm", "Eu", "Tb", "Yb")  # lanthanides; along them it rises in even steps, 1.10 to 1.27


@cache
def property_names() -> tuple[str, ...]:
    """Return the names of the properties, in the order of `property_rows`."""
    return tuple(_properties("Fe"))


def property_rows(elements: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the properties of some elements: rows by properties, in the order of `property_names`.

    Numbers of valence electrons are those of the free atom's ground state beyond its noble gas, filled d and f shells
    included; a shell without electrons has no holes. Others: see `_properties`.
    """
    return np.array([list(_properties(element).values()) for element in elements])


def _properties(element: str) -> dict[str, float]:
    """Return the properties of an element that are known for all that are described.

    Returns:
        Atomic number, Mendeleev number, relative atomic mass, melting point (K), group (3 for all f elements), period,
        covalent radius (angstrom; B. Cordero et al., Dalton Trans. 2008, 2832, doi:10.1039/b801115j), electronegativity
        (Pauling's), first ionisation energy (eV), and valence electrons and holes by shell and in all.
    """
    about = periodic_table[element]
    electrons = valence(element)
    holes = {shell: CAPACITY[shell] - number if number else 0 for shell, number in electrons.items()}
    return {
        "number": about.number,
        "mendeleev": 1 + MENDELEEV.index(element),
        "mass": about.MW,
        "melting": _melting_point(element),
        "group": about.group or 3,
        "period": about.period,
        "radius": covalent_radii[about.number],
        "electronegativity": _electronegativity(element),
        "ionization": about.ionization,
        **{f"{shell}-electrons": number for shell, number in electrons.items()},
        "valence-electrons": sum(electrons.values()),
        **{f"{shell}-holes": number for shell, number in holes.items()},
        "holes": sum(holes.values()),
    }


def valence(element: str) -> dict[str, int]:
    """Return how many s, p, d and f electrons an atom has beyond its noble gas."""
    electrons = dict.fromkeys(CAPACITY, 0)
    if element in IRREGULAR:
        return electrons | {term[0]: int(term[1:]) for term in IRREGULAR[element].split()}
    number = atomic_numbers[element]
    core = max(gas for gas in NOBLE if gas < number)
    below = 0
    for shell in SHELLS:
        filled = min(max(number - below, 0), CAPACITY[shell[1]])
        if below >= core:
            electrons[shell[1]] += filled
        below += CAPACITY[shell[1]]
    return electrons


def _melting_point(element: str) -> float:
    """Return the melting point in K, from the CRC Handbook; that of carbon, which sublimes, from Common Chemistry."""
    source = "COMMON_CHEMISTRY" if element == "C" else "CRC_INORG"
    return float(Tm(periodic_table[element].CAS_standard, method=source))


def _electronegativity(element: str) -> float:
    """Return Pauling's electronegativity; of lanthanides that have none the mean of their neighbours'."""
    number = atomic_numbers[element]
    places = (number - 1, number + 1) if element in WITHOUT_ELECTRONEGATIVITY else (number,)
    return float(np.mean([periodic_table[chemical_symbols[place]].elneg for place in places]))
