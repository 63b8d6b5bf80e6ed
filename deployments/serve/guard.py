"""Who may ask, how much, and for how long: refused before anything of a request is read that costs something."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pydantic import SecretStr
from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What tells nothing that is not public, and must answer those who watch the service.
OPEN = {"/health/live", "/health/ready", "/docs", "/openapi.json"}
PATIENCE = 16  # times as much as is allowed is thrown away; who sends more finds the door shut, perhaps without a word


class Guard:
    """Asks for the token, and hands a request on when all of its body is there."""

    def __init__(self, app: App, token: SecretStr | None, most: int, seconds: float) -> None:
        """Remember the limits.

        Args:
            app: gets what passes.
            token: that a request must carry, if any.
            most: bytes of a body.
            seconds: in which all of it must have come.
        """
        self._app = app
        self._token = token.get_secret_value().encode() if token else None
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._may(scope):
            answer = refusal(401, "this service asks for a token: Authorization: Bearer TOKEN")
            answer.headers["WWW-Authenticate"] = "Bearer"
            await answer(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._body(receive)
        except TimeoutError:
            await refusal(408, f"the request has not come within {self._seconds:g} s")(scope, receive, send)
            return
        if body is None:
            await refusal(413, f"a request has at most {self._most:,} bytes: send it in parts")(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)

    def _may(self, scope: Scope) -> bool:
        """Tell whether a request carries the token, in a time that does not tell how much of it is right."""
        if self._token is None or scope["path"] in OPEN:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"

    async def _body(self, receive: Receive) -> bytes | None:
        """Return the body, or None if it is too large or breaks off."""
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= PATIENCE * self._most:  # who still sends does not listen
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size <= self._most:
                parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts) if size <= self._most else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what receives a body that has been received, and then what comes after it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await receive()

    return again


def refusal(status: int, sentence: str) -> JSONResponse:
    """Return an answer that says in one sentence why there is none."""
    return JSONResponse({"detail": sentence}, status)
