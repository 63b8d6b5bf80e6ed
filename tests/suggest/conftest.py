"""A published model of compositions, made as the tests of predictions make it."""

import sys
from pathlib import Path

import pytest

from tasks.store import Store

sys.path.append(str(Path(__file__).parents[1] / "predict"))

import models
from models import Published


@pytest.fixture(scope="module")
def published(shared_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The model, in the store that commands use."""
    tables, folder = (tmp_path_factory.mktemp(name) for name in ("tables", "bundle"))
    return models.publish_model(shared_store, models.compositions(tables), folder)
