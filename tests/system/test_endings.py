"""A run that is told to end leaves nothing running, and what was finished is kept."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress

from places import PATIENCE, Place, objects

Places = Callable[[str], Place]


def test_a_run_that_is_told_to_end_takes_its_servers_with_it(place: Places) -> None:
    here = place("ended")
    with here.running() as run:
        run.until("made raw/")
        run.process.terminate()
        ended = run.ended()
        assert ended.status == 130
        assert ended.complained[-1] == "matlift: stopped; what was finished is kept"
        wait_for_the_end_of(run.process.pid)
    with (here.folder / ".matlift" / "store.lock").open("a") as lock:  # which the store's server holds while it lives
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert any(path.startswith("raw/") for path in objects(here.files()))


def wait_for_the_end_of(group: int) -> None:
    """Wait until no process of a group is left."""
    deadline = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):
        while True:
            os.killpg(group, 0)
            assert time.monotonic() < deadline
            time.sleep(0.1)
