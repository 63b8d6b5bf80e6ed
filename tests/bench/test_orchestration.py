"""A run through Prefect beside the same stages called directly: what orchestration costs, from start to end."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import tiny
from conftest import Contest, Line

ROUNDS = 3
SHARE, SECONDS = 0.10, 15.0  # that it may cost

# The page of the flow, with the functions of the tasks in the place of the tasks.
DIRECTLY = """
import os, sys
from pathlib import Path
from flows import retrain as page
from tasks.seaweed import embedded
from tasks.site import rebuild
from tasks.store import connect
for name, stage in list(vars(page).items()):
    if hasattr(stage, "fn") and stage is not page.retrain:
        setattr(page, name, stage.fn)
page.update_page = lambda: rebuild(connect())
with embedded(Path(".matlift")) as url:
    os.environ["MATLIFT_STORE"] = url
    print(page.retrain.fn(sys.argv[1]))
"""
COMMANDS = {"ours": ["-m", "flows.cli", "run"], "peer": ["-c", DIRECTLY]}


def seconds(command: Sequence[str], folder: Path, home: Path) -> float:
    """Return how long a run takes in a place where nothing is yet, with a store of its own, and with Prefect's home."""
    tiny.write(folder)
    foreign = ("AWS_", "MATLIFT_", "PREFECT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment["PREFECT_HOME"] = str(home)
    start = time.perf_counter()
    order = [sys.executable, *command, str(folder / "tiny.yaml")]
    done = subprocess.run(order, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert "bundles/tiny/" in done.stdout
    shutil.rmtree(folder)
    return took


def test_what_prefect_costs(contest: Contest, tmp_path: Path) -> None:
    """Prefect's temporary server starts for each run, with the database that it makes once for all."""
    found: dict[str, list[float]] = {side: [] for side in COMMANDS}
    home = tmp_path / "prefect"
    first = seconds(COMMANDS["ours"], tmp_path / "first", home)

    def turn(side: str, number: int) -> None:
        found[side].append(seconds(COMMANDS[side], tmp_path / f"{side}{number}", home))

    turns = iter([(side, number) for number in range(ROUNDS) for side in sorted(COMMANDS, reverse=bool(number % 2))])
    contest.benchmark.pedantic(turn, setup=lambda: (next(turns), {}), rounds=ROUNDS * len(COMMANDS))
    ours, peer = (median(found[side]) for side in ("ours", "peer"))
    contest.results.lines.append(Line("retrain-by-prefect-vs-directly", ours, peer, round(ours / peer, 2), "s"))
    contest.results.remarks.append(
        f"retrain-by-prefect-vs-directly: seconds, of which fewer are better; Prefect costs {ours - peer:.1f} s. "
        f"The first run, in which Prefect makes its database, took {first:.0f} s."
    )
    assert ours <= (1 + SHARE) * peer + SECONDS
