"""Measures how long measurements take from the command that lands them to the published bundle that has learnt them.

`python tests/land/measure.py` does that with the recipe qm9-webbook and the store in `.matlift/` of the working
directory, after `make run`: it brings a stack up, lands three molecules, waits for the training that this starts, and
fails if all that takes more than three minutes. The molecules are real, their values made up: do it in a copy.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import httpx

RECIPE = "qm9-webbook"
MOST = 180.0  # seconds
MATLIFT = (sys.executable, "-m", "flows.cli")
STACK = Path(".matlift", "stack.json")
# Molecules that neither table has; each time with other values, because what is known already starts nothing.
MOLECULES = ("CC(C)(C)CC(=O)OCC(F)(F)F", "CCCCCCCCC(=O)OCCCCN", "Cc1cc(C)c(C(=O)OCC#C)c(C)c1N")


@contextmanager
def stack() -> Iterator[str]:
    """Keep a stack up; yields the address of its API."""
    up = subprocess.Popen([*MATLIFT, "up", RECIPE], stdout=subprocess.PIPE, text=True)
    try:
        assert up.stdout
        said = next((line for line in up.stdout if line.startswith("Up after")), None)
        if said is None:
            sys.exit("measure: `matlift up` did not come up")
        sys.stdout.write(said)
        yield str(json.loads(STACK.read_text())["api"])
    finally:
        up.terminate()
        up.wait()


def newest(api: str) -> dict[str, Any]:
    """Return the newest training, or the empty dict if there has been none."""
    question = {
        "deployments": {"name": {"any_": [RECIPE]}},
        "flows": {"name": {"any_": ["retrain"]}},
        "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
        "sort": "START_TIME_DESC",
        "limit": 1,
    }
    found: list[dict[str, Any]] = httpx.post(f"{api}/flow_runs/filter", json=question, timeout=60).json()
    return found[0] if found else {}


def stages(api: str, run: str) -> Iterator[str]:
    """Yield the stages of a training that took over a second."""
    question = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
    for stage in httpx.post(f"{api}/task_runs/filter", json=question, timeout=60).json():
        if stage["total_run_time"] > 1:
            yield f"{stage['name']} {stage['total_run_time']:.0f} s"


def main() -> None:
    """Bring up, land, wait and print."""
    with stack() as api, NamedTemporaryFile("w", suffix=".csv") as file:
        before = newest(api).get("id")
        rows = [f"{molecule},{-300 - time.time() % 100:.3f}" for molecule in MOLECULES]
        file.write("\n".join(["smiles,value", *rows, ""]))
        file.flush()
        start = time.perf_counter()
        subprocess.run([*MATLIFT, "land", file.name, "--recipe", RECIPE], check=True)
        landed = time.perf_counter() - start
        while (run := newest(api)).get("id") == before or run["state_type"] in {"PENDING", "RUNNING"}:
            time.sleep(0.5)
        took = time.perf_counter() - start
        what = ", ".join(stages(api, run["id"]))
        sys.stdout.write(f"{run['state_name']} {took:.0f} s after the command, which took {landed:.0f} s: {what}\n")
    if run["state_type"] != "COMPLETED" or took > MOST:
        sys.exit(f"measure: that should have been done in {MOST:.0f} s")


if __name__ == "__main__":
    main()
