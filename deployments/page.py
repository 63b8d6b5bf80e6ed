"""Lends the store's page to a browser: the page, and of bundles the files that it leads to, and nothing else.

A store needs credentials, which a browser does not have; to open the store itself to all who can reach it would open
more than this and, of a store elsewhere, to more than this machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

from tasks.errors import MatliftError
from tasks.handles import Bundle
from tasks.s3 import content_type
from tasks.site import PAGE
from tasks.store import Store

HERE = "127.0.0.1"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # no bundle's report can run anything here


@contextmanager
def page_of(store: Store, port: int) -> Iterator[str]:
    """Serve the page of a store on this machine alone, inside the `with` block.

    Args:
        store: which one.
        port: where, or on any other one if it is taken.

    Yields:
        The address.
    """

    class Handler(_Handler):
        lent = store

    try:
        server = ThreadingHTTPServer((HERE, port), Handler)
    except (OSError, OverflowError):  # taken, or beyond the last one
        server = ThreadingHTTPServer((HERE, 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="page", daemon=True)
    thread.start()
    try:
        yield f"http://{HERE}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers a browser.

    Attributes:
        lent: the store.
    """

    lent: Store

    def do_GET(self) -> None:
        """Answer with a file."""
        self._answer(*self._found())

    def do_HEAD(self) -> None:
        """Answer as to GET, without the file."""
        status, kind, content = self._found()
        self._answer(status, kind, content, headers_only=True)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is for the stack's own lines."""

    def _found(self) -> tuple[HTTPStatus, str, bytes]:
        """Return status, media type and content of what was asked for."""
        text = content_type("x.txt")
        if (self.headers.get("Host") or "").rpartition(":")[0] not in {HERE, "localhost"}:  # a page elsewhere that asks
            return HTTPStatus.FORBIDDEN, text, f"ask http://{HERE}\n".encode()
        path = unquote(urlsplit(self.path).path).lstrip("/") or PAGE
        if not _public(path):
            return HTTPStatus.NOT_FOUND, text, b"there is nothing here\n"
        try:
            content = self.lent.files.get(path)
        except MatliftError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, text, f"{error}\n".encode()
        if content is None:
            return HTTPStatus.NOT_FOUND, text, b"there is nothing here\n"
        return HTTPStatus.OK, content_type(path), content

    def _answer(self, status: HTTPStatus, kind: str, content: bytes, *, headers_only: bool = False) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if not headers_only:
            self.wfile.write(content)


def _public(path: str) -> bool:
    """Tell whether a path is the page, or something of a bundle."""
    parts = path.split("/")
    return path == PAGE or (parts[0] == Bundle.kind and not {"", ".", ".."} & set(parts))
