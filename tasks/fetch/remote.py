"""What is behind an HTTP address: asked for with patience, and what stays wrong told in one sentence."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple, TypeVar

import httpx

from tasks.errors import MatliftError
from tasks.fetch import patience
from tasks.passwords import hidden

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TIMEOUT = httpx.Timeout(60, connect=30)  # seconds without a byte
NO_HEAD = frozenset({403, 405, 501})  # what a server says that serves files, but does not answer HEAD
TRIES = 8  # attempts in a row, at most, of which none got further than those before
GREATEST = 600.0  # seconds that a server may ask for (Retry-After)


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


class PassingError(Exception):
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
        with request(method, url) as response:
            if method == "HEAD" and response.status_code in NO_HEAD:
                return ask("GET")  # whose body is not read
            judge(response)
            return describe(response)

    return persist(lambda: ask("HEAD"), url)


def page(url: str) -> tuple[str, str]:
    """Return a web page's address, after redirections, and its text; no text if there is no such page.

    Raises:
        MatliftError: the server does not answer, or refuses.
    """

    def ask() -> tuple[str, str]:
        with request("GET", url) as response:
            if response.status_code in {404, 410}:
                return str(response.url), ""
            judge(response)
            response.read()
            return str(response.url), response.text

    return persist(ask, url)


def content(url: str) -> bytes:
    """Return what is at an address.

    Raises:
        MatliftError: the server does not answer, or has nothing there.
    """

    def ask() -> bytes:
        with request("GET", url) as response:
            judge(response)
            return response.read()

    return persist(ask, url)


@cache
def _client() -> httpx.Client:
    """Return what sends requests; it takes a third of a second to make, and threads may share it."""
    plain = {"User-Agent": "matlift", "Accept-Encoding": "identity"}
    return httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers=plain)


@contextmanager
def request(method: str, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
    """Send a request; its answer is closed at the end, whether it was read or not.

    Raises:
        PassingError: there is no answer, or it breaks off.
        MatliftError: the address cannot be fetched.
    """
    try:
        with _client().stream(method, url, headers=headers) as response:
            yield response
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise MatliftError(f"{_shown(url)} is no address that can be fetched: {error}") from error
    except httpx.HTTPError as error:
        raise PassingError(str(error) or type(error).__name__) from error


def judge(response: httpx.Response) -> None:
    """Raise if the answer is a refusal.

    Raises:
        PassingError: it can pass.
        MatliftError: it stands.
    """
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if patience.passing(response.status_code):
        raise PassingError(f"the server answers {status}", patience.retry_after(response.headers.get("Retry-After")))
    if not response.is_success:
        raise MatliftError(f"{_shown(str(response.url))} answers {status}: check the address")


def describe(response: httpx.Response) -> Remote:
    """Return what the headers say of the file."""
    length = response.headers.get("content-length", "")
    return Remote(
        str(response.url),
        response.headers.get("etag", ""),
        response.headers.get("last-modified", ""),
        int(length) if length.isdigit() else None,
    )


def persist(attempt: Callable[[], Result], url: str) -> Result:
    """Try until it works, with pauses that grow while no attempt gets further than those before.

    Raises:
        MatliftError: it did not work.
    """
    failures = 0
    while True:
        try:
            return attempt()
        except PassingError as passing:
            failures = 1 if passing.further else failures + 1
            if failures >= TRIES or passing.after > GREATEST:
                raise MatliftError(
                    f"{_shown(url)} cannot be fetched: {passing}, after {failures} attempts in a row; try again later, "
                    "what has arrived is kept"
                ) from passing
            log.info("%s: %s; trying again", _shown(url), passing)
            time.sleep(patience.pause(failures, passing.after))


def _shown(url: str) -> str:
    """Return an address as it may be shown: what is asked of it may be signed, and the signature a secret."""
    return hidden(url).partition("?")[0]
