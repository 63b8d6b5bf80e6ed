"""Finds recipe files and reads them, refusing a wrong one with the field and the reason."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tasks.errors import MatliftError
from tasks.passwords import hidden
from tasks.recipe.schema import Recipe
from tasks.settings import settings as environment

RECIPES = Path(__file__).parents[2] / "deployments" / "recipes"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with matlift, and of those in the folder that MATLIFT_RECIPES names."""
    return sorted(_recipes())


def load_recipe(recipe: str, settings: Mapping[str, Any] | None = None) -> Recipe:
    """Read and validate a recipe.

    Args:
        recipe: the name of a recipe, or the path of a YAML file.
        settings: values of fields to use instead of the file's: {"source.data.at": "oqmd.csv"}. Those that
            MATLIFT_OVERRIDES has for a recipe of that name come before them.

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
    for field, value in {**environment().overrides.get(recipe, {}), **(settings or {})}.items():
        _set(content, field, value, path)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise MatliftError(f"{path} is not a recipe: {_sentence(error)}.") from error


def _set(content: Any, field: str, value: Any, path: Path) -> None:
    """Set a field of a recipe's content, whose parent must be there."""
    *parents, name = field.split(".")
    section = content
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    if not isinstance(section, dict):
        raise MatliftError(f"{path} has no section {'.'.join(parents) or 'at all'}, so {field} cannot be set.")
    section[name] = value


def _recipes() -> dict[str, Path]:
    """Return the files of all recipes by name; the user's own comes before one of that name that matlift has."""
    own = environment().recipes
    if own and not own.is_dir():
        raise MatliftError(f"MATLIFT_RECIPES names {own}, which is no folder: make it, or name another one.")
    return {path.stem: path for folder in (RECIPES, own) if folder for path in folder.glob("*.yaml")}


def _find(recipe: str) -> Path:
    """Return the file that `recipe` names."""
    named, path = _recipes(), Path(recipe)
    if recipe in named:
        return named[recipe]
    if path.is_file():
        return path
    raise MatliftError(
        f"There is no recipe named {recipe} and no such file; the recipes are {', '.join(sorted(named))}."
    )


def _sentence(error: ValidationError) -> str:
    """Say each wrong field with its reason and the value given."""
    return "; ".join(_complaint(dict(problem)) for problem in error.errors(include_url=False))


def _complaint(problem: dict[str, object]) -> str:
    """Return `field: reason (got value)`; a missing field has no value to show."""
    place = problem["loc"]
    field = ".".join(str(part) for part in place) if isinstance(place, tuple) and place else "the file"
    shown = "" if problem["type"] == "missing" else f" (got {problem['input']!r})"
    return hidden(f"{field}: {problem['msg']}{shown}")
