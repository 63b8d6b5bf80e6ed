"""Published models that cost seconds, which all tests of predictions share."""

from collections.abc import Callable
from pathlib import Path

import models
import pytest
from models import Published

from tasks.predict import Predictor, load
from tasks.recipe import Recipe
from tasks.store import Store

Make = Callable[[Callable[[Path], Recipe]], Published]


@pytest.fixture(scope="session")
def predict_store(store_server: str) -> Store:
    """The store that they are published into."""
    store = Store(f"{store_server}/predict")
    store.check()
    return store


@pytest.fixture(scope="session")
def make(predict_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Publish the model of a recipe."""

    def publish(recipe: Callable[[Path], Recipe]) -> Published:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MATLIFT_STORE", predict_store.url)
            tables, folder = (tmp_path_factory.mktemp(name) for name in ("tables", "bundle"))
            return models.publish_model(predict_store, recipe(tables), folder)

    return publish


@pytest.fixture(scope="session")
def compositions(make: Make) -> Published:
    return make(models.compositions)


@pytest.fixture(scope="session")
def molecules(make: Make) -> Published:
    return make(models.molecules)


@pytest.fixture(scope="session", params=["compositions", "molecules"])
def published(request: pytest.FixtureRequest) -> Published:
    """Each of both."""
    made: Published = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="session")
def predictor(published: Published) -> Predictor:
    """The model of each, loaded from its folder."""
    return load(str(published.folder))
