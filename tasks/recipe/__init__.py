"""The recipe: one validated YAML file that says what to learn from what, and how to judge it."""

from tasks.recipe.databases import Chemicals, Cmr, Columns, Optimade, Oqmd, Qm9, TableFile
from tasks.recipe.files import RECIPES, load_recipe, recipe_names
from tasks.recipe.schema import (
    Data,
    ElemNet,
    Estate,
    EstateStatistic,
    Evaluation,
    FeatureSpec,
    Fractions,
    Network,
    Pretraining,
    Property,
    Recipe,
    Residual,
    Rules,
    Statistics,
    Transfer,
    Variant,
)
from tasks.recipe.section import Unit

__all__ = [
    "RECIPES",
    "Chemicals",
    "Cmr",
    "Columns",
    "Data",
    "ElemNet",
    "Estate",
    "EstateStatistic",
    "Evaluation",
    "FeatureSpec",
    "Fractions",
    "Network",
    "Optimade",
    "Oqmd",
    "Pretraining",
    "Property",
    "Qm9",
    "Recipe",
    "Residual",
    "Rules",
    "Statistics",
    "TableFile",
    "Transfer",
    "Unit",
    "Variant",
    "load_recipe",
    "recipe_names",
]
