"""Fixtures for the command line at work: places to run it, and a Prefect server that runs apart from it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from places import PATIENCE, Place, cheap_recipe


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Place]:
    """Makes an empty place; all share Prefect's home, and nothing of the user's own settings reaches them."""
    foreign = ("AWS_", "MATLIFT_", "PREFECT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))

    def make(name: str) -> Place:
        made = Place(tmp_path_factory.mktemp(name), environment)
        made.write(cheap_recipe())
        return made

    return make


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the API of a Prefect server that runs apart from the command line."""
    home = tmp_path_factory.mktemp("prefect-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_HOME": str(home)}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | quiet,
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}/api"
        deadline = time.monotonic() + PATIENCE
        while not _healthy(address):
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


def _healthy(address: str) -> bool:
    """Tell whether a Prefect server answers."""
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.TransportError:
        return False
