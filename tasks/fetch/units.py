"""Units of properties: from the one that a database gives to the one that a recipe asks for."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tasks.errors import MatliftError
from tasks.formulas import atoms
from tasks.recipe import Unit

if TYPE_CHECKING:  # it takes a second to load, which most runs need not wait for
    import pint

PER_ATOM = "/atom"


def convert(values: pd.Series, unit: Unit, to: Unit, formulas: pd.Series, *, differences: bool = False) -> pd.Series:
    """Return values in another unit.

    Energies per particle (eV, hartree) and per mole are the same by Avogadro's number. From a unit per atom to one per
    formula, and back, the formulas tell the number of atoms; where one is missing or unreadable, so is the value.

    Args:
        values: (n,), missing ones stay missing.
        unit: of the values.
        to: the unit wanted.
        formulas: (n,), of each row as it is written.
        differences: whether the values are differences, such as uncertainties, of which 1 °C is 1 K.

    Raises:
        MatliftError: the units do not measure the same.
    """
    if unit == to:
        return values
    import pint  # noqa: PLC0415

    try:
        converted = pd.Series(_convert(values.to_numpy(float), unit, to, differences=differences), index=values.index)
    except (pint.DimensionalityError, pint.OffsetUnitCalculusError) as error:
        raise MatliftError(f"values in {unit} cannot be brought to {to}: they do not measure the same") from error
    if unit.endswith(PER_ATOM) == to.endswith(PER_ATOM):
        return converted
    number = formulas.map(_atoms, na_action="ignore").astype(float)
    return converted * number if unit.endswith(PER_ATOM) else converted / number


def _convert(values: np.ndarray, unit: Unit, to: Unit, *, differences: bool) -> np.ndarray:
    """Return values in another unit, whatever they are per."""
    registry = _registry()
    names = [name.removesuffix(PER_ATOM) for name in (unit, to)]
    first, second = (f"delta_{name}" if differences and name == "degC" else name for name in names)
    quantity = registry.Quantity(values, first)
    if quantity.check("[energy]"):
        quantity = quantity * registry.Quantity(1, "avogadro_constant")
    if registry.Quantity(1, second).check("[energy]"):
        quantity = quantity / registry.Quantity(1, "avogadro_constant")
    converted: np.ndarray = quantity.to(second).magnitude
    return converted


def _atoms(formula: str) -> float:
    """Return how many atoms a formula has; not a number if it is unreadable, which curation will say of the row."""
    try:
        return atoms(formula)
    except MatliftError:
        return float("nan")


@cache
def _registry() -> "pint.UnitRegistry[float]":
    """Return pint's units, which take half a second to load."""
    import pint  # noqa: PLC0415

    return pint.UnitRegistry()
