"""The bytes below one s3:// URL: reads, conditional writes, and what goes wrong with them as one sentence.

s3fs, which takes half a second to load, is loaded where it is used: who predicts from a file needs no store.
"""

import errno
import functools
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

from tasks.errors import MatliftError
from tasks.settings import settings

LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}  # codes of a conditional write that lost
NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError)
TRIES = 50  # of a write that keeps losing races
CLIENT = {  # botocore's settings
    "signature_version": "s3v4",
    "connect_timeout": 2,
    "read_timeout": 30,
    "max_pool_connections": 32,
    "retries": {"mode": "standard", "total_max_attempts": 3},
    "s3": {"addressing_style": "path"},
}
SHOWN = {  # media types by the ends of names; Markdown and YAML as plain text, else browsers offer to save them
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "md": "text/plain; charset=utf-8",
    "png": "image/png",
    "yaml": "text/plain; charset=utf-8",
}
BATCH = 1000  # keys that S3 deletes at once
PAUSE = 1.0  # seconds between two tries of a server that does not answer

Method = TypeVar("Method", bound=Callable[..., Any])

log = logging.getLogger(__name__)


class NotNowError(MatliftError):
    """The server does not answer, or cannot do its work: it may do so later."""


def patiently(method: Method) -> Method:
    """Let a method wait for a server that is away, for as long as the settings have patience.

    What took minutes to make is not lost to a network that is cut for one. A write whose answer was lost may have
    happened: tried again, a conditional one tells that it lost, which its callers must expect anyway.
    """

    @functools.wraps(method)
    def ask(*arguments: Any, **options: Any) -> Any:
        deadline = None
        while True:
            try:
                return method(*arguments, **options)
            except NotNowError:
                now, patience = time.monotonic(), settings().store_patience
                if deadline is None:
                    deadline = now + patience
                    log.warning("the store at %s is away; it is waited for, %.0f s at most", endpoint(), patience)
                if now >= deadline:
                    raise
                time.sleep(PAUSE)

    return ask  # type: ignore[return-value]


class Entry(NamedTuple):
    """What a listing says of a file.

    Attributes:
        size: bytes.
        tag: its ETag, which changes with its content.
        modified: when it was written, by the server's clock.
    """

    size: int
    tag: str
    modified: datetime


