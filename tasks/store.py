"""The object store: content-addressed objects written once, and a few pointers, below one s3:// URL."""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError
from s3fs import S3FileSystem

from tasks.errors import MatliftError
from tasks.handles import Handle

H = TypeVar("H", bound=Handle)

MANIFEST = "manifest.json"
PROBE = "conditional-write-probe"
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}  # codes of a conditional write that lost
NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError)
TRIES = 50  # of a write that keeps losing races
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

    Endpoint and credentials come from the environment, as botocore reads it: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY. An instance does not survive a fork; `connect` gives each process its own.

    Attributes:
        url: where the store is, `s3://bucket/prefix`.
        history: what `once` did in this process, in order.
    """

    def __init__(self, url: str) -> None:
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/[^?#]*)?", url)
        if match is None:
            raise MatliftError(f"a store's URL looks like s3://bucket/prefix, not {url.partition('://')[0]}://…")
        self._bucket = match[1]
        self._root = f"{match[1]}/{(match[2] or '').strip('/')}".rstrip("/")
        self.url = f"s3://{self._root}"
        self.history: list[Event] = []
        # The listings cache would show stale folders; the default time-outs let a server that hangs hang the run.
        self._fs = S3FileSystem(
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs={
                "signature_version": "s3v4",
                "connect_timeout": 2,
                "read_timeout": 30,
                "max_pool_connections": 32,
                "retries": {"mode": "standard", "total_max_attempts": 3},
                "s3": {"addressing_style": "path"},
            },
        )
        self._fs.retries = 1  # botocore retries already; these would multiply

    def check(self) -> None:
        """Make sure that the store can be used; creates its bucket if it is missing and may be created.

        Raises:
            MatliftError: if the store cannot be reached, refuses the credentials, or ignores conditional writes.
        """
        with self._explained():
            try:
                self._fs.call_s3("head_bucket", Bucket=self._bucket)
            except FileNotFoundError:
                self._make_bucket()
        # Only content shows that the server can store: SeaweedFS keeps empty files beside its disk.
        self._settle(PROBE, b"written twice, kept once\n")
        if self._create(PROBE, b"overwritten\n"):
            raise MatliftError(
                f"the server of {self.url} ignores conditional writes (If-None-Match), so two runs could overwrite "
                "each other's results: use AWS S3, SeaweedFS or another server that honours them"
            )

    def holds(self, handle: Handle) -> bool:
        """Tell whether the object is there, complete."""
        return self._get(f"{handle.path}/{MANIFEST}") is not None

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
        for place in (name, _spare(name, entry["sha256"])):
            data = self._get(f"{handle.path}/{place}")
            if data is not None and _entry(data) == entry:
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
        entries = {name: _entry(data) for name, data in files.items()}
        manifest = {
            "kind": handle.kind,
            "fingerprint": handle.fingerprint,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "files": entries,
        }

        def put(name: str) -> bool:
            """Return whether the file is under its plain name."""
            if self._settle(f"{handle.path}/{name}", files[name]):
                return True
            self._settle(f"{handle.path}/{_spare(name, entries[name]['sha256'])}", files[name])
            return False

        with ThreadPoolExecutor(WRITERS) as pool:
            plain = dict(zip(files, pool.map(put, files), strict=True))
        if self._settle(f"{handle.path}/{MANIFEST}", _dump(manifest)):
            for name in (name for name in files if not plain[name]):
                self._replace(f"{handle.path}/{name}", files[name])

    def once(self, handle: H, make: Callable[[], Mapping[str, bytes]]) -> H:
        """Make an object unless the store holds it already.

        Args:
            handle: the object.
            make: returns the object's files; called only if it has to be made.

        Returns:
            The handle itself, so that a stage can end with this call.
        """
        held = self._json(f"{handle.path}/{MANIFEST}")
        if held is not None:
            event = Event(handle, reused=True, seconds=held["seconds"], made=held["made"])
            when = datetime.fromisoformat(event.made).astimezone()
            log.info("re-used %s (made %s in %s)", _short(handle), f"{when:%Y-%m-%d %H:%M}", _took(event.seconds))
        else:
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
            return self._create(path, _dump(new))
        # The tag is read before the value: if the value is newer than the tag, the write below fails, as it must.
        with self._explained():
            try:
                tag = self._fs.info(self._key(path))["ETag"]
            except FileNotFoundError:
                return False
        return self._json(path) == old and self._conditional(path, _dump(new), IfMatch=tag)

    def list(self, prefix: str) -> Sequence[str]:
        """Return the paths of the complete objects below a folder: those of a kind, or of one recipe's bundles."""
        with self._explained():  # `find` lists without delimiter: delimited listings lag behind on SeaweedFS
            keys = self._fs.find(self._key(prefix))
        ending, start = f"/{MANIFEST}", len(self._root) + 1
        return sorted(key[start:].removesuffix(ending) for key in keys if key.endswith(ending))

    def _make_bucket(self) -> None:
        """Create the bucket, if these credentials may."""
        try:
            self._fs.mkdir(self._bucket)
        except FileExistsError:  # another process was faster
            return
        except OSError as error:
            raise MatliftError(self._missing_bucket()) from error

    def _key(self, path: str) -> str:
        """Return the full name of what is at a path of the store."""
        return f"{self._root}/{path}"

    def _get(self, path: str) -> bytes | None:
        """Return the bytes at a path, or None if there is nothing."""
        with self._explained():
            try:
                data: bytes = self._fs.cat_file(self._key(path))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                return None
            return data

    def _json(self, path: str) -> dict[str, Any] | None:
        """Return the JSON object at a path, or None if there is nothing."""
        data = self._get(path)
        if data is None:
            return None
        try:
            value: dict[str, Any] = json.loads(data)
        except ValueError as error:
            raise MatliftError(f"{path} in the store {self.url} is damaged: delete it and run again") from error
        return value

    def _settle(self, path: str, data: bytes) -> bool:
        """Create what is at a path unless it is there; return whether it now holds these very bytes.

        That it does although it could not be created is a dead writer's equal file, or our own first attempt whose
        answer was lost on the way.
        """
        for attempt in range(TRIES):
            if self._create(path, data):
                return True
            held = self._get(path)
            if held is not None:
                return held == data
            time.sleep(min(0.05 * attempt, 1))  # AWS: another writer is about to create it, or has just failed to
        raise MatliftError(f"{path} in the store {self.url} keeps being changed by others: run again")

    def _create(self, path: str, data: bytes) -> bool:
        """Write to a path where nothing is; return whether that was so."""
        return self._conditional(path, data, mode="create")

    def _conditional(self, path: str, data: bytes, **condition: str) -> bool:
        """Write if a condition holds; return whether it did."""
        with self._explained():
            try:
                self._fs.pipe_file(self._key(path), data, **condition)
            except FileExistsError:
                return False
            except OSError as error:
                # AWS answers 404 to If-Match where nothing is; s3fs gives SeaweedFS's 412 as EINVAL
                if _code(error) in LOST or (_code(error) == "NoSuchKey" and "IfMatch" in condition):
                    return False
                raise
        return True

    def _replace(self, path: str, data: bytes) -> None:
        """Write to a path, whatever is there."""
        with self._explained():
            self._fs.pipe_file(self._key(path), data)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the client raises into one sentence; botocore's errors are no OSErrors, s3fs's are."""
        try:
            yield
        except (BotoCoreError, OSError) as error:
            raise MatliftError(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        """Say what is wrong with the store and what to do; neither error nor sentence knows the secret."""
        code = _code(error) or type(error).__name__
        if isinstance(error, (PermissionError, *NO_CREDENTIALS)):
            return (
                f"the store {self.url} refuses the credentials ({code}): set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY to those of a user who may read and write it"
            )
        if isinstance(error, FileNotFoundError):
            return self._missing_bucket()
        if isinstance(error, (BotoCoreError, ConnectionError, TimeoutError)):
            return (
                f"the store {self.url} does not answer at {_endpoint()} ({code}): see that the server runs and that "
                "AWS_ENDPOINT_URL names it, then run again; what was finished is kept"
            )
        if code == "InternalError" or getattr(error, "errno", None) == errno.ENOSPC or code.startswith("5"):
            return (
                f"the store {self.url} could not do its work ({code}): {_disk()}; make room, then run again: "
                "what was finished is kept"
            )
        return f"the store {self.url} at {_endpoint()} failed: {error} ({code})"

    def _missing_bucket(self) -> str:
        return (
            f"the bucket of the store {self.url} does not exist at {_endpoint()} and could not be created: "
            "create it, or name another one in MATLIFT_STORE"
        )


def connect() -> Store:
    """Return the store that the environment variable MATLIFT_STORE names, one per process.

    Raises:
        MatliftError: if it names none.
    """
    url = os.environ.get("MATLIFT_STORE")
    if not url:
        raise MatliftError("no store is named: set MATLIFT_STORE to s3://bucket/prefix")
    return _connect(url, _endpoint(), os.getpid())


@cache
def _connect(url: str, _server: str, _process: int) -> Store:
    """Return one store per URL, server and process: a client does not survive a fork."""
    return Store(url)


def _spare(name: str, sha256: str) -> str:
    """Return where a file goes whose plain name is taken by other bytes."""
    return f"{name}~{sha256[:16]}"


def _entry(data: bytes) -> dict[str, Any]:
    """Return what the manifest says about a file."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _code(error: BaseException) -> str:
    """Return the store's own name for what went wrong, which s3fs keeps in the cause of its errors."""
    code: str = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", "")
    return code


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"


def _disk() -> str:
    """Say how full the disk of the embedded server is; of other servers, only that it may be."""
    folder = os.environ.get("MATLIFT_STORE_FOLDER")
    if folder is None:
        return "most often its disk is full"
    usage = shutil.disk_usage(folder)
    state = "is full" if usage.free < max(usage.total / 50, 100e6) else "may be full"
    return f"the disk of {folder} {state} ({usage.free / 1e9:.3g} of {usage.total / 1e9:.3g} GB free)"


def _short(handle: Handle) -> str:
    """Return the handle's path as the log shows it: `checkpoints/3f2a…`."""
    return f"{handle.path.removesuffix(handle.fingerprint)}{handle.fingerprint[:4]}…"


def _took(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
