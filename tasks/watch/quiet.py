"""Waits until nothing new arrives any more, so that many files lead to one run."""

import time
from collections.abc import Callable

INTERVAL = 0.5  # seconds between two looks at most
LONGEST = 300.0  # seconds after which what has arrived is used although more keeps coming


def await_quiet(look: Callable[[], object], seconds: float) -> None:
    """Wait until what `look` returns has been the same for so many seconds, or for too long.

    The time is that of this machine: the clock of a store's server may be another.
    """
    start = since = time.monotonic()
    last = look()
    while (now := time.monotonic()) < min(since + seconds, start + LONGEST):
        time.sleep(min(INTERVAL, since + seconds - now))
        if (seen := look()) != last:
            last, since = seen, time.monotonic()
