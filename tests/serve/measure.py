# ruff: noqa: T201 -- a program for the terminal
"""Asks a service as many clients do at once: `python tests/serve/measure.py BUNDLE [CLIENTS] [SECONDS]`.

BUNDLE is the folder of one. Nine requests out of ten are about one item, the others about a hundred. The clients run on
the same machine, and take their part of it.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from clients import ask, summary
from service import Service


def measure(bundle: Path, clients: int = 50, seconds: int = 60) -> None:
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        service = Service([str(bundle)], {}, Path(folder))
        try:
            service.ready()
            print(f"up after {time.perf_counter() - start:.1f} s")
            takes = service.client.get("/model").json()["takes"]
            print(summary(asyncio.run(ask(service.url, takes, clients, seconds)), seconds))
        finally:
            print(f"exit status {service.stop()}")


if __name__ == "__main__":
    measure(Path(sys.argv[1]).resolve(), *map(int, sys.argv[2:]))
