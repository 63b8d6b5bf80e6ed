"""Finds recipe files and reads them, refusing a wrong one with the field and the reason."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from tasks.errors import MatliftError
from tasks.recipe.schema import Recipe

RECIPES = Path(__file__).parents[2] / "deployments" / "recipes"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with matlift."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(recipe: str) -> Recipe:
    """Read and validate a recipe.

    Args:
        recipe: the name of a recipe in `deployments/recipes`, or the path of a YAML file.

    Raises:
        MatliftError: the file is missing, is not YAML, or a field is wrong; the message names the file and the field.
    """
    path = _find(recipe)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MatliftError(f"{path} cannot be read: {error}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date like 2024-99-99 is a ValueError
        raise MatliftError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise MatliftError(f"{path} is not a recipe: {_sentence(error)}.") from error


def _find(recipe: str) -> Path:
    """Return the file that `recipe` names."""
    if recipe in recipe_names():
        return RECIPES / f"{recipe}.yaml"
    path = Path(recipe)
    if path.is_file():
        return path
    raise MatliftError(
        f"There is no recipe named {recipe} and no such file; the recipes are {', '.join(recipe_names())}."
    )


def _sentence(error: ValidationError) -> str:
    """Say each wrong field with its reason and the value given."""
    return "; ".join(_complaint(dict(problem)) for problem in error.errors(include_url=False))


def _complaint(problem: dict[str, object]) -> str:
    """Return `field: reason (got value)`; a missing field has no value to show."""
    place = problem["loc"]
    field = ".".join(str(part) for part in place) if isinstance(place, tuple) and place else "the file"
    shown = "" if problem["type"] == "missing" else f" (got {problem['input']!r})"
    return f"{field}: {problem['msg']}{shown}"
