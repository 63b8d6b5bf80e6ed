"""A recipe for compositions whose source and target are small tables, and a store to land in."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.recipe import RECIPES, Recipe, load_recipe

MEASURED = "compound,H,u\nNaCl,-411.15,1\nMgO,-601.6,2\nCaO,-634.9,2\n"
COMPUTED = "formula,value\n" + "".join(f"{formula},-2\n" for formula in ("NaCl", "MgO", "CaO", "KCl", "Al2O3", "FeS"))


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    """A recipe as YAML has it; eV/atom from kJ/mol, between -10 and 10."""
    (tmp_path / "computed.csv").write_text(COMPUTED)
    (tmp_path / "measured.csv").write_text(MEASURED)
    content: dict[str, Any] = yaml.safe_load((RECIPES / "qm9-webbook.yaml").read_text(encoding="utf-8"))
    content["name"] = "salts"
    content["property"] = {"name": "enthalpy of formation", "symbol": "ΔfH", "unit": "eV/atom", "extensive": False}
    content["source"] = {
        "data": {
            "database": "table",
            "at": str(tmp_path / "computed.csv"),
            "columns": {"formula": "formula"},
            "unit": "eV/atom",
        },
        "rules": {"of": "compositions", "between": [-10, 10], "duplicates": "lowest"},
    }
    content["target"] = {
        "data": {
            "database": "table",
            "at": str(tmp_path / "measured.csv"),
            "columns": {"formula": "compound", "value": "H", "uncertainty": "u"},
            "unit": "kJ/mol",
        },
        "rules": {"of": "compositions", "between": [-10, 10], "duplicates": "median"},
    }
    content["features"] = {"kind": "fractions"}
    content["pretraining"]["sums"] = 0
    return content


@pytest.fixture
def recipe_file(tmp_path: Path, recipe: dict[str, Any]) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture
def plan(recipe_file: Path) -> Recipe:
    return load_recipe(str(recipe_file))
