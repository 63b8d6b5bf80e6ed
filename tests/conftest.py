"""Fixtures that several test modules share."""

import uuid
from collections.abc import Iterator

import pytest

from tasks.seaweed import embedded
from tasks.store import Store


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
