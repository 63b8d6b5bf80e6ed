"""What the store may forget: all that no kept bundle was made from, deleted so that nothing is ever half there."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tasks.handles import (
    Bundle,
    Candidates,
    Checkpoint,
    Comparison,
    Features,
    Handle,
    Model,
    OfRecipe,
    Part,
    Raw,
    Scores,
    Shard,
    Snapshot,
)
from tasks.manifest import MANIFEST, spare
from tasks.s3 import Entry
from tasks.store import Store

# What runs make, each before what it is made from, so that what is left by a prune that dies is whole. Landings are
# people's own: they stay, as the best candidates of screenings do, which are small.
MADE: tuple[type[Handle], ...] = (
    *(Bundle, Model, Comparison, Checkpoint, Features, Part, Snapshot, Raw),
    *(Scores, Candidates, Shard),
)
KINDS = tuple(handle.kind for handle in MADE)

# No run takes longer: what is younger may be part of one that has not published yet.
YOUNG = timedelta(days=1)

NAME = r"\b[0-9a-f]{16}\b"
OWNER = r"/[a-z0-9-]+"  # a recipe, or the fingerprint of the code that computes parts
OBJECTS = "|".join(f"{each.kind}{OWNER * issubclass(each, (OfRecipe, Part))}/{NAME}" for each in MADE)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder:
    """The files of an object, or what a writer that died has left of one.

    Attributes:
        path: of the object.
        files: by their paths.
    """

    path: str
    files: Mapping[str, Entry]

    @property
    def kind(self) -> str:
        """The kind of the object."""
        return self.path.partition("/")[0]

    @property
    def group(self) -> str:
        """The folder of the object: of a bundle that of its recipe, of a part that of the code that computed it."""
        return self.path.rpartition("/")[0]

    @property
    def manifest(self) -> str:
        """The path of the manifest, which may be missing."""
        return f"{self.path}/{MANIFEST}"

    @property
    def complete(self) -> bool:
        """Whether readers see the object."""
        return self.manifest in self.files

    @property
    def modified(self) -> datetime:
        """When the last of its files was written."""
        return max(entry.modified for entry in self.files.values())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())


class Pruned(NamedTuple):
    """What a prune did, or would do.

    Attributes:
        kept: the bundles that stay.
        freed: the folders that went.
    """

    kept: list[str]
    freed: list[Folder]


def prune(store: Store, keep: int, *, dry_run: bool = False) -> Pruned:
    """Delete what no kept bundle was made from.

    There stay: of each recipe the newest bundles, its latest one and those that are or were champion, with all that
    they were made from; what the watch has seen last; all that is younger than a day, for a run may be at it, with the
    shards of candidates that are; landings, the best of screenings, and all that matlift has not made. Features that
    are kept for single molecules stay for as long as the code that computed them is in use.

    A run of long ago that is retried meanwhile may find that what it made is gone: it fails, and the next retry makes
    it again.

    Args:
        store: from which.
        keep: bundles of each recipe.
        dry_run: whether to delete nothing.

    Raises:
        MatliftError: the store cannot be used; what was deleted until then was deleted whole.
    """
    folders, young = find_folders(store.files.entries("")), datetime.now(UTC) - YOUNG
    bundles = chosen(folders, _pointed(store), keep, young)
    needed = bundles | _watched(store).union(*(_origins(store, bundle) for bundle in bundles))
    doomed = unneeded(folders, needed | _gathered(store, folders, young), young)
    if not dry_run:
        delete(store, doomed)
    return Pruned(sorted(bundles), doomed)


def find_folders(entries: Mapping[str, Entry]) -> list[Folder]:
    """Return what runs have made of what lies in the store."""
    files: dict[str, dict[str, Entry]] = {}
    for path, entry in entries.items():
        if match := re.match(f"({OBJECTS})/", path):
            files.setdefault(match[1], {})[path] = entry
    return [Folder(path, found) for path, found in files.items()]


def chosen(folders: Iterable[Folder], pointed: set[str], keep: int, young: datetime) -> set[str]:
    """Return the bundles that stay: the newest of each recipe, the young ones, and those that a pointer names.

    Args:
        folders: all that runs have made.
        pointed: bundles.
        keep: how many of each recipe are the newest.
        young: since when a bundle is.
    """
    bundles = sorted(
        (folder for folder in folders if folder.kind == Bundle.kind and folder.complete),
        key=lambda folder: (folder.files[folder.manifest].modified, folder.path),
        reverse=True,
    )
    stay = {folder.path for folder in bundles if folder.path in pointed or folder.modified > young}
    for recipe in {folder.group for folder in bundles}:
        stay.update([folder.path for folder in bundles if folder.group == recipe][:keep])
    return stay


def unneeded(folders: Sequence[Folder], needed: set[str], young: datetime) -> list[Folder]:
    """Return what may go: what is neither needed nor young, each object before those it was made from."""
    features = [folder.modified for folder in folders if folder.kind == Features.kind and folder.path in needed]
    in_use = {
        folder.group
        for folder in folders
        if folder.kind == Part.kind and (not features or folder.modified >= min(features))
    }
    doomed = [
        folder
        for folder in folders
        if not (folder.path in needed or folder.modified > young or (folder.group in in_use))
    ]
    return sorted(doomed, key=lambda folder: (KINDS.index(folder.kind), folder.path))


def delete(store: Store, doomed: Sequence[Folder]) -> None:
    """Delete objects: all manifests first, with which they are gone for readers, then their other files.

    A run may make one of them anew at the same time and count on a file that goes: then the object goes again.
    """
    store.files.remove([folder.manifest for folder in doomed if folder.complete])
    store.files.remove([path for folder in doomed for path in folder.files if path != folder.manifest])
    gone = {folder.path for folder in doomed}
    again = [folder for folder in find_folders(store.files.entries("")) if folder.path in gone and folder.complete]
    broken = [folder for folder in again if not _whole(store, folder)]
    for folder in broken:
        log.warning("%s was being made anew while it was deleted: it goes again", folder.path)
    store.files.remove([folder.manifest for folder in broken])


def _whole(store: Store, folder: Folder) -> bool:
    """Tell whether all files that an object's manifest lists are there."""
    manifest = store.pointer(folder.manifest) or {"files": {}}
    held = {path: entry.size for path, entry in folder.files.items()}
    return all(
        held.get(f"{folder.path}/{name}") == entry["size"] or f"{folder.path}/{spare(name, entry['sha256'])}" in held
        for name, entry in manifest["files"].items()
    )


