"""Reads a published bundle from a folder or any fsspec URL, and trusts nothing in it that cannot be checked.

A bundle is data: JSON, safetensors, Parquet, text and pictures. Nothing in it is run. Nothing of it is used before its
manifest has been found whole, and every file as long and with the SHA-256 that the manifest says.
"""

import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

import fsspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import MatliftError
from tasks.manifest import FORMAT, MANIFEST, described, dump, sealed, spare
from tasks.passwords import hidden
from tasks.s3 import CLIENT

DATA = (".html", ".json", ".md", ".parquet", ".png", ".safetensors", ".yaml")  # what is never run
MOST = 2**32  # bytes of a bundle
MANIFEST_MOST = 2**20  # bytes of a manifest or of a pointer
HEADER_MOST = 2**20  # bytes of the header of a file of tensors, which lists a hundred
POINTER = ".json"
AGAIN = "publish it again, or fetch it from where it was published"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Entry(_Strict):
    size: Annotated[int, Field(ge=0, le=MOST)]
    sha256: Sha256


class _Manifest(_Strict):
    kind: Annotated[str, Field(pattern="^bundles$")]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{2,64}$")]
    made: str
    seconds: float
    files: dict[Name, _Entry]
    format: int
    sha256: Sha256


class Bundle(NamedTuple):
    """The files of a bundle, checked.

    Attributes:
        location: where it is, without passwords, for sentences.
        fingerprint: its name.
        files: contents by name.
    """

    location: str
    fingerprint: str
    files: dict[str, bytes]


