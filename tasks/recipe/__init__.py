"""The recipe: one validated YAML file that says what to learn from what, and how to judge it."""

from tasks.recipe.files import RECIPES, load_recipe, recipe_names
from tasks.recipe.schema import (
    Chemicals,
    Data,
    ElemNet,
    Estate,
    Evaluation,
    Network,
    Pretraining,
    Property,
    Qm9,
    Recipe,
    Residual,
    Rules,
    Transfer,
)

__all__ = [
    "RECIPES",
    "Chemicals",
    "Data",
    "ElemNet",
    "Estate",
    "Evaluation",
    "Network",
    "Pretraining",
    "Property",
    "Qm9",
    "Recipe",
    "Residual",
    "Rules",
    "Transfer",
    "load_recipe",
    "recipe_names",
]
