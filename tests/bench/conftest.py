"""The contest: ours and a peer take turns at the same work, and their rates become a line of benchmarks.json.

pytest-benchmark measures. Its own table has one line per function measured alone, one after the other, in which a load
that comes and goes falls on one of the two; here every round measures both, so that it falls on both.
"""

import os
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from platform import python_version
from statistics import median
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from tasks.parallel import cores

LIBRARIES = ("numpy", "pandas", "rdkit", "mordredcommunity", "pymatgen-core")
MATMINER = Path(__file__).parents[2] / ".venv" / "matminer"  # an environment of its own: it refuses pandas 3


@dataclass(frozen=True)
class Line:
    """A line of benchmarks.json: the rates of both, and ours in units of the peer's."""

    name: str
    ours: float
    peer: float
    ratio: float
    unit: str


@dataclass(frozen=True)
class Results:
    """What the session has measured, and what is to be said about it."""

    lines: list[Line] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


RESULTS = pytest.StashKey[Results]()


@dataclass(frozen=True)
class Contest:
    """Measures ours and a peer in turns."""

    benchmark: BenchmarkFixture
    results: Results

    def __call__(
        self,
        name: str,
        *,
        ours: Callable[[Sequence[str]], Any],
        peer: Callable[[Sequence[str]], Any],
        batches: Sequence[Sequence[str]],
        check: Callable[[Sequence[str], Any, Any], str],
        unit: str,
    ) -> None:
        """Measure both on each batch but the first, which warms up, and record the medians of their rates.

        Args:
            name: of the line in benchmarks.json.
            ours: takes a batch.
            peer: takes a batch.
            batches: what to work on: one for each round, and another to warm up.
            check: takes a batch and what both made of it; fails if ours is wrong, and returns what is to be said.
            unit: of the rates, items of a batch per second.
        """
        sides = {"ours": ours, "peer": peer}
        warm_up, *rounds = batches
        answers = {(side, -1): work(warm_up) for side, work in sides.items()}
        orders = (("ours", "peer"), ("peer", "ours"))  # who comes second finds warmer caches
        turns = [(side, number) for number in range(len(rounds)) for side in orders[number % 2]]

        def turn(side: str, number: int) -> None:
            answers[side, number] = sides[side](rounds[number])

        coming = iter(turns)
        self.benchmark.pedantic(turn, setup=lambda: (next(coming), {}), rounds=len(turns))
        seconds = dict(zip(turns, self.benchmark.stats.stats.data, strict=True))
        for number in range(-1, len(rounds)):
            remark = check(batches[number + 1], answers["ours", number], answers["peer", number])
        rates = {side: median(_rates(side, rounds, seconds)) for side in sides}
        ratio = rates["ours"] / rates["peer"]
        self.results.lines.append(Line(name, round(rates["ours"], 1), round(rates["peer"], 1), round(ratio, 2), unit))
        self.results.remarks.append(f"{name}: {remark}.")


def _rates(side: str, rounds: Sequence[Sized], seconds: dict[tuple[str, int], float]) -> list[float]:
    return [len(batch) / seconds[side, number] for number, batch in enumerate(rounds)]


@pytest.fixture
def contest(benchmark: BenchmarkFixture, pytestconfig: pytest.Config) -> Contest:
    """Measures ours and a peer in turns."""
    return Contest(benchmark, pytestconfig.stash[RESULTS])


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """One core and one thread, for what is started meanwhile too."""
    with _on_cores(1), threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def two_cores() -> Iterator[None]:
    """Two cores, and one thread in each process."""
    if cores() < 2:
        pytest.skip("needs two cores")
    with _on_cores(2), threadpool_limits(1):
        yield


@contextmanager
def _on_cores(number: int) -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):  # not on macOS
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-number:])
    yield
    os.sched_setaffinity(0, allowed)


def pytest_configure(config: pytest.Config) -> None:
    """Begin without results."""
    config.stash[RESULTS] = Results()


def pytest_benchmark_generate_json(config: pytest.Config, machine_info: dict[str, Any]) -> dict[str, Any]:
    """Return what `--benchmark-json` writes; pytest-benchmark's own document has single functions, not ratios."""
    return {
        "machine": _machine(machine_info),
        "date": datetime.now(UTC).date().isoformat(),
        "results": [asdict(line) for line in config.stash[RESULTS].lines],
    }


def pytest_terminal_summary(config: pytest.Config) -> None:
    """Print the results as a table, then as one for README.md."""
    results = config.stash[RESULTS]
    columns = ("benchmark", "unit", "ours", "peer", "ratio")
    rows = [
        (line.name, line.unit, f"{line.ours:,.0f}", f"{line.peer:,.0f}", f"{line.ratio:.2f}") for line in results.lines
    ]
    table = Table(*columns, title="Ours and peers in turns, medians")
    for row in rows:
        table.add_row(*row)
    markdown = [f"| {' | '.join(columns)} |", "|---|---|---:|---:|---:|", *(f"| {' | '.join(row)} |" for row in rows)]
    console = Console(soft_wrap=True)
    console.print(table)
    console.print("\n".join([*results.remarks, "", *markdown]), markup=False, highlight=False)


def _machine(info: dict[str, Any]) -> str:
    """Return one line that names the processor, the cores, the memory and the versions."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    folders = map(str, MATMINER.glob("lib/python*/site-packages"))
    peers = chain.from_iterable(metadata.distributions(name=name, path=list(folders)) for name in ["matminer"])
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES] + [f"matminer {one.version}" for one in peers]
    processor = info["cpu"].get("brand_raw", info["machine"])
    return f"{processor}, {os.cpu_count()} cores, {gibibytes:.0f} GiB, Python {python_version()}, {', '.join(versions)}"
