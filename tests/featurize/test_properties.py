"""The properties of the elements are known for all that are described, and are what others' tables say."""

from collections import Counter

import numpy as np
import pytest
from ase.data import chemical_symbols
from pymatgen.core import Element

from tasks.featurize.properties import MENDELEEV, NOBLE, property_names, property_rows, valence
from tasks.recipe import Fractions, Statistics

ELEMENTS = Statistics.elements
TABLE = dict(zip(property_names(), property_rows(ELEMENTS).T, strict=True))
# (property, pymatgen's name for it, relative difference, elements of which newer or other measurements are there)
OTHERS = [
    ("mass", "atomic_mass", 1e-3, {"Po"}),
    ("melting", "melting_point", 0.01, {"Pm", "Fr", "Th"}),
    ("group", "group", 0, set()),
    ("period", "row", 0, set()),
    ("electronegativity", "X", 0.03, {"Tb", "Yb"}),
    ("ionization", "ionization_energy", 0.005, {"Tc", "Ac"}),
]


def test_every_property_of_every_described_element_is_known() -> None:
    assert set(Fractions(kind="fractions").elements) < set(ELEMENTS)
    assert property_rows(ELEMENTS).shape == (91, 19)
    assert all(np.isfinite(values).all() for values in TABLE.values())
    assert all((TABLE[name] > 0).all() for name in ("mass", "melting", "radius", "electronegativity", "ionization"))


def test_no_property_is_the_same_for_all() -> None:
    assert all(len(set(values.tolist())) > 1 for values in TABLE.values())


@pytest.mark.parametrize(("name", "theirs", "tolerance", "besides"), OTHERS)
def test_properties_are_pymatgen_s(name: str, theirs: str, tolerance: float, besides: set[str]) -> None:
    differ = {
        element
        for element, ours in zip(ELEMENTS, TABLE[name], strict=True)
        if float(getattr(Element(element), theirs)) != pytest.approx(ours, rel=tolerance)
    }
    assert differ <= besides


@pytest.mark.parametrize("element", ELEMENTS)
def test_valence_electrons_are_pymatgen_s(element: str) -> None:
    said: Counter[str] = Counter()
    core = max(gas for gas in NOBLE if gas < Element(element).Z)
    for _, shell, number in Element(element).full_electronic_structure:
        said[shell] += number
    for _, shell, number in Element.from_Z(core).full_electronic_structure if core else ():
        said[shell] -= number
    assert valence(element) == {shell: said[shell] for shell in "spdf"}


def test_holes_are_in_shells_that_have_electrons() -> None:
    iron, zinc = ELEMENTS.index("Fe"), ELEMENTS.index("Zn")
    assert [TABLE[f"{shell}-holes"][iron] for shell in "spdf"] == [0, 0, 4, 0]
    assert [TABLE[f"{shell}-electrons"][iron] for shell in "spdf"] == [2, 0, 6, 0]
    assert TABLE["valence-electrons"][zinc] == 12
    assert TABLE["holes"][zinc] == 0


def test_lanthanides_without_an_electronegativity_lie_between_their_neighbours() -> None:
    values = dict(zip(ELEMENTS, TABLE["electronegativity"], strict=True))
    for element in ("Pm", "Eu", "Tb", "Yb"):
        place = chemical_symbols.index(element)
        assert values[chemical_symbols[place - 1]] < values[element] < values[chemical_symbols[place + 1]]


def test_mendeleev_numbers_put_each_group_in_the_order_of_its_periods() -> None:
    assert sorted(MENDELEEV) == sorted(chemical_symbols[1:104])
    for group in ("Li Na K Rb Cs", "Ca Sr Ba", "Ti Zr Hf", "Cu Ag Au", "Zn Cd Hg", "B Al Ga In Tl", "F Cl Br I"):
        places = [MENDELEEV.index(element) for element in group.split()]
        assert places == sorted(places)
    assert (1 + MENDELEEV.index("Fe"), 1 + MENDELEEV.index("H")) == (55, 92)
