"""The object store: content-addressed objects written once, and a few pointers, below one s3:// URL."""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from tasks.errors import MatliftError
from tasks.handles import Handle
from tasks.manifest import MANIFEST, described, dump, sealed, spare
from tasks.s3 import TRIES, Prefix, endpoint
from tasks.settings import settings

H = TypeVar("H", bound=Handle)

PROBE = "conditional-write-probe"
WRITERS = 8  # files of one object on their way at once

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """What `Store.once` did for one handle.

    Attributes:
        handle: the object.
        reused: whether the store held it already.
        seconds: how long it took to make, now or when it was made.
        made: the time at which it was made, in ISO format, UTC.
    """

    handle: Handle
    reused: bool
    seconds: float
    made: str


class Store:
    """Objects and pointers below one URL.

    An object is the folder that a handle names, with its files and a manifest that lists them. The manifest is written
    last: an object without one does not exist for readers. Objects never change; the only things that do are pointers.

    Every key that a manifest counts on was created exclusively and is never replaced, so what it lists stays as it was
    listed, whoever else writes at the same time and however slowly. A file whose plain name is taken by other bytes
    (of a writer that died before its manifest, or of one that is still at work: nobody can tell which) goes to a spare
    name made from its own hash. The first manifest wins. Only then may its writer put right the plain names that its
    manifest does not count on, so that a listing shows the true files; readers try the plain name, then the spare one.

    Attributes:
        url: where the store is, `s3://bucket/prefix`.
        files: what is below it.
        history: what `once` did in this process, in order.
    """

    def __init__(self, url: str) -> None:
        self.files = Prefix(url)
        self.url = self.files.url
        self.history: list[Event] = []

    def check(self) -> None:
        """Make sure that the store can be used; creates its bucket if it is missing and may be created.

        Raises:
            MatliftError: if the store cannot be reached, refuses the credentials, or ignores conditional writes.
        """
        self.files.reach()
        # Only content shows that the server can store: SeaweedFS keeps empty files beside its disk.
        self.files.settle(PROBE, b"written twice, kept once\n")
        if self.files.create(PROBE, b"overwritten\n"):
            raise MatliftError(
                f"the server of {self.url} ignores conditional writes (If-None-Match), so two runs could overwrite "
                "each other's results: use AWS S3, SeaweedFS or another server that honours them"
            )

    def holds(self, handle: Handle) -> bool:
        """Tell whether the object is there, complete."""
        return self.files.get(f"{handle.path}/{MANIFEST}") is not None

    def manifest(self, handle: Handle) -> dict[str, Any]:
        """Return the object's manifest: kind, fingerprint, made, seconds, and size and SHA-256 of each file.

        Raises:
            MatliftError: if the object is not there.
        """
        manifest = self._json(f"{handle.path}/{MANIFEST}")
        if manifest is None:
            raise MatliftError(f"{handle} is not in the store {self.url}: run the stage that makes it again")
        return manifest

    def read(self, handle: Handle, name: str) -> bytes:
        """Return one file of an object.

        Args:
            handle: the object.
            name: the file's name, as it was given to `write`.

        Raises:
            MatliftError: if the object or the file is missing, or its bytes are not those that were written.
        """
        entry = self.manifest(handle)["files"].get(name)
        if entry is None:
            raise MatliftError(f"{handle} in the store {self.url} has no file {name}")
        for place in (name, spare(name, entry["sha256"])):
            data = self.files.get(f"{handle.path}/{place}")
            if data is not None and described(data) == entry:
                return data
        raise MatliftError(
            f"{name} of {handle} in the store {self.url} is missing or damaged (its SHA-256 is not the one in the "
            f"manifest): delete the folder {handle.path} and run again"
        )

    def write(self, handle: Handle, files: Mapping[str, bytes], seconds: float) -> None:
        """Put an object: its files, then its manifest; an object that another writer finished first stays as it is.

        Args:
            handle: the object.
            files: contents by name.
            seconds: how long it took to make.

        Raises:
            MatliftError: if the store cannot take it; nothing of it is visible then.
        """
        if MANIFEST in files:
            raise ValueError(f"{MANIFEST} is the store's own file")
        entries = {name: described(data) for name, data in files.items()}
        manifest = sealed(
            {
                "kind": handle.kind,
                "fingerprint": handle.fingerprint,
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(seconds, 3),
                "files": entries,
            }
        )

        def put(name: str) -> bool:
            """Return whether the file is under its plain name."""
            if self.files.settle(f"{handle.path}/{name}", files[name]):
                return True
            self.files.settle(f"{handle.path}/{spare(name, entries[name]['sha256'])}", files[name])
            return False

        with ThreadPoolExecutor(WRITERS) as pool:
            plain = dict(zip(files, pool.map(put, files), strict=True))
        if self.files.settle(f"{handle.path}/{MANIFEST}", dump(manifest)):
            for name in (name for name in files if not plain[name]):
                self.files.replace(f"{handle.path}/{name}", files[name])

    def once(self, handle: H, make: Callable[[], Mapping[str, bytes]]) -> H:
        """Make an object unless the store holds it already.

        Args:
            handle: the object.
            make: returns the object's files; called only if it has to be made.

        Returns:
            The handle itself, so that a stage can end with this call.

        Raises:
            MatliftError: the store cannot take it, or has so little room that it is not made at all.
        """
        held = self._json(f"{handle.path}/{MANIFEST}")
        if held is not None:
            event = Event(handle, reused=True, seconds=held["seconds"], made=held["made"])
            when = datetime.fromisoformat(event.made).astimezone()
            log.info("re-used %s (made %s in %s)", _short(handle), f"{when:%Y-%m-%d %H:%M}", _took(event.seconds))
        else:
            self.files.require_room()
            start = time.perf_counter()
            files = make()
            seconds = time.perf_counter() - start
            self.write(handle, files, seconds)
            event = Event(handle, reused=False, seconds=seconds, made=datetime.now(UTC).isoformat(timespec="seconds"))
            log.info("made %s in %s", _short(handle), _took(seconds))
        self.history.append(event)
        return handle

    def pointer(self, path: str) -> dict[str, Any] | None:
        """Return the value of a pointer, or None if it was never set."""
        return self._json(path)

    def point(self, path: str, value: Mapping[str, Any]) -> None:
        """Set a pointer, whatever it was before: of several callers at once the last one wins.

        Args:
            path: the pointer, relative to the root of the store, `bundles/<recipe>/champion.json` say.
            value: what it becomes, as JSON.

        Raises:
            MatliftError: if others keep changing it.
        """
        for _ in range(TRIES):
            if self.swap(path, self.pointer(path), value):
                return
        raise MatliftError(f"{path} in the store {self.url} keeps being changed by others: run again")

    def swap(self, path: str, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
        """Set a pointer only if it still has the value that the caller decided on.

        Args:
            path: the pointer, relative to the root of the store.
            old: the value seen, None for a pointer that was not there.
            new: what it becomes, as JSON.

        Returns:
            Whether it was set; if not, another caller was faster: read it and decide again.
        """
        if old is None:
            return self.files.create(path, dump(new))
        # The tag is read before the value: if the value is newer than the tag, the write below fails, as it must.
        tag = self.files.tag(path)
        return tag is not None and self._json(path) == old and self.files.replace_if(path, dump(new), tag)

    def list(self, prefix: str) -> Sequence[str]:
        """Return the paths of the complete objects below a folder: those of a kind, or of one recipe's bundles."""
        ending = f"/{MANIFEST}"
        return sorted(path.removesuffix(ending) for path in self.files.find(prefix) if path.endswith(ending))

    def _json(self, path: str) -> dict[str, Any] | None:
        """Return the JSON object at a path, or None if there is nothing."""
        data = self.files.get(path)
        if data is None:
            return None
        try:
            value: dict[str, Any] = json.loads(data)
        except ValueError as error:
            raise MatliftError(f"{path} in the store {self.url} is damaged: delete it and run again") from error
        return value


def connect() -> Store:
    """Return the store that the environment variable MATLIFT_STORE names, one per process.

    Raises:
        MatliftError: if it names none.
    """
    url = settings().store
    if not url:
        raise MatliftError("no store is named: set MATLIFT_STORE to s3://bucket/prefix")
    return _connect(url, endpoint(), os.getpid())


@cache
def _connect(url: str, _server: str, _process: int) -> Store:
    """Return one store per URL, server and process: a client does not survive a fork."""
    return Store(url)


def _short(handle: Handle) -> str:
    """Return the handle's path as the log shows it: `checkpoints/3f2a…`."""
    return f"{handle.path.removesuffix(handle.fingerprint)}{handle.fingerprint[:4]}…"


def _took(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
