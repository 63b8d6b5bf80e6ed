"""One landed file in the store: written once under the SHA-256 of its bytes, with every row in it or beside it."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.errors import MatliftError
from tasks.fetch.files import file_name, read_bytes
from tasks.handles import Landing
from tasks.land.rows import judgement, landing_files
from tasks.recipe import Recipe
from tasks.store import Store


@dataclass(frozen=True)
class Landed:
    """What became of one file.

    Attributes:
        location: where it lay.
        landing: the object in the store; None if the file could not be used.
        report: of the landing: number of rows, of good ones, and of rejected ones by reason.
        already: since when the store has it, in words; None if it is new.
        refusal: why it could not be used, as a sentence.
    """

    location: str
    landing: Landing | None = None
    report: dict[str, Any] = field(default_factory=dict)
    already: str | None = None
    refusal: str | None = None


def waiting(store: Store, recipe: str) -> list[str]:
    """Return the URLs of the files in a recipe's inbox, in the order of their names; landing leaves them there."""
    return [f"{store.url}/{path}" for path in sorted(store.files.find(f"landing/{recipe}/inbox"))]


def land_file(store: Store, location: str, plan: Recipe) -> Landed:
    """Put a file's rows into the store, unless it has the very same file for this recipe.

    The object is named by the bytes alone and written once, so that people who land at the same time lose nothing, and
    the same file twice changes nothing.

    Args:
        store: where to.
        location: a path, a URL, or the s3:// URL of a file.
        plan: the recipe for whose target it is.

    Raises:
        MatliftError: the store cannot be used.
    """
    try:
        data = _read(store, location)
    except MatliftError as error:
        return Landed(location, refusal=str(error))
    landing = Landing(hashlib.sha256(data).hexdigest()[:16], plan.name)
    if store.holds(landing):
        report = json.loads(store.read(landing, "report.json"))
        return Landed(location, landing, report, already=_since(store, landing, report, plan))
    try:
        files = landing_files(data, file_name(location), plan, landing)
    except MatliftError as error:
        return Landed(location, refusal=str(error))
    store.once(landing, lambda: files)
    return Landed(location, landing, json.loads(store.read(landing, "report.json")))


def _read(store: Store, location: str) -> bytes:
    """Return the bytes of a file, which may lie in the store itself."""
    if not location.startswith(f"{store.url}/"):
        return read_bytes(location)
    data = store.files.get(location.removeprefix(f"{store.url}/"))
    if data is None:
        raise MatliftError(f"there is no file {location}")
    return data


def _since(store: Store, landing: Landing, report: dict[str, Any], plan: Recipe) -> str:
    """Say since when the store has a file, and what to do if the recipe has changed since."""
    made = datetime.fromisoformat(store.manifest(landing)["made"]).astimezone()
    said = f"landed already on {made:%Y-%m-%d at %H:%M} as {report['file']}"
    if report["judged by"] == judgement(plan):
        return said
    return f"{said}, when the recipe had other rules: delete {store.url}/{landing.path} and land it again to use these"
