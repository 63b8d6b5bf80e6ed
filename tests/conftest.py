"""Fixtures that several test modules share."""

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import cores
import pandas as pd
import pytest

from deployments.server import free_port, healthy
from tasks.seaweed import embedded
from tasks.store import Store

collect_ignore = ["bench"]  # measured by `make bench`
LONG = {"test_pipeline.py", "test_up.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes; the fast ones run beside them."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an embedded object store, whose address and credentials are in the environment."""
    with embedded(tmp_path_factory.mktemp("matlift")) as url:
        yield url


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the API of a Prefect server that runs apart from what is tested."""
    home = tmp_path_factory.mktemp("prefect-server")
    port = free_port()
    quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_HOME": str(home)}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | quiet,
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}/api"
        deadline = time.monotonic() + 300
        while not healthy(address):
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def prefect_server(prefect_api: str) -> Iterator[str]:
    """The address of a Prefect server, to which flows in this process report."""
    from prefect.settings import (  # noqa: PLC0415 -- it takes seconds to load
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    with temporary_settings({PREFECT_API_URL: prefect_api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield prefect_api


@pytest.fixture(scope="module")  # its processes are never quite idle
def scheduler() -> Iterator[str]:
    """The address of a Dask cluster of two processes on this machine."""
    import dask  # noqa: PLC0415 -- it takes a second to load
    from distributed import LocalCluster  # noqa: PLC0415

    settings = {"distributed.scheduler.allowed-failures": 0}  # a chunk that kills its worker is not tried again
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture
def one_core() -> Iterator[None]:
    """Work stays in this process: others take seconds to start, and tests/test_parallel.py is about them."""
    with cores.one_core():
        yield


@pytest.fixture
def store(store_server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store of the test's own, the one that `tasks.store.connect` returns."""
    return _empty(store_server, monkeypatch)


@pytest.fixture(scope="module")
def shared_store(store_server: str) -> Iterator[Store]:
    """The same for all tests of a module, where it takes long to fill."""
    with pytest.MonkeyPatch.context() as patch:
        yield _empty(store_server, patch)


def _empty(server: str, patch: pytest.MonkeyPatch) -> Store:
    url = f"{server}/{uuid.uuid4().hex}"
    patch.setenv("MATLIFT_STORE", url)
    store = Store(url)
    store.check()
    return store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MiB."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    order = [str(mount), "-t", "tmpfs", "-o", "size=32m", "matlift-test", str(tmp_path)]
    if not mount or not umount or subprocess.run(order, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: that needs root on Linux")
    yield tmp_path
    subprocess.run([umount, str(tmp_path)], check=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public tables that are too large to live here; the tests that need it are skipped without it."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("MATLIFT_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set MATLIFT_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def dye_sample(shared_data: Path) -> pd.DataFrame:
    """The records of the sample of porphyrin dyes, with their labels as columns."""
    from tasks.fetch import cmr  # noqa: PLC0415 -- Prefect, behind that door, takes seconds to load
    from tasks.recipe import Cmr  # noqa: PLC0415

    at = str(shared_data / "cmr" / "dssc-sample.db")
    data = Cmr(database="cmr", file="dssc", at=at, key="E_gap", unit="eV")
    rows = cmr.read(data, cmr.identity(data)).rows
    return rows.join(pd.DataFrame(map(json.loads, rows["labels"])))
