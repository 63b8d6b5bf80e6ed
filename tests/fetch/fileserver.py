"""A file server on this machine that does what real ones do: ranges, versions, redirections, and faults on demand."""

import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODIFIED = "Tue, 22 Nov 2022 12:00:00 GMT"


@dataclass
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: answered in place of the file.
        headers: sent with it.
        body: sent with it.
        stop_after: bytes of the body after which the connection ends, none of them missing from Content-Length.
        reset: whether it ends with a reset.
        replace: content that the path has from then on.
        when: the methods that it befalls.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    stop_after: int | None = None
    reset: bool = False
    replace: bytes | None = None
    when: tuple[str, ...] = ("GET",)


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    range: str | None


class Peer(ThreadingHTTPServer):
    """The server.

    Attributes:
        files: contents by path; a text starting with "->" is a redirection.
        types: content types by path.
        faults: what befalls the next requests, first one first.
        asked: the requests that came.
        ranges: whether it knows Range.
        etags: whether it sends ETag.
        weak: whether that is a weak one.
        dates: whether it sends Last-Modified.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self.ranges = self.etags = self.dates = True
        self.weak = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, method: str) -> Fault | None:
        if self.faults and method in self.faults[0].when:
            return self.faults.pop(0)
        return None

    def version(self, content: bytes) -> str:
        return f'{"W/" if self.weak else ""}"{hashlib.sha256(content).hexdigest()[:12]}"'

    def handle_error(self, *_: object) -> None:
        """Say nothing of connections that clients closed."""


class Handler(BaseHTTPRequestHandler):
    server: Peer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        peer = self.server
        peer.asked.append(Asked(self.command, self.path, self.headers["Range"]))
        fault = peer.next_fault(self.command)
        if fault and fault.replace is not None:
            peer.files[self.path] = fault.replace
        if fault and fault.status:
            self._send(fault.status, {**fault.headers, "Content-Length": str(len(fault.body))}, fault.body)
            return
        content = peer.files.get(self.path)
        if content is None:
            self._send(404, {"Content-Length": "0"}, b"")
        elif content.startswith(b"->"):
            self._send(302, {"Location": content[2:].decode(), "Content-Length": "0"}, b"")
        else:
            self._send_file(content, fault)

    def _send_file(self, content: bytes, fault: Fault | None) -> None:
        peer, start, status = self.server, 0, 200
        headers = {"Content-Type": peer.types.get(self.path, "application/octet-stream")}
        if peer.etags:
            headers["ETag"] = peer.version(content)
        if peer.dates:
            headers["Last-Modified"] = MODIFIED
        wanted, condition = self.headers["Range"], self.headers["If-Range"]
        if wanted and peer.ranges and condition in {None, headers.get("ETag"), headers.get("Last-Modified")}:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self._send(416, {"Content-Length": "0"}, b"")
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        headers["Content-Length"] = str(len(body))
        self._send(status, headers, body, fault)

    def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if fault is None or fault.stop_after is None else body[: fault.stop_after])
        if fault and fault.reset:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Peer]:
    """A peer that serves inside the `with` block."""
    peer = Peer()
    thread = threading.Thread(target=peer.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        peer.shutdown()
        peer.server_close()
        thread.join()