def _pointed(store: Store) -> set[str]:
    """Return the bundles that the pointers beside them name: the latest, the champion and those before it."""
    found: set[str] = set()
    for path in store.files.find(Bundle.kind):
        recipe, _, name = path.rpartition("/")
        if recipe.count("/") == 1 and name.endswith(".json"):
            found.update(f"{recipe}/{name}" for name in re.findall(NAME, str(store.pointer(path))))
    return found


def _watched(store: Store) -> set[str]:
    """Return the objects that the watch has seen last, on which a run may be about to be trained."""
    return _named(str(store.pointer(path)) for path in store.files.find("watched"))


def _gathered(store: Store, folders: Iterable[Folder], young: datetime) -> set[str]:
    """Return the shards of young candidates; they may be older, for equal ones are kept once."""
    kept = (one for one in folders if one.kind == Candidates.kind and one.complete and one.modified > young)
    names = (folder.path.rpartition("/")[2] for folder in kept)
    return _named(store.read(Candidates(name), "shards.json").decode() for name in names)


def _origins(store: Store, bundle: str) -> set[str]:
    """Return the objects that a bundle was made from; those of older versions of matlift say it in their card."""
    recipe, fingerprint = bundle.split("/")[1:]
    handle = Bundle(fingerprint, recipe)
    name = "lineage.json" if "lineage.json" in store.manifest(handle)["files"] else "README.md"
    return _named([store.read(handle, name).decode()])


def _named(texts: Iterable[str]) -> set[str]:
    """Return the objects that texts name."""
    return {name for text in texts for name in re.findall(OBJECTS, text)}
