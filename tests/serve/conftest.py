"""A published model that costs seconds, and services that answer with it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from service import Service
from wire import Wire, wire_to

sys.path.append(str(Path(__file__).parents[1] / "predict"))  # the models of the tests of predictions
import models

from tasks.handles import Bundle
from tasks.store import Store

Copy = Callable[[str], Bundle]
Start = Callable[..., Service]


@pytest.fixture(scope="session")
def served_store(store_server: str) -> Store:
    store = Store(f"{store_server}/serve")
    store.check()
    return store


@pytest.fixture(scope="session")
def published(served_store: Store, tmp_path_factory: pytest.TempPathFactory) -> models.Published:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATLIFT_STORE", served_store.url)
        tables, folder = (tmp_path_factory.mktemp(name) for name in ("tables", "bundle"))
        return models.publish_model(served_store, models.compositions(tables), folder)


@pytest.fixture(scope="session")
def copy(served_store: Store, published: models.Published) -> Copy:
    """Publish the same model once more, as another bundle of its recipe."""

    def publish(fingerprint: str) -> Bundle:
        bundle = Bundle(fingerprint, published.bundle.recipe)
        files = {file.name: file.read_bytes() for file in published.folder.iterdir() if file.name != "manifest.json"}
        served_store.write(bundle, files, 1.0)
        return bundle

    return publish


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start services that end with the tests of the module."""
    with ExitStack() as stack:

        def begin(*arguments: str, **environment: str) -> Service:
            service = Service([*arguments], environment, tmp_path_factory.mktemp("service"))
            stack.callback(service.kill)
            return service

        yield begin


@pytest.fixture(scope="module")
def service(start: Start, published: models.Published) -> Service:
    """One that answers with the bundle in a folder, as it comes."""
    return start(str(published.folder))


@pytest.fixture(scope="module")
def wire(served_store: Store) -> Iterator[Wire]:  # noqa: ARG001 -- its address is in the environment
    """The wire to the store."""
    with wire_to(os.environ["AWS_ENDPOINT_URL"]) as wire:
        yield wire


@pytest.fixture(scope="module")
def followed(start: Start, served_store: Store, published: models.Published, wire: Wire) -> Service:
    """One that answers with the champion, behind a wire."""
    environment = {"STORE": served_store.url, "SERVE_INTERVAL": "0.1", "SERVE_ITEMS": "200000"}
    named = {f"MATLIFT_{name}": value for name, value in environment.items()}
    return start(published.bundle.recipe, **named, AWS_ENDPOINT_URL=wire.address)
