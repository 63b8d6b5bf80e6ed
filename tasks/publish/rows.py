"""Single rows for people: what each is, where it comes from, what was measured and what was predicted."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from chemicals.elements import periodic_table
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from tasks.formulas import amounts
from tasks.publish.page import Html, element, image, link, text
from tasks.publish.words import signed

# Addresses of records in databases that have a page for each; of others the name must do.
PAGES = {
    "WebBook": (re.compile(r"(\d+)-(\d\d)-(\d)"), r"https://webbook.nist.gov/cgi/cbook.cgi?ID=C\1\2\3"),
    "Materials Project": (re.compile(r"(m(?:p|vc)-\d+)"), r"https://next-gen.materialsproject.org/materials/\1"),
}
DRAWN = 40  # heavy atoms up to which a structure is drawn: larger ones would be unreadable
SIZE = (130, 96)  # pixels of a structure


def cells(predictions: pd.DataFrame, rows: pd.DataFrame, shown: str, unit: str, decimals: int) -> list[dict[str, str]]:
    """Return a row of a table for people for each row of the target.

    Args:
        predictions: the chosen ones, in this order; their index is the place in `predictions.parquet`.
        rows: of the snapshot, aligned with them.
        shown: the method whose predictions they are.
        unit: of the property.
        decimals: of all numbers.
    """
    others = [method for method in ("scratch", "direct") if method in predictions and method != shown]
    made = []
    for place, (row, about) in enumerate(zip(predictions.to_dict("records"), rows.to_dict("records"), strict=True)):
        said = {column: signed(row[column], decimals) for column in ("value", shown, *others)}
        cell: dict[str, str] = {"what": _what(about, _record(row["record"], row["key"], int(predictions.index[place])))}
        cell |= {f"measured ({unit})": said["value"], shown: said[shown]}
        cell |= {"error": _error(row[shown] - row["value"], decimals)}
        if "low" in row:
            cell["90 % interval"] = _between(row["low"], row["high"], decimals)
        cell |= {other: said[other] for other in others}
        cell["in the source"] = "yes" if row["in_source"] else "no"
        if "unseen" in predictions and predictions["unseen"].fillna("").ne("").any():
            cell["never seen"] = row["unseen"] if isinstance(row["unseen"], str) else ""
        made.append(cell)
    return made


def address(record: str) -> str | None:
    """Return the address of a record's page in its database; None if it has none."""
    table, _, name = record.partition(":")
    pattern, page = PAGES.get(table, (None, ""))
    found = pattern.fullmatch(name) if pattern else None
    return found.expand(page) if found else None


def anchor(place: int) -> str:
    """Return the name of a row on the page, by its place in `predictions.parquet`."""
    return f"row-{place}"


def _record(record: str, key: str, place: int) -> Html:
    """Return the name of a record, with a link to its page if it has one, its key, and its place."""
    page = address(record)
    name = link(page, record) if page else record
    row = link(f"#{anchor(place)}", f"row\N{NO-BREAK SPACE}{place:,}")
    return element("small", name, ", ", key, ", ", row)


def _what(about: Mapping[Any, Any], record: Html) -> Html:
    """Return a material for people: a formula, or a structure with its name and SMILES; and its record."""
    name, smiles, formula = (_text(about.get(column)) for column in ("name", "smiles", "formula"))
    if not smiles:
        return _lines(written(formula), name if name != formula else "", record)
    said = element("span", _lines(name, element("code", smiles), record))
    return element("div", _drawing(smiles, name), said, class_="what")


def written(formula: str) -> Html:
    """Return a formula as chemists write it: by electronegativity, but carbon first where there is hydrogen, too."""
    parts = amounts(formula)
    order = list(parts)
    if not {"C", "H"} <= parts.keys():
        order.sort(key=lambda symbol: (periodic_table[symbol].elneg or 0, symbol))
    numbers = {symbol: f"{float(parts[symbol]):.6g}" for symbol in order if parts[symbol] != 1}
    return Html("".join(symbol + (f"<sub>{numbers[symbol]}</sub>" if symbol in numbers else "") for symbol in order))


def _lines(*parts: str) -> Html:
    """Return what there is of some parts, each on a line of its own."""
    return Html("<br>".join(text(part) for part in parts if part))


def _drawing(smiles: str, name: str) -> Html:
    """Return the structure as a picture; nothing where it is too large to be read, or none."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or not 1 < molecule.GetNumHeavyAtoms() <= DRAWN:
        return Html("")
    drawer = rdMolDraw2D.MolDraw2DSVG(*SIZE)
    options = drawer.drawOptions()
    options.fixedBondLength = 22  # type: ignore[assignment]  # RDKit's stubs take it for the class
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    width, height = map(str, SIZE)
    drawn = drawer.GetDrawingText().encode()
    return image(drawn, f"structure of {name or smiles}", width=width, height=height)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _error(error: float, decimals: int) -> str:
    """Return an error with its sign, in the digits of the values."""
    return ("+" if error > 0 else "") + signed(error, decimals)


def _between(low: float, high: float, decimals: int) -> str:
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def worst(errors: pd.Series, most: int) -> list[int]:
    """Return the places of the largest errors, the largest first."""
    order = np.argsort(-errors.to_numpy(), kind="stable")[:most]
    return [int(place) for place in errors.index[order]]
