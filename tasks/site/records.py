"""What the store says of its recipes: which bundles were published, what was decided on each, which one is in use.

The page must show what it can: a file that is damaged, or from another version of matlift, is told of and left out.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import yaml

from tasks.errors import MatliftError
from tasks.handles import Bundle
from tasks.manifest import MANIFEST
from tasks.promote.candidate import facts
from tasks.promote.champion import place
from tasks.s3 import NotNowError
from tasks.store import WRITERS, Store

NAME = "[0-9a-f]{16}"
FACTS = ("bundle", "made", "method", "unit", "mae", "mae not in source", "scratch", "coverage", "level", "measured")

Json = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """A bundle that was published.

    Attributes:
        bundle: which one.
        facts: its metrics in short.
        decision: the last one on it; None if it is older than decisions.
        files: the names of those that the store has of it; none if it was pruned.
    """

    bundle: Bundle
    facts: Json
    decision: Json | None
    files: frozenset[str]

    @property
    def made(self) -> str:
        """When, in ISO format."""
        made: str = self.facts["made"]
        return made

    @property
    def error(self) -> float:
        """Its mean absolute error on what was held out, in the unit of the property."""
        error: float = self.facts["mae"]
        return error

    def address(self, file: str) -> str | None:
        """Return where one of its files is, for a link on the page; None if the store does not have it."""
        return quote(f"{self.bundle.path}/{file}") if file in self.files else None


@dataclass(frozen=True)
class Record:
    """What is known of one recipe.

    Attributes:
        name: of the recipe.
        title: one line for people.
        symbol: of the property.
        unit: of the property.
        champion: the pointer, None if there is none.
        bundles: all that were published and can be read, the newest first.
        problems: what cannot be read, a sentence each.
    """

    name: str
    title: str
    symbol: str
    unit: str
    champion: Json | None
    bundles: Sequence[Published]
    problems: Sequence[str]

    @property
    def in_use(self) -> Published | None:
        """The champion's bundle."""
        used = self.champion["bundle"] if self.champion else None
        return next((one for one in self.bundles if one.bundle.fingerprint == used), None)

    @property
    def changed(self) -> str:
        """When something was published or put to use last, in ISO format; empty if that cannot be read."""
        return max([one.made for one in self.bundles] + ([self.champion["since"]] if self.champion else []), default="")


def gather(store: Store) -> list[Record]:
    """Return the record of each recipe that has a bundle, by name.

    Raises:
        MatliftError: the store does not answer.
    """
    found: dict[str, list[str]] = {}
    for path in store.files.find(Bundle.kind):
        found.setdefault(path.split("/")[1], []).append(path)
    records = (_record(store, recipe, paths) for recipe, paths in sorted(found.items()))
    return [record for record in records if record]


def _record(store: Store, recipe: str, paths: Sequence[str]) -> Record | None:
    """Return what the files of a recipe's folder say; None if no bundle is complete."""
    held = _held(paths)
    if not held:
        return None
    problems: list[str] = []
    found = _each(lambda path: _decision(store, path), [path for path in paths if "/decisions/" in path], problems)
    decisions = {one["challenger"]["bundle"]: one for one in sorted(found, key=lambda one: str(one["decided"]))}
    undecided = [Bundle(name, recipe) for name in sorted(held.keys() - decisions.keys())]
    known = [one["challenger"] for one in decisions.values()]
    known += _each(lambda bundle: _facts(store, bundle), undecided, problems)
    bundles = [_published(recipe, about, decisions, held) for about in known]
    bundles.sort(key=lambda one: (one.made, one.bundle.fingerprint), reverse=True)
    champions = _each(lambda path: _champion(store, path), [path for path in paths if path == place(recipe)], problems)
    newest = [one.bundle for one in bundles if one.files]
    told = sorted(newest, key=lambda bundle: not champions or bundle.fingerprint != champions[0]["bundle"])
    plans = _each(lambda bundle: _plan(store, bundle), told[:1], problems)
    title, symbol, unit = plans[0] if plans else (recipe, "", bundles[0].facts["unit"] if bundles else "")
    return Record(recipe, title, symbol, unit, champions[0] if champions else None, bundles, problems)


def _held(paths: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the names of the files of each complete bundle of a recipe, by its fingerprint."""
    files: dict[str, set[str]] = {}
    for path in paths:
        if match := re.fullmatch(f"{Bundle.kind}/[^/]+/({NAME})/(.+)", path):
            files.setdefault(match[1], set()).add(match[2])
    return {name: frozenset(names) for name, names in files.items() if MANIFEST in names}


def _published(recipe: str, about: Json, decisions: Json, held: Mapping[str, frozenset[str]]) -> Published:
    name = about["bundle"]
    return Published(Bundle(name, recipe), about, decisions.get(name), held.get(name, frozenset()))


def _each(read: Callable[[T], Any], those: Iterable[T], problems: list[str]) -> list[Any]:
    """Return what can be read of several things, some at once; for what cannot be, add a sentence to the problems."""

    def tried(one: T) -> Any:
        try:
            return read(one)
        except NotNowError:  # no fault of what is read
            raise
        except MatliftError as error:
            return error
        except (KeyError, TypeError, ValueError) as error:
            return MatliftError(f"{one} is not as this version of matlift writes it: {error!r}")

    with ThreadPoolExecutor(WRITERS) as pool:
        found = list(pool.map(tried, those))
    problems += [str(one) for one in found if isinstance(one, MatliftError)]
    return [one for one in found if not isinstance(one, MatliftError)]


def _decision(store: Store, path: str) -> Json:
    """Return a decision that the gate has published."""
    decision = store.pointer(path) or {}
    return {"challenger": _shown(decision["challenger"]), **{key: decision[key] for key in ("decided", "verdict")}}


def _facts(store: Store, bundle: Bundle) -> Json:
    """Return the facts of a bundle on which nothing was decided."""
    return _shown(facts(bundle, store.manifest(bundle)["made"], json.loads(store.read(bundle, "metrics.json"))))


def _champion(store: Store, path: str) -> Json:
    """Return the pointer to a champion, with those before it."""
    champion = store.pointer(path) or {}
    _check_time_and_name(champion["since"], champion["bundle"])
    for entry in champion["history"]:
        _check_time_and_name(entry["since"], entry["bundle"])
        _check_time_and_name(entry["until"], entry["bundle"])
    history = [{key: entry[key] for key in ("bundle", "since", "until", "ended")} for entry in champion["history"]]
    return {"history": history, **{key: champion[key] for key in ("bundle", "since", "why")}}


def _plan(store: Store, bundle: Bundle) -> tuple[str, str, str]:
    """Return title, symbol of the property and its unit, of the recipe that a bundle was made by."""
    plan = yaml.safe_load(store.read(bundle, "recipe.yaml"))
    return plan["title"], plan["property"]["symbol"], plan["property"]["unit"]


def _shown(about: Json) -> Json:
    """Return of the facts of a bundle those that are shown, which they can be."""
    _check_time_and_name(about["made"], about["bundle"])
    if not all(math.isfinite(about[name]) for name in ("mae", "scratch")):
        raise ValueError("its errors are no numbers")
    return {name: about[name] for name in FACTS}


def _check_time_and_name(time: str, name: str) -> None:
    """Make sure that a time has its zone, and that a bundle's name is one: paths are made from it."""
    if datetime.fromisoformat(time).tzinfo is None or not re.fullmatch(NAME, name):
        raise ValueError(f"{time} is no time with its zone, or {name} no fingerprint")
