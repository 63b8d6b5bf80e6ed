"""A peer of OQMD's REST service: the same bodies over real HTTP, and every fault of the real one when told to.

Run as a program it serves a generated table until it is ended, and prints its address first.
"""

import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal, get_args
from urllib.parse import parse_qs, urlencode, urlsplit

Passing = Literal["502", "503", "429", "429 until", "html", "reset", "cut", "cut in two", "odd", "empty body"]
Fault = Passing | Literal["hang", "429 for a second"]
FAULTS: tuple[Fault, ...] = get_args(Passing)  # that cost little time, for mixtures

Row = dict[str, Any]


def table(number: int) -> list[Row]:
    """Return rows as OQMD gives them; some have no value."""
    drawn = random.Random(number)
    return [
        {
            "formationenergy_id": 4_000_000 + 3 * place,
            "composition": f"Al{1 + place % 7} C{1 + place // 7} H2",
            "delta_e": None if place % 50 == 7 else drawn.gauss(-1, 1),
            "stability": abs(drawn.gauss(0, 1)),
            "band_gap": None if place % 31 == 3 else max(0.0, drawn.gauss(0, 2)),
        }
        for place in range(number)
    ]


@dataclass
class Script:
    """What the peer does wrong.

    Attributes:
        faults: of which each request to a page may meet one.
        often: how probably it does, as long as the page has met fewer than `most`.
        most: faults that a page meets.
        shuffled: of ten requests so many give rows of the neighbouring pages in the place of their own.
        slow: seconds that each page takes.
        down: answers 503 to a request if it returns true of the number of pages served before.
        broken: offsets of pages that never come.
        changes: pages after which there is one row more.
        seed: of all that is drawn.
    """

    faults: tuple[Fault, ...] = ()
    often: float = 0.5
    most: int = 3
    shuffled: int = 0
    slow: float = 0
    down: Callable[[int], bool] = lambda _: False
    broken: set[int] = field(default_factory=set)
    changes: int | None = None
    seed: int = 0


