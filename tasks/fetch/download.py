"""Files behind HTTP: fetched to the last byte, continued where they broke off, and in no version but one."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tasks.errors import MatliftError
from tasks.fetch.remote import PassingError, Remote, describe, judge, persist, request
from tasks.passwords import hidden
from tasks.progress import report

INTERVAL = 0.25  # seconds between reports of the progress at least


def download(remote: Remote, to: Path) -> Remote:
    """Fetch a file, unless it is there already; what a fetch that breaks off has got is continued by the next one.

    The file appears under its name when it is complete, with its SHA-256 beside it (`sha256_beside`). Until then it
    grows as `.part`, with the version that it is part of beside it: a part of another version is never continued.

    Args:
        remote: what `look` found.
        to: where to put it; its folder is made.

    Returns:
        What the server said of the file that is now there: another version than `remote` if it changed meanwhile.

    Raises:
        MatliftError: the server does not answer or has no such file, or it cannot be written.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with _alone(to):
            if to.is_file() and sha256_beside(to):
                return remote
            return _Download(remote, to).run()
    except OSError as error:
        raise MatliftError(
            f"{to} cannot be written ({error}): make room, or set MATLIFT_CACHE to another folder"
        ) from error


def sha256_beside(path: Path) -> str:
    """Return the SHA-256 that a download had when it was complete; empty if there is none."""
    beside = _beside(path, "sha256")
    return beside.read_text(encoding="ascii") if beside.is_file() else ""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, about 1 GB/s."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def discard(path: Path) -> None:
    """Remove a download that turned out to be unusable, with its SHA-256."""
    path.unlink(missing_ok=True)
    _beside(path, "sha256").unlink(missing_ok=True)


class _Download:
    """One file on its way.

    Attributes:
        got: what the server says of the version that is being fetched.
    """

    def __init__(self, remote: Remote, to: Path) -> None:
        self.got = remote
        self._expected = remote
        self._to = to
        self._part = _beside(to, "part")
        self._version = _beside(to, "part.version")
        self._furthest = self._size()

    def run(self) -> Remote:
        """Fetch the file and give it its name."""
        persist(self._attempt, self._expected.url)
        with self._part.open("rb+") as file:
            os.fsync(file.fileno())
        _beside(self._to, "sha256").write_text(sha256(self._part), encoding="ascii")
        self._part.replace(self._to)
        self._version.unlink(missing_ok=True)
        return self.got

    def _attempt(self) -> None:
        """Fetch what is missing."""
        kept = self._size() if self._version.is_file() else 0
        version = self._version.read_text(encoding="utf-8") if kept else ""
        headers = {"Range": f"bytes={kept}-", "If-Range": version} if kept else {}
        with request("GET", self._expected.url, headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._restart("the server does not have the bytes that are missing")
            judge(response)
            self._refuse_other_content(response)
            partial = response.status_code == httpx.codes.PARTIAL_CONTENT
            start, total = _span(response)
            self.got = describe(response)._replace(length=total)
            if partial and (start != kept or (self.got.version and self.got.version != version)):
                self._restart("the server continues another version of the file")
            if not partial:
                self._version.unlink(missing_ok=True)  # before the part loses what that version was of
            self._write(response, kept if partial else 0, total)

    def _write(self, response: httpx.Response, kept: int, total: int | None) -> None:
        """Append the body to what is kept, and make sure that it was all of it."""
        with self._part.open("ab" if kept else "wb") as file:
            if self.got.version:
                self._version.write_text(self.got.version, encoding="utf-8")
            done, said = kept, 0.0
            try:
                for piece in response.iter_raw():
                    file.write(piece)
                    done += len(piece)
                    if time.monotonic() - said > INTERVAL:
                        said = time.monotonic()
                        report(f"download {self._to.name}", done, total or done, f"{done / 1e6:.1f} MB")
            except httpx.HTTPError as error:
                raise self._broke_off(done, total, str(error) or type(error).__name__) from error
        if total is not None and done != total:
            raise self._broke_off(done, total, "the server closed the connection")
        report(f"download {self._to.name}", done, done, f"{done / 1e6:.1f} MB")

    def _broke_off(self, done: int, total: int | None, why: str) -> PassingError:
        """Return what to raise, and remember how far it got."""
        further = done > self._furthest
        self._furthest = max(done, self._furthest)
        return PassingError(f"it broke off after {done:,} of {total or 0:,} bytes ({why})", further=further)

    def _refuse_other_content(self, response: httpx.Response) -> None:
        """Refuse a page about an error that comes in place of the file, and content that is encoded on the way."""
        if response.headers.get("content-type", "").startswith("text/html"):
            raise PassingError("the server answers with a web page in place of the file")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise MatliftError(
                f"{hidden(self._expected.url)} comes compressed, which was not asked for: download it by hand and give "
                "its path"
            )

    def _restart(self, why: str) -> None:
        """Forget what is kept and try again from the first byte."""
        self._version.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)
        raise PassingError(why)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Let one process at a time fetch a file; the others wait, and find it there."""
    with _beside(to, "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _span(response: httpx.Response) -> tuple[int, int | None]:
    """Return at which byte the body begins, and how many the whole file has."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0, describe(response).length
    first, _, total = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
    start = first.partition("-")[0]
    return int(start) if start.isdigit() else -1, int(total) if total.isdigit() else None
