"""The reference OPTIMADE server, which we have not written, with structures that have OQMD's fields."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from deployments.server import free_port

FIELDS = {"_oqmd_delta_e": "eV/atom", "_oqmd_band_gap": "eV", "_oqmd_stability": "eV/atom"}


def structure(number: int) -> dict[str, Any]:
    """Return a structure of one atom of each of two elements; one in twenty has no formation energy."""
    drawn = random.Random(number)
    elements = sorted(drawn.sample(("Al", "B", "C", "Fe", "H", "Mg", "N", "O", "S", "Ti"), 2))
    formula = f"{elements[0]}{elements[1]}"
    return {
        "id": str(4_000_000 + number),
        "type": "structures",
        "attributes": {
            "last_modified": "2024-01-01T00:00:00Z",
            "elements": elements,
            "nelements": 2,
            "elements_ratios": [0.5, 0.5],
            "chemical_formula_descriptive": formula,
            "chemical_formula_reduced": formula,
            "chemical_formula_hill": formula,
            "chemical_formula_anonymous": "AB",
            "dimension_types": [1, 1, 1],
            "nperiodic_dimensions": 3,
            "lattice_vectors": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
            "cartesian_site_positions": [[0, 0, 0], [2, 2, 2]],
            "nsites": 2,
            "species": [
                {"name": element, "chemical_symbols": [element], "concentration": [1.0]} for element in elements
            ],
            "species_at_sites": elements,
            "structure_features": [],
            "_oqmd_delta_e": None if number % 20 == 3 else drawn.gauss(-1, 1),
            "_oqmd_band_gap": drawn.random(),
            "_oqmd_stability": drawn.random(),
        },
    }


@contextmanager
def serving(folder: Path, structures: list[dict[str, Any]], most: int) -> Iterator[str]:
    """Serve structures, at most so many a page; yields the base URL."""
    lines = [{"x-optimade": {"meta": {"api_version": "1.2.0"}}}, *structures]
    (folder / "structures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    fields = [
        {"name": name, "type": "float", "unit": unit, "description": "as OQMD gives it"}
        for name, unit in FIELDS.items()
    ]
    configuration = {
        "insert_test_data": False,
        "insert_from_jsonl": str(folder / "structures.jsonl"),
        "database_backend": "mongomock",
        "log_dir": str(folder / "logs"),
        "page_limit_max": most,
        "provider": {"name": "OQMD", "description": "a peer", "prefix": "oqmd", "homepage": "https://oqmd.org"},
        "provider_fields": {"structures": fields},
    }
    (folder / "config.json").write_text(json.dumps(configuration))
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "optimade.server.main:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    with (folder / "log").open("wb") as log:
        environment = {"OPTIMADE_CONFIG_FILE": str(folder / "config.json"), "PATH": ""}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _listens(url):
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _listens(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/structures?page_limit=1", timeout=60).is_success
    except httpx.ConnectError:
        return False