class Peer:
    """The state of a peer.

    Attributes:
        rows: that it serves.
        script: what it does wrong.
        asked: how often each page was asked for, by its offset; questions for one row are not counted.
        served: how often each page was served right.
        agents: who asked.
        most_at_once: requests that were there at the same time.
        url: where it listens.
    """

    def __init__(self, rows: list[Row], script: Script) -> None:
        self.rows, self.script = rows, script
        self.asked: Counter[int] = Counter()
        self.served: Counter[int] = Counter()
        self.url = ""
        self.agents: set[str] = set()
        self.most_at_once = self._here = 0
        self._met: Counter[int] = Counter()
        self._random = random.Random(script.seed)
        self._lock = threading.Lock()

    def fault(self, offset: int, limit: int) -> Fault | None:
        """Return what goes wrong with a request, and count it."""
        with self._lock:
            if limit > 1:
                self.asked[offset] += 1
            if self.script.down(self.served.total()) or offset in self.script.broken:
                return "503"
            if (
                self._met[offset] < self.script.most
                and self._random.random() < self.script.often
                and self.script.faults
            ):
                self._met[offset] += 1
                return self._random.choice(self.script.faults)
            if limit > 1:
                self.served[offset] += 1
            return None

    @contextmanager
    def asking(self, agent: str) -> Iterator[None]:
        """Count a request as long as it is there."""
        with self._lock:
            self.agents.add(agent)
            self._here += 1
            self.most_at_once = max(self.most_at_once, self._here)
        try:
            yield
        finally:
            with self._lock:
                self._here -= 1

    def page(self, offset: int, limit: int, fields: list[str]) -> list[Row]:
        """Return the rows of a page, some of which may stand on its neighbours, or on it and on them."""
        rows = self.rows[offset : offset + limit]
        with self._lock:
            if self.script.shuffled and self._random.randrange(10) < self.script.shuffled:
                others = self.rows[offset + limit : offset + 2 * limit] + self.rows[max(0, offset - limit) : offset]
                for other in self._random.sample(others, min(3, len(others))):
                    rows[self._random.randrange(len(rows))] = other
        return [{name: row[name] for name in fields} for row in rows]

    @property
    def available(self) -> int:
        """The rows that it says it has."""
        more = self.script.changes is not None and self.served.total() > self.script.changes
        return len(self.rows) + more


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    peer: ClassVar[Peer]

    def do_GET(self) -> None:
        """Answer as OQMD does, or as it does on a bad day."""
        with self.peer.asking(self.headers["User-Agent"]):
            self._answer()

    def _answer(self) -> None:
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        if split.path == "/moved/oqmdapi/formationenergy":
            self._send(301, b"", headers={"Location": self.path.removeprefix("/moved")})
        elif split.path != "/oqmdapi/formationenergy":
            self._send(404, b"<h1>Not Found</h1>", "text/html")
        elif "entry_id" in query.get("filter", ""):
            self._send(501, b"<h1>not implemented</h1>", "text/html")
        elif "(" in query.get("filter", ""):
            self._send(400, b'{"detail": "Syntax error in the filter"}')
        else:
            limit, offset = int(query.get("limit", 50)), int(query.get("offset", 0))
            time.sleep(self.peer.script.slow if limit > 1 else 0)
            fault = self.peer.fault(offset, limit)
            body = json.dumps(self._body(query, offset, limit)).encode()
            self._fail(fault, body) if fault else self._send(200, body)

    def _body(self, query: dict[str, str], offset: int, limit: int) -> dict[str, Any]:
        """Return a page in OQMD's form."""
        peer = self.peer
        data = [] if query.get("filter") == "band_gap>99" else peer.page(offset, limit, query["fields"].split(","))
        available = 0 if query.get("filter") == "band_gap>99" else peer.available
        following = offset + limit
        return {
            "links": {
                "next": self._link(query, following) if following < available else None,
                "previous": self._link(query, max(0, offset - limit)) if offset else None,
                "base_url": {"href": "http://oqmd.org/oqmdapi", "meta": {"_oqmd_version": "1.0"}},
            },
            "resource": {},
            "data": data,
            "meta": {
                "query": {"representation": f"/formationenergy?{urlencode(query)}"},
                "api_version": "1.0",
                "time_stamp": str(datetime.now(UTC)),
                "data_returned": min(limit, available - offset),
                "data_available": available,
                "comments": "",
                "query_tree": "",
                "more_data_available": True,
            },
            "response_message": "OK",
        }

    def _link(self, query: dict[str, str], offset: int) -> str:
        return f"http://{self.headers['Host']}/oqmdapi/formationenergy?" + urlencode(
            sorted((query | {"offset": str(offset)}).items())
        )

    def _fail(self, fault: Fault, body: bytes) -> None:
        """Answer wrongly."""
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if fault == "hang":
            time.sleep(0.5)
        wrong: dict[str, tuple[int, bytes, str]] = {
            "502": (502, b"<html>Bad Gateway</html>", ""),
            "503": (503, b"<html>Service Unavailable</html>", ""),
            "429": (429, b"slow down", "0"),
            "429 until": (429, b"slow down", format_datetime(datetime.now(UTC))),
            "429 for a second": (429, b"slow down", "1"),
            "html": (200, b"<html><h1>Down for maintenance</h1></html>", ""),
            "odd": (200, b'{"detail": "try again"}', ""),
            "empty body": (200, b"", ""),
            "cut in two": (200, body[: len(body) // 2], ""),
        }
        status, body, wait = wrong.get(fault, (200, body, ""))
        self._send(status, body, headers={"Retry-After": wait} if wait else None, cut=fault == "cut")

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        *,
        cut: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 3] if cut else body)
        self.close_connection = self.close_connection or cut

    def finish(self) -> None:
        """End a connection that may have been reset."""
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def serving(rows: list[Row], script: Script | None = None) -> Iterator[Peer]:
    """Serve rows from a thread, on a port of its own."""
    peer = Peer(rows, script or Script())
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"peer": peer}))
    peer.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    with serving(table(int(sys.argv[1]))) as running:
        sys.stdout.write(f"{running.url}\n")
        sys.stdout.flush()
        threading.Event().wait()
