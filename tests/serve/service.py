"""`matlift serve` as a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 120


class Service:
    """A service that runs.

    Attributes:
        url: where it answers.
        client: asks it.
        log: what it says.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.log = folder / "log"
        order = [sys.executable, "-m", "flows.cli", "serve", *arguments, "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(order, cwd=folder, env=os.environ | environment, stdout=log, stderr=log)
        found = self.until(lambda: re.search(r"http://[\d.:]+", self.log.read_text()))
        self.url = found.group()
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def until(self, found: Callable[[], Any]) -> Any:
        """Wait until something is the case, and return it."""
        deadline = time.monotonic() + PATIENCE
        while not (what := found()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return what

    def predict(self, items: Sequence[Any], **more: Any) -> httpx.Response:
        return self.client.post("/predict", json={"items": items}, **more)

    def ready(self) -> dict[str, Any]:
        said: dict[str, Any] = self.client.get("/health/ready").raise_for_status().json()
        return said

    def measure(self, name: str) -> float:
        """Return a measure, by its name with its labels."""
        lines = dict(line.rsplit(" ", 1) for line in self.client.get("/metrics").text.splitlines() if line[:1] != "#")
        return float(lines[name])

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
