"""The local stack of a folder, as other commands find it: what `matlift up` writes down for as long as it runs."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tasks.errors import MatliftError
from tasks.settings import settings


@dataclass(frozen=True)
class Stack:
    """Where the parts of a stack are.

    Attributes:
        api: address of the API of Prefect's server.
        dashboard: address of its dashboard.
        page: address of the store's page.
        store: URL of the store, `s3://bucket/prefix`.
        endpoint: address of the store's server, or AWS.
        credentials: the file with key and secret of the embedded store; None if they are the user's own.
        process: the id of the `matlift up` that keeps it up.
        place: the working directory of its runs.
    """

    api: str
    dashboard: str
    page: str
    store: str
    endpoint: str
    credentials: str | None
    process: int
    place: str


def running() -> Stack | None:
    """Return the stack that is up in the folder that the settings name, `.matlift` in the working directory say."""
    folder = settings().folder
    try:
        with (folder / "stack.lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # `matlift up` holds it for as long as it lives
                return Stack(**json.loads((folder / "stack.json").read_text()))
    except FileNotFoundError:  # there never was one, or it is starting or stopping
        pass
    return None


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Make sure that this process alone keeps the stack of a folder up, inside the `with` block.

    Raises:
        MatliftError: another one does, or the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "stack.lock").open("ab")
    except OSError as error:
        raise MatliftError(f"the stack cannot be kept in {folder}: {error.strerror}") from error
    with lock:
        if not _taken(lock):
            raise MatliftError(f"the stack in {folder} is up already: `matlift status` says where")
        record = folder / "stack.json"
        record.unlink(missing_ok=True)  # of one that was killed
        try:
            yield
        finally:
            record.unlink(missing_ok=True)


def _taken(lock: IO[bytes]) -> bool:
    """Take a lock, unless another process keeps it; those that look whether it is free hold it for a moment."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def announce(stack: Stack, folder: Path) -> None:
    """Write down where the stack is, for the owner's eyes only."""
    draft = folder / "stack.json.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(stack), file, indent=2)
    draft.replace(folder / "stack.json")
