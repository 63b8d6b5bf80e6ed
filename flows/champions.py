"""What people do with champions at a terminal: look at one, promote a bundle by hand, go back to the one before."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.errors import MatliftError
from tasks.handles import Bundle
from tasks.promote.account import headline
from tasks.promote.champion import Pointer, current, latest, promote_by_hand, rollback
from tasks.publish.words import headline as quality
from tasks.recipe import Gate
from tasks.store import Store


def show(store: Store, recipe: str) -> None:
    """Show which bundle is a recipe's champion, how good it is, why it is champion, and those before it."""
    console, pointer = Console(soft_wrap=True, highlight=False), current(store, recipe)
    _show(console, store, pointer)
    metrics = store.pointer(f"{pointer['path']}/metrics.json")
    if metrics is None:
        raise MatliftError(f"{pointer['path']} is not whole any more: `matlift rollback {recipe}`, or promote another")
    console.print(quality(metrics))
    if pointer["history"]:
        table = Table("bundle", "since", "until", "then", title="Champions before", title_justify="left")
        for entry in reversed(pointer["history"]):
            table.add_row(entry["bundle"], _when(entry["since"]), _when(entry["until"]), entry["ended"])
        Console(highlight=False).print(table)


def promote(store: Store, recipe: str, name: str | None) -> None:
    """Promote a bundle by hand: the one named, or the latest."""
    bundle = _named(store, recipe, name) if name else latest(store, recipe)
    decision = promote_by_hand(store, bundle, Gate().confidence).decision
    said = headline(decision) if decision else f"{bundle} is the champion already."
    Console(soft_wrap=True, highlight=False).print(said)


def go_back(store: Store, recipe: str) -> None:
    """Go back to the champion before."""
    _show(Console(soft_wrap=True, highlight=False), store, rollback(store, recipe))


def _named(store: Store, recipe: str, name: str) -> Bundle:
    """Return the bundle that a fingerprint, the beginning of one, or a path names."""
    folder = f"{Bundle.kind}/{recipe}/"
    start = name.rstrip("/").rpartition("/")[2]
    found = [path for path in store.list(folder.rstrip("/")) if path.startswith(folder + start)]
    if len(found) != 1:
        said = "several bundles" if found else "no bundle"
        raise MatliftError(f"{recipe} has {said} {name} in the store {store.url}: `matlift ls {recipe}` lists them")
    return Bundle(found[0].removeprefix(folder), recipe)


def _show(console: Console, store: Store, pointer: Pointer | Mapping[str, Any]) -> None:
    console.print(f"Champion since {_when(pointer['since'])}: {store.url}/{pointer['path']}")
    console.print(f"{pointer['why']}")


def _when(time: str) -> str:
    """Return a time as people read it."""
    return time.removesuffix("+00:00").replace("T", " ") + " UTC"
