"""Where a model is that people name: by its recipe, or by where its bundle lies."""

import re
from pathlib import Path

from tasks.errors import MatliftError
from tasks.store import Store

RECIPE = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
POINTERS = ("champion.json", "latest.json")  # the one in use, else the one made last


def is_recipe(model: str) -> bool:
    """Tell whether a model is named by its recipe, and is hence to be looked for in the store."""
    return bool(RECIPE.fullmatch(model)) and not Path(model).exists()


def locate(model: str, store: Store) -> str:
    """Return where the bundle of a recipe is: its champion, or if there is none its latest.

    Args:
        model: the recipe's name.
        store: where it was published.

    Raises:
        MatliftError: nothing was published.
    """
    for name in POINTERS:
        pointer = store.pointer(f"bundles/{model}/{name}")
        if pointer is not None:
            return f"{store.url}/bundles/{model}/{pointer['bundle']}"
    raise MatliftError(
        f"the store {store.url} has no model of a recipe {model}: run `matlift run {model}`, or name a bundle's folder"
    )
