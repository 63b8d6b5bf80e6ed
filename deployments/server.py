"""Prefect's server, as commands talk to it: which one it is, and what goes wrong with it as one sentence."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import httpx

from deployments.local import running
from tasks.errors import MatliftError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

POOL = "matlift"

# Set before Prefect is imported. The terminal shows our own lines, the dashboard those of every room.
PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks",
    "PREFECT_LOGGING_ROOT_LEVEL": "INFO",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}


def prepare() -> None:
    """Set what Prefect reads when it is imported; the server is that of the stack that is up, if none is named."""
    for name, value in PREFECT.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL") and (stack := running()):
        os.environ["PREFECT_API_URL"] = stack.api


def address() -> str | None:
    """Return the address of the API that Prefect's settings name: the environment, `.env` or a profile."""
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415 -- after `prepare`

    named: str | None = PREFECT_API_URL.value()
    return named


def healthy(api: str) -> bool:
    """Tell whether the server with this address of its API answers."""
    try:
        return _asker().get(f"{api}/health").is_success
    except httpx.TransportError:
        return False


@cache
def _asker() -> httpx.Client:
    """Return what asks again and again; it takes longer to make one than to ask."""
    return httpx.Client(timeout=5)


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def client() -> Iterator["SyncPrefectClient"]:
    """Lend a client of the server that Prefect's settings name.

    Raises:
        MatliftError: they name none, it does not answer, or it refuses the key.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 -- after `prepare`

    at = address()
    if not at:
        raise MatliftError("nothing is up here: start it with `matlift up`, or set PREFECT_API_URL to a server's")
    try:
        with get_client(sync_client=True) as lent:
            yield lent
    except httpx.HTTPStatusError as error:
        raise MatliftError(_refusal(at, error.response)) from error
    except httpx.HTTPError as error:
        raise MatliftError(
            f"Prefect's server does not answer at {at} ({type(error).__name__}): start it with `matlift up`, or set "
            "PREFECT_API_URL to one that runs"
        ) from error


def _refusal(at: str, response: httpx.Response) -> str:
    """Say what a server's answer means."""
    if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return (
            f"Prefect's server at {at} refuses the credentials ({response.status_code}): set PREFECT_API_KEY (Cloud) "
            "or PREFECT_API_AUTH_STRING (a server of your own) to those of a user who may use it"
        )
    return f"Prefect's server at {at} answers {response.status_code} to {response.request.url.path}: see its log"
