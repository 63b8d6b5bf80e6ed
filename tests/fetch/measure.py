"""Measures crawls: `python tests/fetch/measure.py` reads 350,000 rows of OQMD and 12,000 structures of OPTIMADE.

It prints rows per second and the peak memory of each, and fails if a row is missing or wrong.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import optimade_server
import peer

from tasks.fetch import optimade, oqmd
from tasks.fetch.records import Records
from tasks.recipe import Optimade, Oqmd

ROWS, STRUCTURES = 350_000, 12_000


def measured(name: str, read: Callable[[], Records], expected: dict[str, float | None]) -> None:
    """Read a table, compare it with the one that was served, and print what it took."""
    start = time.perf_counter()
    rows = read().rows
    seconds = time.perf_counter() - start
    found = {record.rpartition(":")[2]: value for record, value in zip(rows["record"], rows["value"], strict=True)}
    assert found.keys() == expected.keys()
    assert all(found[row] == value or (value is None and found[row] != found[row]) for row, value in expected.items())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    sys.stdout.write(
        f"{name}: {len(rows):,} rows, {seconds:.0f} s, {len(rows) / seconds:,.0f} rows/s, {memory:.0f} MiB\n"
    )


def main() -> None:
    """Measure both."""
    with TemporaryDirectory() as folder:
        os.environ["MATLIFT_CACHE"] = folder
        server = subprocess.Popen([sys.executable, peer.__file__, str(ROWS)], stdout=subprocess.PIPE, text=True)
        assert server.stdout
        try:
            data = Oqmd(database="oqmd", at=server.stdout.readline().strip(), quantity="formation energy")
            identity = oqmd.identity(data)
            served = {str(row["formationenergy_id"]): row["delta_e"] for row in peer.table(ROWS)}
            measured("OQMD's peer, 100 rows a page", lambda: oqmd.read(data, identity), served)
        finally:
            server.terminate()
            server.wait()
        structures = [optimade_server.structure(number) for number in range(STRUCTURES)]
        with optimade_server.serving(Path(folder), structures, 500) as url:
            asked = Optimade(database="optimade", at=url, key="_oqmd_delta_e", unit="eV/atom")
            version = optimade.identity(asked)
            wanted = {one["id"]: one["attributes"]["_oqmd_delta_e"] for one in structures}
            measured("the optimade server, 500 a page", lambda: optimade.read(asked, version), wanted)


if __name__ == "__main__":
    main()
