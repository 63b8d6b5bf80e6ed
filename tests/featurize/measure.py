"""Measures featurization: `python tests/featurize/measure.py` featurizes 1,000,000 made-up molecules.

It prints rows per second and the peak memory of all processes together, and how much faster two processes are than one
on a tenth of the molecules. A number behind the command asks for so many molecules.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from tasks.featurize.matrix import featurize_rows
from tasks.handles import Features, Snapshot
from tasks.progress import Progress, listening
from tasks.recipe import Estate
from tasks.seaweed import embedded
from tasks.store import Store, connect
from tasks.tables import from_parquet, to_parquet

# Each is bonded to the one before and to the one behind it; its atoms, hydrogens included.
FRAGMENTS = {
    "C": "CHH",
    "C(C)": "CCHHHH",
    "C(F)": "CFH",
    "C(Cl)": "CLH",
    "C(O)": "COHH",
    "C(=O)": "CO",
    "C(C#N)": "CCNH",
    "C=C": "CCHH",
    "C#C": "CC",
    "O": "O",
    "N": "NH",
    "S": "S",
    "N(C)": "NCHHH",
    "C1CC(C1)": "CCCCHHHHHH",
    "C1CCC(CC1)": "CCCCCC" + 10 * "H",
    "c1ccc(cc1)": "CCCCCCHHHH",
    "c1cc(ncc1)": "CCCCCNHHH",
    "c1cc(oc1)": "CCCCOHH",
}
SHARE = 10  # of the molecules, by which one and two processes are compared: every tenth


def molecules(count: int) -> dict[str, str]:
    """Make molecules, SMILES to formula, always the same."""
    some = random.Random(0)
    names = list(FRAGMENTS)
    made: dict[str, str] = {}
    while len(made) < count:
        parts = some.choices(names, k=some.randint(4, 8))
        atoms = Counter("".join(FRAGMENTS[part] for part in parts) + "CHHHH")
        formula = "".join(f"{'Cl' if atom == 'L' else atom}{atoms[atom]}" for atom in sorted(atoms))
        made["".join(parts) + "C"] = formula
    return made


def put(store: Store, made: dict[str, str]) -> Snapshot:
    """Put a curated table of molecules into the store."""
    numbers = np.random.default_rng(0).normal(size=len(made))
    rows = pd.DataFrame(
        {
            "record": [f"made-up:{place}" for place in range(len(made))],
            "key": [f"{place:014d}" for place in range(len(made))],
            "smiles": list(made),
            "formula": list(made.values()),
            "value": numbers,
        }
    )
    report = {"of": "molecules", "elements": ["C", "Cl", "F", "H", "N", "O", "S"]}
    handle = Snapshot(str(len(made)))
    files = {"rows.parquet": to_parquet(rows, {"value": "kJ/mol"}), "report.json": json.dumps(report).encode()}
    store.write(handle, files, 0)
    return handle


def featurized(name: str, processes: str) -> None:
    """Featurize a snapshot on so many processors, in a process of its own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(processes)])
    store = connect()
    kind = Estate(kind="estate", topology=True)
    with listening(show):
        store.once(
            Features(f"{name}-{processes}"), lambda: featurize_rows(store, Snapshot(name), kind, None, extensive=True)
        )


def show(progress: Progress) -> None:
    """Print the progress at a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{progress.label}: {progress.done:,} of {progress.total:,} ")


def measured(snapshot: Snapshot, processes: int) -> float:
    """Featurize a snapshot by so many processes, print what it took, and return the seconds."""
    command = [sys.executable, __file__, snapshot.fingerprint, str(processes)]
    start = time.perf_counter()
    child = subprocess.Popen(command)
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, sum(map(memory, family(child.pid))))
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    assert child.returncode == 0
    rows = int(snapshot.fingerprint)
    sys.stdout.write(
        f"{rows:,} molecules, {processes} processes: {seconds:.0f} s, {rows / seconds:,.0f} rows/s, {peak:,.0f} MB\n"
    )
    return seconds


def family(process: int) -> Iterator[int]:
    """Yield a process, its children, theirs and so on."""
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from family(int(child))


def memory(process: int) -> float:
    """Return the memory of a process in MB, its share of what it shares with others; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def main(count: int = 1_000_000) -> None:
    """Measure all."""
    with TemporaryDirectory() as folder, embedded(Path(folder)) as server:
        os.environ["MATLIFT_STORE"] = f"{server}/all"
        store = connect()
        store.check()
        measured(put(store, molecules(count)), 2)
        rows = from_parquet(store.read(Features(f"{count}-2"), "rows.parquet"))
        assert rows["record"].tolist() == [f"made-up:{place}" for place in range(count)]
        seconds = []
        for processes in (1, 2):
            os.environ["MATLIFT_STORE"] = f"{server}/{processes}"
            few = put(connect(), molecules(count // SHARE))
            seconds.append(measured(few, processes))
        sys.stdout.write(f"two processes are {seconds[0] / seconds[1]:.2f} times as fast as one\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        featurized(*sys.argv[1:])
    else:
        main(*map(int, sys.argv[1:]))
