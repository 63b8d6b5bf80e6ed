"""Formulas mean what pymatgen says they mean, all ways to write one give one name, and a wrong one is refused."""

import csv
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from tasks.errors import MatliftError
from tasks.formulas import ELEMENTS, amounts, atoms, hill, reduced

TABLES = (
    "oqmd/formation_energy",
    "oqmd/band_gap",
    "materials_project/formation_energy",
    "experiment/formation_energy",
    "experiment/band_gap",
)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("H2O", {"H": 2, "O": 1}),
        ("CH3CH2OH", {"C": 2, "H": 6, "O": 1}),
        ("Ca(NO3)2", {"Ca": 1, "N": 2, "O": 6}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("{[(CH2)2]3}4", {"C": 24, "H": 48}),
        ("(HF)", {"H": 1, "F": 1}),
        ("Zn0.15Ga0.85As", {"Zn": Fraction(3, 20), "Ga": Fraction(17, 20), "As": 1}),
        ("Fe.95O", {"Fe": Fraction(19, 20), "O": 1}),
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("CuSO4.5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("CaSO4.0.5H2O", {"Ca": 1, "S": 1, "O": Fraction(9, 2), "H": 1}),
        ("MgCl2.H2O", {"Mg": 1, "Cl": 2, "H": 2, "O": 1}),
        ("Na0.5H2O", {"Na": Fraction(1, 2), "H": 2, "O": 1}),
        ("3CaO*Al2O3", {"Ca": 3, "Al": 2, "O": 6}),
        ("H₂O", {"H": 2, "O": 1}),
        ("Fe2 O3", {"Fe": 2, "O": 3}),
        ("Al1 C1 H2 Na1 O5", {"Al": 1, "C": 1, "H": 2, "Na": 1, "O": 5}),
        ("GaN0.0", {"Ga": 1}),
    ],
)
def test_a_formula_has_these_atoms(formula: str, expected: dict[str, Fraction]) -> None:
    assert amounts(formula) == expected


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("", "it has no atoms"),
        ("()", "it has no atoms"),
        ("Fe0", "it has no atoms"),
        ("Xx2O3", "Xx is no element"),
        ("D2O", "D is no element"),
        ("NaCl+", "“+” makes no sense there"),
        ("La1-xSrxMnO3", "“-xSrxMnO3” makes no sense there"),
        ("water", "“water” makes no sense there"),
        ("Ca(NO3", "( is not closed"),
        ("CaNO3)2", ") closes nothing"),
        ("Ca(NO3]2", "] closes nothing"),
        ("(2)Fe", "nothing stands before the number 2"),
        ("Fe2.3.4", "nothing stands before the number .4"),
    ],
)
def test_what_is_no_formula_is_refused_with_the_place(formula: str, why: str) -> None:
    with pytest.raises(MatliftError) as refused:
        amounts(formula)
    assert str(refused.value) == f"“{formula}” is not a chemical formula: {why}"


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("Al4O6", "Al2O3"),
        ("O3Al2", "Al2O3"),
        ("N6Ca3O18", "CaN2O6"),
        ("Zn0.15Ga0.85As0.85Se0.15", "As17Ga17Se3Zn3"),
        ("Sn0.001Te1Pb0.999", "Pb999SnTe1000"),
        ("O2", "O"),
        ("OH2C2H4", "C2H6O"),
    ],
)
def test_a_composition_has_one_name(formula: str, name: str) -> None:
    assert reduced(formula) == name


@pytest.mark.parametrize("table", TABLES)
def test_every_formula_of_the_tables_is_what_pymatgen_says(table: str, shared_data: Path) -> None:
    with (shared_data / f"{table}.csv").open() as file:
        formulas = sorted({row["formula"] for row in csv.DictReader(file)})
    for formula in formulas[:: 1 + len(formulas) // 20_000]:
        ours = {element: float(amount) for element, amount in amounts(formula).items()}
        theirs = Composition(formula).get_el_amt_dict()
        assert ours == pytest.approx(theirs, rel=1e-9), formula
        least = {element: int(amount) for element, amount in amounts(reduced(formula)).items()}
        assert math.gcd(*least.values()) == 1
        fractions = Composition(formula).fractional_composition.get_el_amt_dict()
        assert {element: amount / sum(least.values()) for element, amount in least.items()} == pytest.approx(fractions)


counts = st.dictionaries(st.sampled_from(sorted(ELEMENTS)), st.integers(1, 400), min_size=1, max_size=6)


def written(parts: dict[str, int]) -> str:
    return "".join(f"{element}{count if count > 1 else ''}" for element, count in parts.items())


@given(counts)
def test_what_is_written_is_read(parts: dict[str, int]) -> None:
    assert amounts(written(parts)) == parts
    assert atoms(written(parts)) == sum(parts.values())


@given(counts, st.integers(1, 50), st.randoms(use_true_random=False))
def test_neither_order_nor_multiples_change_the_name(parts: dict[str, int], factor: int, chance: object) -> None:
    shuffled = sorted(parts.items(), key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert reduced(f"({written(dict(shuffled))}){factor}") == reduced(written(parts))


@given(counts, st.integers(1, 1000))
def test_decimals_are_exact(parts: dict[str, int], thousandths: int) -> None:
    scaled = "".join(f"{element}{count * thousandths / 1000:.3f}" for element, count in parts.items())
    assert reduced(scaled) == reduced(written(parts))


terms = st.lists(st.tuples(st.sampled_from([*sorted(ELEMENTS), "Xx"]), st.sampled_from(["", "2", ".5", "0.15", "0"])))


@given(terms)
def test_brackets_around_a_formula_change_nothing(parts: list[tuple[str, str]]) -> None:
    formula = "".join(map("".join, parts))
    try:
        inside = amounts(f"({formula})")
    except MatliftError as refused:
        with pytest.raises(MatliftError, match=str(refused).rpartition(": ")[2]):
            amounts(formula)
    else:
        assert amounts(formula) == inside


@given(counts)
def test_a_name_is_its_own_name_and_in_hill_s_order(parts: dict[str, int]) -> None:
    name = reduced(written(parts))
    assert reduced(name) == name
    assert list(amounts(name)) == hill(parts)


@given(st.text(alphabet="HeCaNO()[]{}·.*0123456789 ₂x+-", max_size=20))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        found = amounts(text)
    except MatliftError as refused:
        assert "is not a chemical formula: " in str(refused)  # noqa: PT017 -- either outcome is right
    else:
        assert set(found) <= ELEMENTS
        assert all(amount > 0 for amount in found.values())
