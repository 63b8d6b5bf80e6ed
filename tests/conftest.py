"""Fixtures that several test modules share."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.seaweed import embedded
from tasks.store import Store


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest file, which takes as long as all others; the fast ones run beside it."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an embedded object store, whose address and credentials are in the environment."""
    with embedded(tmp_path_factory.mktemp("matlift")) as url:
        yield url


@pytest.fixture
def store(store_server: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store of the test's own, the one that `tasks.store.connect` returns."""
    url = f"{store_server}/{uuid.uuid4().hex}"
    monkeypatch.setenv("MATLIFT_STORE", url)
    store = Store(url)
    store.check()
    return store


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published tables that are too large to live here; the tests that need it are skipped without it."""
    beside = Path(__file__).parents[2] / "shared"
    places = [Path(place) for place in (os.environ.get("MATLIFT_SHARED"), beside, "/work/shared") if place]
    for place in places:
        if (place / "data").is_dir():
            return place / "data"
    pytest.skip(f"no shared data in {', '.join(map(str, places))}: set MATLIFT_SHARED to the folder that holds data/")