class Prefix:
    """What is below one URL; every method raises MatliftError where the server cannot be used.

    One that does not answer is waited for; `reach` alone, with which everything begins, says so at once.

    Endpoint and credentials come from the environment, as botocore reads it: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY. An instance does not survive a fork.

    Attributes:
        url: `s3://bucket/prefix`.
    """

    def __init__(self, url: str) -> None:
        from s3fs import S3FileSystem  # noqa: PLC0415

        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/[^?#]*)?", url)
        if match is None:
            raise MatliftError(f"a store's URL looks like s3://bucket/prefix, not {url.partition('://')[0]}://…")
        self._bucket = match[1]
        self._root = f"{match[1]}/{(match[2] or '').strip('/')}".rstrip("/")
        self.url = f"s3://{self._root}"
        # The listings cache would show stale folders; the default time-outs let a server that hangs hang the run.
        self._fs = S3FileSystem(
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs=CLIENT,
        )
        self._fs.retries = 1  # botocore retries already; these would multiply

    def reach(self) -> None:
        """Make sure that the bucket is there; create it if it is missing and these credentials may."""
        with self._explained():
            try:
                self._fs.call_s3("head_bucket", Bucket=self._bucket)
            except FileNotFoundError:
                self._make_bucket()

    def find(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder."""
        return list(self.entries(folder))

    def require_room(self) -> None:
        """Make sure that what is about to be made can be written, as far as that is known here: before, not after.

        The embedded server takes nothing any more when 1 % of its disk is left.
        """
        free, total = _room()
        if free < total / 50:
            raise MatliftError(
                f"nothing more is made, for {_disk()}: make room, with `matlift prune` perhaps, then run again; what "
                "was finished is kept"
            )

    @patiently
    def entries(self, folder: str) -> dict[str, Entry]:
        """Return all files below a folder by path, listed without a delimiter: with one, SeaweedFS's listings lag."""
        with self._explained():
            found = self._fs.find(self.key(folder), detail=True)
        return {
            key[len(self._root) + 1 :]: Entry(about["size"], about["ETag"], about["LastModified"])
            for key, about in found.items()
            if about["type"] == "file"  # a folder that is empty comes as itself
        }

    @patiently
    def remove(self, paths: Sequence[str]) -> None:
        """Delete what is at these paths; one where nothing is does not matter."""
        for start in range(0, len(paths), BATCH):
            keys = [self.key(path).removeprefix(f"{self._bucket}/") for path in paths[start : start + BATCH]]
            order = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            with self._explained():
                refused = self._fs.call_s3("delete_objects", Bucket=self._bucket, Delete=order).get("Errors")
            if refused:
                raise MatliftError(
                    f"the store {self.url} does not delete {refused[0]['Key']} ({refused[0]['Code']}): use credentials "
                    "of a user who may"
                )

    @patiently
    def tag(self, path: str) -> str | None:
        """Return the ETag of what is at a path, or None if there is nothing."""
        with self._explained():
            try:
                tag: str | None = self._fs.info(self.key(path)).get("ETag")  # a folder has none
            except FileNotFoundError:
                return None
            return tag

    def replace_if(self, path: str, data: bytes, tag: str) -> bool:
        """Write to a path if what is there still has this ETag; return whether that was so."""
        return self._conditional(path, data, IfMatch=tag)

    def _make_bucket(self) -> None:
        """Create the bucket, if these credentials may."""
        try:
            self._fs.mkdir(self._bucket)
        except FileExistsError:  # another process was faster
            return
        except OSError as error:
            raise MatliftError(self._missing_bucket()) from error

    def key(self, path: str) -> str:
        """Return the full name of what is at a path of the store."""
        return f"{self._root}/{path}"

    @patiently
    def get(self, path: str) -> bytes | None:
        """Return the bytes at a path, or None if there is nothing."""
        with self._explained():
            try:
                data: bytes = self._fs.cat_file(self.key(path))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                return None
            return data

    def settle(self, path: str, data: bytes) -> bool:
        """Create what is at a path unless it is there; return whether it now holds these very bytes.

        That it does although it could not be created is a dead writer's equal file, or our own first attempt whose
        answer was lost on the way.
        """
        for attempt in range(TRIES):
            if self.create(path, data):
                return True
            held = self.get(path)
            if held is not None:
                return held == data
            time.sleep(min(0.05 * attempt, 1))  # AWS: another writer is about to create it, or has just failed to
        raise MatliftError(f"{path} in the store {self.url} keeps being changed by others: run again")

    def create(self, path: str, data: bytes) -> bool:
        """Write to a path where nothing is; return whether that was so."""
        return self._conditional(path, data, mode="create")

    @patiently
    def _conditional(self, path: str, data: bytes, **condition: str) -> bool:
        """Write if a condition holds; return whether it did."""
        with self._explained():
            try:
                self._fs.pipe_file(self.key(path), data, ContentType=content_type(path), **condition)
            except FileExistsError:
                return False
            except OSError as error:
                # AWS answers 404 to If-Match where nothing is; s3fs gives SeaweedFS's 412 as EINVAL
                if _code(error) in LOST or (_code(error) == "NoSuchKey" and "IfMatch" in condition):
                    return False
                raise
        return True

    @patiently
    def replace(self, path: str, data: bytes) -> None:
        """Write to a path, whatever is there."""
        with self._explained():
            self._fs.pipe_file(self.key(path), data, ContentType=content_type(path))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the client raises into one sentence; botocore's errors are no OSErrors, s3fs's are."""
        try:
            yield
        except (BotoCoreError, OSError) as error:
            kind = NotNowError if _may_pass(error) else MatliftError
            raise kind(self._sentence(error)) from error

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
                f"the store {self.url} does not answer at {endpoint()} ({code}): see that the server runs and that "
                "AWS_ENDPOINT_URL names it, then run again; what was finished is kept"
            )
        if _failing(code) or getattr(error, "errno", None) == errno.ENOSPC:
            return (
                f"the store {self.url} could not do its work ({code}): {_disk()}; make room, then run again: "
                "what was finished is kept"
            )
        return f"the store {self.url} at {endpoint()} failed: {error} ({code})"

    def _missing_bucket(self) -> str:
        return (
            f"the bucket of the store {self.url} does not exist at {endpoint()} and could not be created: "
            "create it, or name another one in MATLIFT_STORE"
        )


def content_type(path: str) -> str:
    """Return the media type of a file by its name, so that a browser shows what it can; all our texts are UTF-8."""
    return SHOWN.get(path.rpartition(".")[2], "application/octet-stream")


def endpoint() -> str:
    """Return where the environment says that the server is."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"


def _code(error: BaseException) -> str:
    """Return the store's own name for what went wrong, which s3fs keeps in the cause of its errors."""
    code: str = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", "")
    return code


def _failing(code: str) -> bool:
    """Tell whether a store says that it is the one that fails: a full disk, or a start that is not finished."""
    return code == "InternalError" or code.startswith("5")


def _may_pass(error: Exception) -> bool:
    """Tell whether trying again can help: against a network that is cut, not against a wrong key or a full disk."""
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError  # noqa: PLC0415

    if isinstance(error, (PermissionError, FileNotFoundError, NoCredentialsError, PartialCredentialsError)):
        return False
    if isinstance(error, (BotoCoreError, ConnectionError, TimeoutError)):
        return True
    return _failing(_code(error)) and not _full()


def _full() -> bool:
    """Tell whether the disk of the embedded server is full; of other servers nobody here knows."""
    free, total = _room()
    return free < max(total / 50, 100e6)


def _disk() -> str:
    """Say how full the disk of the embedded server is; of other servers, only that it may be."""
    folder, (free, total) = settings().store_folder, _room()
    if folder is None:
        return "most often its disk is full"
    state = "is full" if _full() else "may be full"
    return f"the disk of {folder} {state} ({free / 1e9:.3g} of {total / 1e9:.3g} GB free)"


def _room() -> tuple[float, float]:
    """Return what the disk of the embedded server has free and in all, in bytes; of other servers, without limit."""
    folder = settings().store_folder
    if folder is None:
        return math.inf, math.inf
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total
