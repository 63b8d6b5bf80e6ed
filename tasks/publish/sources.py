"""What a model card says of each database: what it is, under which licence, and whom to cite."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.recipe import Chemicals


@dataclass(frozen=True)
class About:
    """What the card says of a database as a recipe uses it.

    Attributes:
        name: for people.
        what: its rows, in words.
        licence: under which it came.
        citations: of the database and its tables.
    """

    name: str
    what: str
    licence: str
    citations: tuple[str, ...]


QM9 = About(
    name="QM9",
    what="B3LYP/6-31G(2df,p) enthalpies of small organic molecules, brought to the elements by measured atoms",
    licence="QM9 is in the public domain (CC0); the package qm9pack, from which it is read, is under the MIT licence.",
    citations=("QM9: R. Ramakrishnan et al., Sci. Data 1 (2014) 140022, doi:10.1038/sdata.2014.22",),
)
TABLES = {
    "ATcT": (
        "ATcT: B. Ruscic et al., Active Thermochemical Tables, version 1.112, Argonne National Laboratory; "
        "J. Phys. Chem. A 108 (2004) 9979, doi:10.1021/jp047912y"
    ),
    "CRC": (
        "CRC: W. M. Haynes (ed.), CRC Handbook of Chemistry and Physics, CRC Press, Boca Raton, 2014, "
        "Standard Thermodynamic Properties of Chemical Substances"
    ),
    "WebBook": (
        "WebBook: P. J. Linstrom, W. G. Mallard (eds.), NIST Chemistry WebBook, "
        "NIST Standard Reference Database 69, doi:10.18434/T4D303"
    ),
}
PACKAGE = "The tables are those of the package chemicals: C. Bell et al., https://github.com/CalebBell/chemicals"


def _chemicals(data: Chemicals) -> About:
    """Describe the tables that a recipe takes from the package chemicals."""
    return About(
        name="chemicals",
        what=f"measured and evaluated values of {', '.join(data.tables)}, from the first table that has a molecule",
        licence=(
            "The package chemicals, from which the measured values are read, is under the MIT licence; the values "
            "are those of the publishers named below."
        ),
        citations=(*(TABLES[name] for name in data.tables), PACKAGE),
    )


# By their names in recipes.
DATABASES: dict[str, Callable[[Any], About]] = {"chemicals": _chemicals, "qm9": lambda _: QM9}
