"""One polite question to a web service: its answer, or a sentence that says why there is none."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Literal, NamedTuple, Self, TypeVar

import httpx

from tasks.errors import MatliftError
from tasks.fetch import patience as waits

log = logging.getLogger(__name__)

CONNECTIONS = 8  # at most, to one service
TIMEOUT = httpx.Timeout(120, connect=30)  # seconds: OQMD takes more than 90 for some pages
AGENT = "matlift (materials research; reads each page once)"

ODD = 5  # times that a service may answer in a way that makes no sense: that is seldom an outage

Answer = TypeVar("Answer")


class Patience(NamedTuple):
    """When to give up on a question.

    Attributes:
        tries: to make at least.
        seconds: from the first failure on, in which trying goes on; a wait that the service asks for counts too.
        advice: what the user is told then.
    """

    tries: int
    seconds: float
    advice: str


# For the first question: a wrong address is soon told.
BRIEF = Patience(5, 60, "look at the address, or run it again later")
# For pages: OQMD has been away for 40 minutes.
LONG = Patience(5, 3600, "what was read is kept: run it again to go on there")


class RefusedError(MatliftError):
    """The service understood the question and will not answer it, however often it is asked."""


class OddError(ValueError):
    """An answer makes no sense; the text says what is odd about it."""


class _FaultError(Exception):
    """A try failed in a way that may pass.

    Attributes:
        wait: seconds for which the service asks to be left alone.
        odd: whether it answered, but what makes no sense.
    """

    def __init__(self, reason: str, *, wait: float = 0, odd: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.odd = odd


class Line:
    """Connections to one service, which threads share: when it asks one of them to wait, all wait."""

    def __init__(self) -> None:
        """Open no connection yet."""
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._client = httpx.Client(
            verify=_certificates(), timeout=TIMEOUT, limits=limits, follow_redirects=True, headers={"User-Agent": AGENT}
        )
        self._closed = threading.Event()
        self._silent_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        self._closed.set()
        self._client.close()
        return False

    def ask(
        self,
        url: str,
        read: Callable[[bytes], Answer],
        *,
        what: str,
        patience: Patience,
        say: Callable[[str], None] = log.warning,
    ) -> Answer:
        """Return what `read` makes of the body at an address, asked for until it makes sense or patience ends.

        Args:
            url: the address.
            read: raises ValueError for what makes no sense.
            what: is asked for, for messages: "the rows of OQMD from 200 on".
            patience: when to give up.
            say: is told why it waits.

        Raises:
            RefusedError: the service refuses.
            MatliftError: patience ended.
        """
        tries, odd, began = 0, 0, 0.0
        while True:
            self._wait(self._silent_until - time.monotonic())
            try:
                return self._try(url, read, what)
            except _FaultError as error:
                fault = error
            began = began or time.monotonic()
            tries += 1
            odd += fault.odd
            pause = waits.pause(tries, fault.wait)
            spent = time.monotonic() - began
            ended = tries >= patience.tries and spent + pause > patience.seconds * waits.SECOND
            if ended or odd >= ODD or fault.wait > LONG.seconds:
                effort = f"{tries} tries in {timedelta(seconds=round(spent))}"
                raise MatliftError(f"{what} cannot be had: {fault} ({effort}); {patience.advice}") from fault
            if fault.wait:
                self._silent_until = max(self._silent_until, time.monotonic() + fault.wait)
            say(f"{what}: {fault}; trying again in {pause:.0f} s")
            self._wait(pause)

    def _try(self, url: str, read: Callable[[bytes], Answer], what: str) -> Answer:
        """Ask once."""
        try:
            if httpx.URL(url).userinfo:  # httpx would log it
                raise RefusedError(f"{what} cannot be asked for with a name and password in the address: remove them")
            response = self._client.get(url)
        except httpx.InvalidURL as error:
            raise RefusedError(f"{what} cannot be asked for: {error}") from error
        except httpx.TimeoutException as error:
            raise _FaultError("the service did not answer in time") from error
        except httpx.RequestError as error:  # no connection, a reset one, half a body
            raise _FaultError(f"the connection failed: {error or type(error).__name__}") from error
        status = response.status_code
        if waits.passing(status):
            raise _FaultError(
                f"the service answered {status} {response.reason_phrase}".rstrip(),
                wait=waits.retry_after(response.headers.get("Retry-After")),
            )
        if not response.is_success:
            raise RefusedError(f"the service refuses {what}: {status} {response.reason_phrase}{_detail(response)}")
        if response.content.lstrip()[:1] not in (b"{", b"["):
            raise _FaultError("the service answered something that is not JSON")
        try:
            return read(response.content)
        except ValueError as error:
            raise _FaultError(
                f"the service answered what makes no sense: {_short(error)}", odd=_whole(error)
            ) from error

    def _wait(self, seconds: float) -> None:
        """Wait, unless nobody waits for the answer any more."""
        if self._closed.wait(max(0.0, seconds)):
            raise MatliftError("the crawl has ended")


@cache
def _certificates() -> ssl.SSLContext:
    """Return the authorities that are trusted, which take 0.1 s to load."""
    return httpx.create_ssl_context()


def _detail(response: httpx.Response) -> str:
    """Return what the service says about its refusal, if it says it in JSON, as OQMD and OPTIMADE do."""
    try:
        body = response.json()
        return ": " + str(body["detail"] if "detail" in body else body["errors"][0]["detail"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""


def _whole(error: ValueError) -> bool:
    """Tell whether an answer came whole, as JSON: half a body is the line's fault and not the service's."""
    return "json_invalid" not in str(error)


def _short(error: ValueError) -> str:
    """Return the gist of an error; pydantic's have a line for each place and one for each reason."""
    lines = str(error).splitlines()
    return ": ".join(line.strip() for line in lines[1:3]).partition(" [type=")[0] if len(lines) > 1 else str(error)
