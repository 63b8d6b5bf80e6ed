"""A recipe whose run takes seconds: made-up formation energies of compounds AB and AB2, computed and measured."""

from itertools import product
from pathlib import Path
from typing import Any

import yaml

from tasks.recipe import RECIPES

METALS = {"Li": 1.2, "Na": 1.1, "K": 1.0, "Mg": 1.6, "Ca": 1.5, "Sr": 1.4, "Al": 1.8, "Sc": 1.7, "Ti": 1.3, "Zn": 0.7}
OTHERS = {"O": 1.5, "S": 0.9, "Se": 0.8, "F": 2.0, "Cl": 1.2, "Br": 1.0, "N": 0.6}


def computed() -> str:
    """Return the source's table as CSV."""
    return _table(1.0, METALS, OTHERS)


def measured(metals: tuple[str, ...] = ("Na", "Mg", "Ca", "Al", "Sc")) -> str:
    """Return the target's table as CSV, of compounds of some of the metals."""
    return _table(1.1, {metal: METALS[metal] for metal in metals}, OTHERS)


def write(folder: Path) -> None:
    """Write the recipe `tiny` and its two tables into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "computed.csv").write_text(computed())
    (folder / "measured.csv").write_text(measured())
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe(folder), allow_unicode=True), encoding="utf-8")


def recipe(folder: Path) -> dict[str, Any]:
    """Return the recipe, whose tables are in a folder."""
    content: dict[str, Any] = yaml.safe_load((RECIPES / "formation-energy.yaml").read_text(encoding="utf-8"))
    content |= {"name": "tiny", "title": "Formation energies of binary compounds, made up", "auxiliary": {}}
    for part, rule in (("source", "lowest"), ("target", "median")):
        at = str(folder / {"source": "computed.csv", "target": "measured.csv"}[part])
        columns = {"formula": "formula", "value": "value"}
        content[part] = {
            "data": {"database": "table", "at": at, "columns": columns, "unit": "eV/atom"},
            "rules": {"of": "compositions", "between": [-10, 10], "duplicates": rule},
        }
    content["features"] = {"kind": "fractions"}
    content["network"] = {"kind": "residual", "width": 16, "blocks": 1}
    content["pretraining"] |= {"epochs": 2, "batch": 64, "sums": 0}
    content["transfer"] |= {"epochs": 2, "scratch_epochs": 2, "freeze": [0, 2], "members": 1}
    content["evaluation"] |= {"folds": 2, "sizes": [20], "draws": 1, "clusters": 0, "elements": 0}
    return content


def _table(scale: float, metals: dict[str, float], others: dict[str, float]) -> str:
    """Return formulas and values in eV/atom as CSV."""
    rows = [
        f"{metal}{other}{count},{-scale * metals[metal] * others[other] / count:.3f}"
        for metal, other, count in product(metals, others, (1, 2, 3))
    ]
    return "\n".join(["formula,value", *rows, ""])
