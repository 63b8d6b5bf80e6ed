"""Fixtures for the command line at work: places to run it."""

import os
from collections.abc import Callable

import pytest
from places import Place, cheap_recipe


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Place]:
    """Makes an empty place; all share Prefect's home, and nothing of the user's own settings reaches them."""
    foreign = ("AWS_", "MATLIFT_", "PREFECT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))

    def make(name: str) -> Place:
        made = Place(tmp_path_factory.mktemp(name), environment)
        made.write(cheap_recipe())
        return made

    return make
