"""Values keep what they measure from one unit to the other."""

import math
from typing import get_args

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import MatliftError
from tasks.fetch.records import Records, pack
from tasks.fetch.units import convert
from tasks.recipe import Unit
from tasks.tables import from_parquet, units

FORMULAS = pd.Series(["NaCl", "Al2O3", "Ca(NO3)2"])
TEMPERATURES = ("K", "degC")
ENERGIES = tuple(unit for unit in get_args(Unit) if unit not in TEMPERATURES)


def one(value: float, unit: Unit, to: Unit, formula: str | None = "NaCl", *, differences: bool = False) -> float:
    (converted,) = convert(pd.Series([value]), unit, to, pd.Series([formula]), differences=differences)
    return float(converted)


@pytest.mark.parametrize(
    ("value", "unit", "to", "formula", "expected"),
    [
        (1.0, "eV/atom", "kJ/mol/atom", "NaCl", 96.48533),
        (1.0, "eV/atom", "kJ/mol", "NaCl", 2 * 96.48533),
        (1.0, "eV/atom", "kJ/mol/atom", None, 96.48533),
        (-411.15, "kJ/mol", "eV/atom", "NaCl", -411.15 / 96.48533 / 2),
        (1.0, "kJ/mol", "kJ/mol/atom", "Al2O3", 0.2),
        (1.0, "kcal/mol", "kJ/mol", None, 4.184),
        (1.0, "kcal/mol/atom", "kJ/mol", "Ca(NO3)2", 9 * 4.184),
        (1000.0, "J/mol", "kJ/mol", None, 1.0),
        (1.0, "hartree", "kJ/mol", None, 2625.4996),
        (1.0, "hartree", "eV", None, 27.211386),
        (1.0, "eV", "kJ/mol", None, 96.48533),
        (25.0, "meV/atom", "eV/atom", None, 0.025),
        (25.0, "degC", "K", None, 298.15),
        (0.0, "K", "degC", None, -273.15),
    ],
)
def test_known_values(value: float, unit: Unit, to: Unit, formula: str | None, expected: float) -> None:
    assert one(value, unit, to, formula) == pytest.approx(expected, rel=1e-6)


def test_an_uncertainty_in_degrees_is_the_same_in_kelvin() -> None:
    assert one(0.5, "degC", "K", differences=True) == pytest.approx(0.5)
    assert one(0.5, "K", "degC", differences=True) == pytest.approx(0.5)


@pytest.mark.parametrize("uncertain", [False, True])
@settings(max_examples=30)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
    pair=st.one_of(st.tuples(st.sampled_from(kind), st.sampled_from(kind)) for kind in (ENERGIES, TEMPERATURES)),
)
def test_there_and_back_is_where_it_was(uncertain: bool, values: list[float], pair: tuple[Unit, Unit]) -> None:  # noqa: FBT001
    unit, to = pair
    there = convert(pd.Series(values), unit, to, FORMULAS, differences=uncertain)
    back = convert(there, to, unit, FORMULAS, differences=uncertain)
    assert back.tolist() == pytest.approx(values, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("formula", [None, "unknown", "NaCl+"])
def test_without_a_readable_formula_there_is_no_value_per_atom(formula: str | None) -> None:
    assert math.isnan(one(1.0, "kJ/mol", "eV/atom", formula))
    rows = pd.DataFrame([{"record": "A:1", "table": "A", "formula": formula, "value": -1.5}])
    (packed,) = from_parquet(pack(Records(rows, "kJ/mol"), "eV/atom")).to_dict("records")
    assert packed["entry"] == f"-1.5 kJ/mol of {formula or 'no formula'}"


@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_units_that_do_not_measure_the_same_are_refused(energy: Unit, temperature: Unit) -> None:
    for unit, to in ((energy, temperature), (temperature, energy)):
        with pytest.raises(MatliftError, match=f"values in {unit} cannot be brought to {to}: they do not measure"):
            one(1.0, unit, to)


def test_records_are_packed_in_the_unit_asked_for_whatever_their_own() -> None:
    rows = pd.DataFrame([{"record": "A:1", "table": "A", "formula": "NaCl", "value": 1.0, "uncertainty": 0.5}])
    packed = pack(Records(rows, "eV/atom"), "kJ/mol", [Records(rows, "kJ/mol"), Records(rows[:0], "eV")])
    found = from_parquet(packed)
    assert found["value"].tolist() == pytest.approx([192.97066, 1.0])
    assert found["uncertainty"].tolist() == pytest.approx([96.48533, 0.5])
    assert units(packed)["value"] == "kJ/mol"
