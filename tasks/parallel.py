"""Work on many items in chunks, on all cores that this process may use."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tasks.errors import MatliftError
from tasks.progress import report

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_chunks(
    function: Callable[[Sequence[Item]], Result], items: Sequence[Item], *, chunk: int, label: str
) -> list[Result]:
    """Call a function on chunks of items, in processes if there are several chunks, and report the progress.

    Args:
        function: takes a chunk; at the top level of a module, because other processes import it.
        items: what to work on.
        chunk: the number of items of each chunk but the last; a second's work or more, since starting the processes
            takes seconds.
        label: what is being done, for the progress.

    Returns:
        What the function made of each chunk, in order.

    Raises:
        MatliftError: a process was killed, most often for lack of memory.
    """
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    workers = min(cores(), len(chunks))
    if workers <= 1:
        return _collected(map(function, chunks), chunks, label)
    # Forked processes would inherit Prefect's threads and locks, in whatever state; so nothing is imported before the
    # fork either: by default it would be the main module, and Prefect with it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([])
    try:
        with ProcessPoolExecutor(workers, context) as pool:
            return _collected(pool.map(function, chunks), chunks, label)
    except BrokenProcessPool as error:
        raise MatliftError(
            f"a process of “{label}” was killed, most often for lack of memory: free some, then run again; "
            "what was finished is kept"
        ) from error


def cores() -> int:
    """Return the number of processes that may work at once."""
    if multiprocessing.current_process().daemon:  # a Dask worker, say: it may not start processes
        return 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _collected(results: Iterable[Result], chunks: Sequence[Sequence[Item]], label: str) -> list[Result]:
    """Return the results as a list, and report each as it comes."""
    total = sum(map(len, chunks))
    report(label, 0, total)
    collected: list[Result] = []
    done = 0
    for result, part in zip(results, chunks, strict=True):
        collected.append(result)
        done += len(part)
        report(label, done, total)
    return collected
