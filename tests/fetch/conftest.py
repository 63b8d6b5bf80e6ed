"""What tests of crawls share: a cache of their own, and waits that take no time."""

from pathlib import Path

import pytest

from tasks.fetch import patience


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where crawls keep what they have read."""
    monkeypatch.setenv("MATLIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patience, "SECOND", 0.003)
    return tmp_path / "cache"
