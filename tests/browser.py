"""A headless Chromium that opens pages, reads them, and takes pictures; spoken to by its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

PATIENCE = 120  # seconds for what takes five on quiet processors
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",  # which does not work for root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Page:
    """An open page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what Chromium answers to a command, see https://chromedevtools.github.io/devtools-protocol."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(timeout=PATIENCE))).get("id") != number:
            pass  # it tells of events, too
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def value(self, script: str) -> Any:
        """Return the value of a piece of JavaScript."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def remember(self, **items: str) -> None:
        """Put items into the local storage of every page that will be opened."""
        script = "".join(f"localStorage.setItem({json.dumps(k)}, {json.dumps(v)});" for k, v in items.items())
        self.call("Page.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def text(self) -> str:
        """Return the text that can be read on the page."""
        return " ".join(str(self.value("document.body ? document.body.innerText : ''")).split())

    def until(self, *words: str) -> str:
        """Wait until all of these can be read on the page; return its text."""
        deadline = time.monotonic() + PATIENCE
        while not all(word in (text := self.text()) for word in words):
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
        return text

    def size(self, width: int, height: int) -> None:
        """Be so large, in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path: Path, width: int, height: int) -> None:
        """Write a PNG of the page's upper left part, in pixels."""
        self.size(width, height)
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """Lend an empty page of a browser that knows nobody; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("Chromium is not installed here")
    profile = Path(mkdtemp())
    command = [program, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_address(profile, process), max_size=None, proxy=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)  # its children end a moment later


def _address(profile: Path, process: "subprocess.Popen[bytes]") -> str:
    """Return where the page takes commands."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.returncode
        with suppress(FileNotFoundError, IndexError, httpx.TransportError, StopIteration):
            port = (profile / "DevToolsActivePort").read_text().split()[0]
            pages = httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json()
            return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))
        time.sleep(0.1)
    raise AssertionError("Chromium does not answer")
