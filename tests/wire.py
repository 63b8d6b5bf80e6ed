"""A wire between a client and a server, which can be cut: a TCP proxy on this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 1 << 16


class Wire:
    """Carries what comes to `address` to a server and back, until it is cut, and again when it is mended.

    While it is cut, connections break, and new ones are refused.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._trap: bytes | None = None
        self._whole = True
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.sprung = threading.Event()
        self._listener = self._listen(0)
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Break it."""
        with suppress(OSError):  # wakes up the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._whole = False
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut_at(self, words: bytes) -> None:
        """Break it as soon as the client says these words, which the server does not hear any more."""
        self.sprung.clear()
        self._trap = words

    def mend(self) -> None:
        """Let it carry again, at the same address."""
        self._whole = True
        self._listener = self._listen(int(self.address.rpartition(":")[2]))

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it is cut
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                with self._lock:
                    if not self._whole:  # who came while it was being cut would go on as if it were not
                        client.close()
                        server.close()
                        break
                    self._open |= {client, server}
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, asks: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := one.recv(CHUNK):
                if asks and self._trap and self._trap in data:
                    self._trap = None
                    self.cut()
                    self.sprung.set()
                    break
                other.sendall(data)
        with self._lock:
            self._open -= {one, other}
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(address: str) -> Iterator[Wire]:
    """Lend a wire to the server at an address, `http://127.0.0.1:8333` say."""
    wire = Wire(int(address.rpartition(":")[2]))
    try:
        yield wire
    finally:
        wire.cut()
