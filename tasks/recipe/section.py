"""What all parts of a recipe share: their strictness, and the units that they may name."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Unit = Literal[
    "kJ/mol", "kJ/mol/atom", "kcal/mol", "kcal/mol/atom", "J/mol", "eV", "eV/atom", "meV/atom", "hartree", "K", "degC"
]
"""Units of a property. Per mole (of formulas, as they are written) or per atom (of a mole of atoms)."""


class Section(BaseModel):
    """A part of a recipe: unknown fields are refused, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
