"""A Prefect server for the time of one command, which starts while the command loads what it needs."""

import atexit
import os
import subprocess
import sys
import time
from tempfile import TemporaryFile
from typing import IO

from deployments.server import free_port, healthy
from tasks.errors import MatliftError

START_SECONDS = 300  # it may have its database to make, on processors that others share

# The server that Prefect itself starts if a flow begins without one. To do that it loads all of its server into the
# flow's process, too, and begins only then, so that a run would wait for both, one after the other.
COMMAND = [
    *(sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"),
    *("--host", "127.0.0.1", "--log-level", "error", "--lifespan", "on"),
]
ENVIRONMENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


class TemporaryServer:
    """A server that ends with this process, after Prefect has told it everything."""

    def __init__(self) -> None:
        """Start it, without waiting for it."""
        port = free_port()
        self._api = f"http://127.0.0.1:{port}/api"
        self._log: IO[bytes] = TemporaryFile()  # noqa: SIM115 -- as long as the server writes to it
        self._process = subprocess.Popen(
            [*COMMAND, "--port", str(port)],
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        atexit.register(self._end)

    def wait(self) -> None:
        """Wait until it answers, and let Prefect in this process talk to it.

        Raises:
            MatliftError: it does not start.
        """
        from prefect.context import refresh_global_settings_context  # noqa: PLC0415 -- it takes seconds to load

        deadline = time.monotonic() + START_SECONDS
        while not healthy(self._api):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                said = self._log.read().decode(errors="replace").strip() or "nothing"
                raise MatliftError(f"Prefect's temporary server did not start; it said: {said.splitlines()[-1][:300]}")
            time.sleep(0.1)
        os.environ["PREFECT_API_URL"] = self._api
        refresh_global_settings_context()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