class _Folder:
    """The folder of a bundle on some file system."""

    def __init__(self, location: str, storage: Mapping[str, Any]) -> None:
        self.shown = shown(location)
        with self.explained():
            self._fs, self._root = fsspec.core.url_to_fs(location, **options_of(location), **storage)
        self._root = self._root.rstrip("/")
        self._listable = not {"http", "https"} & set(_protocols(self._fs))  # a page of links is no list of files

    def sizes(self) -> dict[str, int] | None:
        """Return the size of every file in the folder, those in folders below, too; None if that cannot be known."""
        if not self._listable:
            return None
        with self.explained():
            found = self._fs.find(self._root, detail=True)
        start = f"{self._root}/"
        return {
            path.removeprefix(start): about["size"] for path, about in found.items() if about["type"] != "directory"
        }

    def read(self, name: str, most: int) -> bytes:
        """Return a file, or one byte more of it than it may have at most."""
        path = f"{self._root}/{name}" if name else self._root
        with self.explained(), self._fs.open(path, **({} if self._listable else {"block_size": 0})) as file:
            data = bytearray()
            while len(data) <= most and (part := file.read(most + 1 - len(data))):  # a stream gives what has come
                data += part
        return bytes(data)

    def read_all(self, names: Mapping[str, str]) -> dict[str, bytes]:
        """Return files whose sizes are known, all at once: by the names that they have here, under other names."""
        with self.explained():
            found = self._fs.cat([f"{self._root}/{name}" for name in names])
        return {names[path.removeprefix(f"{self._root}/")]: data for path, data in found.items()}

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what file systems raise into one sentence."""
        try:
            yield
        except FileNotFoundError as error:
            raise MatliftError(f"there is no published model at {self.shown}: name the folder of a bundle") from error
        except failures() as error:
            said = hidden(f"{error}".partition("\n")[0]) or type(error).__name__
            raise MatliftError(
                f"{self.shown} cannot be read ({said}): see that it is there, and yours to read"
            ) from error


def read_bundle(location: str, storage: Mapping[str, Any]) -> Bundle:
    """Return the files of a bundle, after all checks.

    Args:
        location: the folder of a bundle, or a pointer to one beside it (`latest.json`): a path or an fsspec URL.
        storage: options of the file system.

    Raises:
        MatliftError: it is none, is damaged, was tampered with, or is of a newer format.
    """
    if location.endswith(POINTER):
        location = _pointed_to(location, storage)
    folder = _Folder(location.rstrip("/"), storage)
    manifest = _manifest(folder.read(MANIFEST, MANIFEST_MOST), folder.shown)
    entries = {name: entry.model_dump() for name, entry in manifest.files.items()}
    sizes = folder.sizes()
    if sizes is None:
        files = {name: folder.read(name, entry["size"]) for name, entry in entries.items()}
    else:
        files = folder.read_all(_places(sizes, entries, folder.shown))
    for name, entry in entries.items():
        if described(files[name]) != entry:
            raise MatliftError(f"{name} of the bundle {folder.shown} is damaged or was changed: {AGAIN}")
        if name.endswith(".safetensors"):
            _check_header(files[name], name, folder.shown)
    return Bundle(folder.shown, manifest.fingerprint, files)


def _pointed_to(location: str, storage: Mapping[str, Any]) -> str:
    """Return the bundle that a pointer names, which is a folder beside it."""
    data = _Folder(location, storage).read("", MANIFEST_MOST)
    try:
        bundle = json.loads(data)["bundle"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MatliftError(f"{shown(location)} does not point to a bundle: name the folder of one") from error
    if not isinstance(bundle, str) or not re.fullmatch("[0-9a-f]{2,64}", bundle):
        raise MatliftError(f"{shown(location)} does not point to a bundle beside it: name the folder of one")
    return f"{location.rpartition('/')[0] or '.'}/{bundle}"


def _manifest(data: bytes, location: str) -> _Manifest:
    """Return a manifest that is whole, of a format that is known, and that lists nothing but data."""
    damaged = f"the manifest of the bundle {location} is damaged or was changed: {AGAIN}"
    try:
        content = json.loads(data)
        number, names = content.get("format"), list(content["files"])
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise MatliftError(damaged) from error
    if number is None:
        raise MatliftError(f"the bundle {location} is of a matlift that could not predict yet: publish it again")
    if isinstance(number, int) and number > FORMAT:
        raise MatliftError(f"the bundle {location} is of format {number}: install a matlift that knows it")
    _check_names(names, location)
    try:
        manifest = _Manifest.model_validate(content)
    except ValidationError as error:
        raise MatliftError(damaged) from error
    unsealed = {name: value for name, value in content.items() if name not in {"format", "sha256"}}
    if dump(sealed(unsealed)) != data:
        raise MatliftError(damaged)
    if sum(entry.size for entry in manifest.files.values()) > MOST:
        raise MatliftError(f"the bundle {location} has more than {MOST / 2**30:g} GiB, as no model has: {AGAIN}")
    return manifest


def _check_names(names: Iterable[str], location: str) -> None:
    """Refuse files outside of the folder, and what is not data."""
    for name in names:
        if "/" in name or "\\" in name or name.startswith("."):
            raise MatliftError(f"the bundle {location} lists {name!r}, which is no file in its folder: {AGAIN}")
        if not name.endswith(DATA):
            raise MatliftError(f"the bundle {location} lists {name!r}, and only data belong into a bundle: {AGAIN}")


def _places(sizes: Mapping[str, int], entries: Mapping[str, Mapping[str, Any]], location: str) -> dict[str, str]:
    """Return the name of each file of a bundle by where it is; a listing says it, and all that is there must be listed.

    Args:
        sizes: of the files in the folder.
        entries: of the manifest.
        location: for the sentences.
    """
    spares = {spare(name, entry["sha256"]): name for name, entry in entries.items()}
    for name in sizes:
        if name not in entries and name not in spares and name != MANIFEST:
            raise MatliftError(f"the bundle {location} holds {name!r}, which its manifest does not list: delete that")
    whole = {
        name: place
        for place, name in (*spares.items(), *((name, name) for name in entries))  # the plain name comes first
        if sizes.get(place) == entries[name]["size"]
    }
    for name, entry in entries.items():
        if name not in whole:
            held = f"has {sizes[name]:,} bytes and not {entry['size']:,}" if name in sizes else "is missing"
            raise MatliftError(f"{name} of the bundle {location} {held}: {AGAIN}")
    return {place: name for name, place in whole.items()}


def _check_header(data: bytes, name: str, location: str) -> None:
    """Refuse tensors whose header is larger than any that matlift writes, before it is read."""
    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(HEADER_MOST, len(data) - 8):
        raise MatliftError(f"{name} of the bundle {location} has a header of {header:,} bytes, which is none: {AGAIN}")


def shown(location: str) -> str:
    """Return a location as it may be shown: without passwords, and without parameters, which may be signatures."""
    return hidden(location).partition("?")[0]


def options_of(location: str) -> dict[str, Any]:
    """Return the options of a file system, which must not remember what was in a folder."""
    if location.startswith("s3://"):
        return {"config_kwargs": CLIENT, "use_listings_cache": False, "skip_instance_cache": True}
    return {}


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def failures() -> tuple[type[Exception], ...]:
    """Return what file systems raise; a client that was not loaded raises nothing."""
    kinds: list[type[Exception]] = [OSError, ValueError, ImportError, EOFError, zlib.error]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError")):
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], name))
    return tuple(kinds)
