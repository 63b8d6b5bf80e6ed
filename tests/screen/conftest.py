"""A published model of compositions, made as the tests of predictions make it, and what counts shards."""

import sys
from pathlib import Path

import pytest

from tasks.store import Store

BESIDE = Path(__file__).parents[1]
sys.path += [str(BESIDE / "predict"), str(BESIDE / "fetch")]

import models  # noqa: E402
from models import Published  # noqa: E402


@pytest.fixture(scope="module")
def published(shared_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The model, in the store that tasks use."""
    tables, folder = (tmp_path_factory.mktemp(name) for name in ("tables", "bundle"))
    return models.publish_model(shared_store, models.compositions(tables), folder)
