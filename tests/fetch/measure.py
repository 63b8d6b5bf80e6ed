"""Measures fetching: 350,000 rows of OQMD, 12,000 structures of OPTIMADE and, if its path is given, CMR's dssc.db.

`python tests/fetch/measure.py [dssc.db]` prints rows per second and the peak memory of each, and fails if a row is
missing or wrong, or if a damaged dssc.db is not refused. tools/make_cmr_standin.py of the shared folder makes one.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import ase.db
import fileserver
import optimade_server
import peer

from tasks.errors import MatliftError
from tasks.fetch import cmr, download, optimade, oqmd
from tasks.fetch.records import Records
from tasks.recipe import Cmr, Optimade, Oqmd

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


def measured_file(path: Path) -> None:
    """Fetch a dssc.db from a peer that knows ranges over a line that breaks, read it, and offer damaged ones."""
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytearray(content)
    flipped[middle] ^= 255  # inside of a position: only the SHA-256 shows it
    damaged = {
        "truncated": content[:middle],
        "a web page": b"<html>Moved</html>",
        "empty": b"",
        "foreign": b"SQLite format 3\0" + bytes(4096),
        "with a flipped byte": bytes(flipped),
    }
    with ase.db.connect(path) as database:
        expected = {str(row.id): row.get("E_gap") for row in database.select()}
    with fileserver.serving() as server:
        server.files = {"/dssc.db": content}
        asked = Cmr(
            database="cmr",
            file="dssc",
            at=f"{server.url}/dssc.db",
            key="E_gap",
            unit="eV",
            sha256=download.sha256(path),
        )
        server.faults = [fileserver.Fault(stop_after=middle), fileserver.Fault(503)]
        version = cmr.identity(asked)
        measured("dssc.db, fetched and read", lambda: cmr.read(asked, version), expected)
        measured("dssc.db, read", lambda: cmr.read(asked, version), expected)
        for damage, bad in damaged.items():
            server.files["/dssc.db"] = bad
            try:
                cmr.read(asked, cmr.identity(asked))
            except MatliftError as error:
                sys.stdout.write(f"dssc.db, {damage}: {error}\n")
            else:
                raise AssertionError(f"dssc.db, {damage}: not refused")


def main() -> None:
    """Measure all."""
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
        if sys.argv[1:]:
            measured_file(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
