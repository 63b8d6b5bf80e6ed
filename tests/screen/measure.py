"""Measures screening: how many compositions a second are gathered and scored, and the most memory that it takes.

`python tests/screen/measure.py BUNDLE N`, BUNDLE being the folder of a published model of compositions, writes N
formulas as Parquet, in a process that is gone when memory is measured, screens them in a store of its own, and screens
them again in another order, from the scores that are there then.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.screen import By, OfTable, find_model, gather, screen_candidates, screened
from tasks.screen.compositions import batches
from tasks.seaweed import embedded
from tasks.store import connect

ELEMENTS = ("Li", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Fe", "Zn", "Sn", "O")
ATOMS = 26
GROUP = 2**20  # rows


def formulas(count: int) -> Iterator[str]:
    """Return so many of the compositions of some elements."""
    return islice(chain.from_iterable(batches(ELEMENTS, ATOMS)), count)


class Memory(threading.Thread):
    """Looks twice a second how much memory this process and those that it has started take, but for the store's."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0  # MiB

    def run(self) -> None:
        while True:
            self.most = max(self.most, sum(map(proportional, [os.getpid(), *descendants()])))
            time.sleep(0.5)


def descendants() -> list[int]:
    """Return the processes that this one has started, and those that these have, but for the store's server."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            if name != "weed":
                parents[int(path.parent.name)] = int(rest.split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return list(found - {os.getpid()})


def proportional(pid: int) -> float:
    """Return the memory of a process in MiB; what several share is counted once in all."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0


def screening(bundle: str, table: str, by: By) -> tuple[int, float, float]:
    """Screen a table; return how many candidates it has, and the seconds to gather and to score them."""
    times = [time.perf_counter()]
    model = find_model(bundle)
    candidates = gather.fn(OfTable(table=table), model.takes)
    times.append(time.perf_counter())
    _, about = screened(screen_candidates.fn(model, candidates, 1000, by))
    times.append(time.perf_counter())
    return about["candidates"], times[1] - times[0], times[2] - times[1]


def write(table: str, count: int) -> None:
    """Write so many formulas, in groups of rows as such files have them."""
    written = formulas(count)
    with pq.ParquetWriter(table, pa.schema([("formula", pa.string())])) as writer:
        while some := list(islice(written, GROUP)):
            writer.write_table(pa.table({"formula": pa.array(some, pa.string())}))


def main(bundle: str, count: int) -> None:
    """Write, screen and print."""
    with TemporaryDirectory() as folder, embedded(Path(folder)) as url:
        os.environ["MATLIFT_STORE"] = url
        connect().check()
        table = f"{folder}/formulas.parquet"
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            other.submit(write, table, count).result()
        memory = Memory()
        memory.start()
        orders: tuple[By, ...] = ("lowest", "surest")
        for by in orders:
            rows, gathering, scoring = screening(bundle, table, by)
            sys.stdout.write(
                f"{rows:,} candidates, {by}: gathered in {gathering:.0f} s, scored in {scoring:.0f} s "
                f"({rows / scoring:,.0f}/s); at most {memory.most:,.0f} MiB in all processes\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
