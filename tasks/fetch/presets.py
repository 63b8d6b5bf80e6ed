"""Tables that a recipe can name: enthalpies of formation from the package chemicals and from NIST-JANAF, kJ/mol."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tasks.fetch import chemicals, janaf, package
from tasks.fetch.about import About

JANAF = (
    "JANAF: M. W. Chase (ed.), NIST-JANAF Thermochemical Tables, 4th edition, J. Phys. Chem. Ref. Data, Monograph 9 "
    "(1998), doi:10.18434/T42S31"
)
PHASES = {"Hfs": "solid", "Hfl": "liquid", "Hfg": "gas"}


class Preset(NamedTuple):
    """A known table; `value` below is Hfs, Hfl or Hfg, the enthalpy of formation of the solid, the liquid or the gas.

    Attributes:
        name: for people, and for the names of its records.
        identity: returns what the table holds right now, for a value.
        read: returns the rows that have this value, kJ/mol at 298.15 K: value, uncertainty (95 % confidence, where the
            table has it), formula, smiles (of PubChem, missing where it has none), name; by what names a row.
        licence: under which it comes.
        citations: whom to cite.
    """

    name: str
    identity: Callable[[str], str]
    read: Callable[[str], pd.DataFrame]
    licence: str
    citations: tuple[str, ...]


def about(preset: Preset, value: str) -> About:
    """Return what is to be said of a known table."""
    what = f"measured and evaluated enthalpies of formation of the {PHASES[value]} at 298.15 K"
    return About(preset.name, what, preset.licence, preset.citations)


def _packaged(name: str, files: dict[str, str]) -> Preset:
    """Return a table of the package chemicals, given the files that have each value."""
    return Preset(
        name,
        lambda value: package.identity("chemicals", package.find("chemicals", [files[value], *chemicals.STRUCTURES])),
        lambda value: _read(files[value], value),
        "The package chemicals, from which the values are read, is under the MIT licence; the values are those of the "
        "publisher named below.",
        (chemicals.CITATIONS[name], chemicals.PACKAGE),
    )


def _read(file: str, value: str) -> pd.DataFrame:
    """Read one value of a table of the package chemicals; ATcT's has formulas and uncertainties of its own."""
    (path,) = package.find("chemicals", [file])
    own = {"Formula", "uncertainty"} if "ATcT" in file else set()
    named = own | {"Chemical"} if "webbook" not in file else set()
    table = package.read_columns(path, ["CAS", value, *sorted(own | named)], separator="\t")
    table = table[table[value].notna()].reindex(columns=["CAS", value, "Chemical", "Formula", "uncertainty"])
    cas = table["CAS"].astype("str").str.replace("-", "")  # the WebBook's have no dashes and are read as numbers
    known = chemicals.substances()
    found = [known.get(each, chemicals.UNKNOWN) for each in cas]
    formulas = [
        chemicals.stateless(stated) if isinstance(stated, str) else substance.formula or None
        for stated, substance in zip(table["Formula"], found, strict=True)
    ]
    names = [
        stated if isinstance(stated, str) else substance.name or None
        for stated, substance in zip(table["Chemical"], found, strict=True)
    ]
    rows = {
        "value": (table[value] / 1000).to_numpy(),
        "uncertainty": (table["uncertainty"] / 1000).to_numpy(),
        "formula": formulas,
        "smiles": [substance.smiles or None for substance in found],
        "name": names,
    }
    return pd.DataFrame(rows, index=pd.Index(chemicals.dashed(cas)))


PRESETS = {
    "webbook": _packaged("WebBook", dict.fromkeys(PHASES, "Misc/webbook_constants.tsv")),
    "crc": _packaged("CRC", dict.fromkeys(PHASES, chemicals.TABLES["CRC"].file)),
    "atct": _packaged("ATcT", {"Hfl": "Reactions/ATcT 1.112 (l).tsv", "Hfg": "Reactions/ATcT 1.112 (g).tsv"}),
    "janaf": Preset(
        "JANAF",
        lambda _value: janaf.identity(),
        janaf.read,
        "NIST Standard Reference Data: copyright by the U.S. Secretary of Commerce on behalf of the United States of "
        "America; see https://www.nist.gov/srd/public-law.",
        (JANAF,),
    ),
}
