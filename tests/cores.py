"""Tests on one core: what is small is done there sooner than other processes are started for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # of those that test at once


@contextmanager
def one_core() -> Iterator[None]:
    """Let this process, and what it starts, use one core, inside the `with` block."""
    if not hasattr(os, "sched_setaffinity"):  # not on macOS
        yield
        return
    before = os.sched_getaffinity(0)
    pin(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(process: int) -> None:
    """Give a process one core, another one than other tests at the same time; 0 is this process."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process, {cores[NUMBER % len(cores)]})
