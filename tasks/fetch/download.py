"""Files behind HTTP: fetched to the last byte, continued where they broke off, and in no version but one."""

import email.utils
import fcntl
import hashlib
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import httpx

from tasks.errors import MatliftError
from tasks.passwords import hidden
from tasks.progress import report

log = logging.getLogger(__name__)

Result = TypeVar("Result")

INTERVAL = 0.25  # seconds between reports of the progress at least
TIMEOUT = httpx.Timeout(60, connect=30)  # seconds without a byte
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # what a server says that can do better later
NO_HEAD = frozenset({403, 405, 501})  # what one says that serves files, but does not answer HEAD


class Patience(NamedTuple):
    """How often, and how long apart, a server is asked again.

    Attributes:
        tries: attempts in a row of which none got further than those before.
        first: seconds of the first pause; each is twice as long as the one before.
        longest: seconds of the longest pause, unless the server asks for a longer one.
        greatest: seconds that a server may ask for (Retry-After).
    """

    tries: int = 8
    first: float = 1.0
    longest: float = 60.0
    greatest: float = 600.0


PATIENCE = Patience()


class Remote(NamedTuple):
    """A file on a server, as the server describes it.

    Attributes:
        url: where it is, after all redirections.
        etag: what tells its versions apart; empty if the server does not say.
        modified: when it last changed, as the server writes it; empty likewise.
        length: bytes; None likewise.
    """

    url: str
    etag: str = ""
    modified: str = ""
    length: int | None = None

    @property
    def version(self) -> str:
        """What `If-Range` takes; empty if nothing tells versions apart to the byte (RFC 9110, section 13.1.5)."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag


class _Passing(Exception):  # noqa: N818 -- no error yet: it is tried again
    """An attempt failed in a way that can pass."""

    def __init__(self, why: str, after: float = 0, *, further: bool = False) -> None:
        """Say why, how many seconds the server asks to wait, and whether the attempt got further than all before."""
        super().__init__(why)
        self.after = after
        self.further = further


def look(url: str) -> Remote:
    """Ask what a server has at an address, without fetching it.

    Raises:
        MatliftError: the server does not answer, or has nothing there.
    """

    def ask(method: str) -> Remote:
        with _request(method, url) as response:
            if method == "HEAD" and response.status_code in NO_HEAD:
                return ask("GET")  # whose body is not read
            _judge(response)
            return _describe(response)

    return _persist(lambda: ask("HEAD"), url)


def page(url: str) -> tuple[str, str]:
    """Return a web page's address, after redirections, and its text; no text if there is no such page.

    Raises:
        MatliftError: the server does not answer, or refuses.
    """

    def ask() -> tuple[str, str]:
        with _request("GET", url) as response:
            if response.status_code in {404, 410}:
                return str(response.url), ""
            _judge(response)
            response.read()
            return str(response.url), response.text

    return _persist(ask, url)


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
        ) from (error)


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
        _persist(self._attempt, self._expected.url)
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
        with _request("GET", self._expected.url, headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._restart("the server does not have the bytes that are missing")
            _judge(response)
            self._refuse_other_content(response)
            partial = response.status_code == httpx.codes.PARTIAL_CONTENT
            start, total = _span(response)
            self.got = _describe(response)._replace(length=total)
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

    def _broke_off(self, done: int, total: int | None, why: str) -> _Passing:
        """Return what to raise, and remember how far it got."""
        further = done > self._furthest
        self._furthest = max(done, self._furthest)
        return _Passing(f"it broke off after {done:,} of {total or 0:,} bytes ({why})", further=further)

    def _refuse_other_content(self, response: httpx.Response) -> None:
        """Refuse a page about an error that comes in place of the file, and content that is encoded on the way."""
        if response.headers.get("content-type", "").startswith("text/html"):
            raise _Passing("the server answers with a web page in place of the file")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise MatliftError(
                f"{hidden(self._expected.url)} comes compressed, which was not asked for: download it by hand and give "
                "its path"
            )

    def _restart(self, why: str) -> None:
        """Forget what is kept and try again from the first byte."""
        self._version.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)
        raise _Passing(why)

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


@cache
def _client() -> httpx.Client:
    """Return what sends requests; it takes a third of a second to make, and threads may share it."""
    plain = {"User-Agent": "matlift", "Accept-Encoding": "identity"}
    return httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers=plain)


@contextmanager
def _request(method: str, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
    """Send a request; its answer is closed at the end, whether it was read or not."""
    try:
        with _client().stream(method, url, headers=headers) as response:
            yield response
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise MatliftError(f"{hidden(url)} is no address that can be fetched: {error}") from error
    except httpx.HTTPError as error:
        raise _Passing(str(error) or type(error).__name__) from error


def _judge(response: httpx.Response) -> None:
    """Raise if the answer is a refusal: one that can pass, or one that stands."""
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if response.status_code in PASSING:
        raise _Passing(f"the server answers {status}", _asked_to_wait(response))
    if not response.is_success:
        raise MatliftError(f"{hidden(str(response.url))} answers {status}: check the address")


def _asked_to_wait(response: httpx.Response) -> float:
    """Return how many seconds the server asks to wait, in either form of Retry-After (RFC 9110, section 10.2.3)."""
    said = response.headers.get("retry-after", "").strip()
    if said.isdigit():
        return float(said)
    try:
        return email.utils.parsedate_to_datetime(said).timestamp() - time.time()
    except ValueError:  # none, or no date
        return 0


def _describe(response: httpx.Response) -> Remote:
    """Return what the headers say of the file."""
    length = response.headers.get("content-length", "")
    return Remote(
        str(response.url),
        response.headers.get("etag", ""),
        response.headers.get("last-modified", ""),
        int(length) if length.isdigit() else None,
    )


def _span(response: httpx.Response) -> tuple[int, int | None]:
    """Return at which byte the body begins, and how many the whole file has."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0, _describe(response).length
    first, _, total = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
    start = first.partition("-")[0]
    return int(start) if start.isdigit() else -1, int(total) if total.isdigit() else None


def _persist(attempt: Callable[[], Result], url: str) -> Result:
    """Try until it works, with pauses that grow while no attempt gets further than those before.

    Raises:
        MatliftError: it did not work.
    """
    failures = 0
    while True:
        try:
            return attempt()
        except _Passing as passing:
            failures = 1 if passing.further else failures + 1
            if failures >= PATIENCE.tries or passing.after > PATIENCE.greatest:
                raise MatliftError(
                    f"{hidden(url)} cannot be fetched: {passing}, after {failures} attempts in a row; try again later, "
                    "what has arrived is kept"
                ) from passing
            pause = min(PATIENCE.longest, PATIENCE.first * 2 ** (failures - 1)) * random.uniform(0.5, 1)  # noqa: S311
            log.info("%s: %s; trying again", hidden(url), passing)
            time.sleep(max(pause, passing.after))
