"""Work on many items in chunks: on all cores that this process may use, or on a Dask cluster."""

import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from threading import Thread
from typing import Any, TypeVar

from tasks.cluster import Submit, address, cluster
from tasks.errors import MatliftError
from tasks.memory import free_memory
from tasks.progress import report

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")

# What takes seconds to load, of all that the stages need; Prefect loads its parts when they are used.
LIBRARIES = [
    "pandas",
    "prefect.artifacts",
    "prefect.context",
    "prefect.tasks",
    "pyarrow.parquet",
    "rdkit.Chem",
    "s3fs",
    "scipy.optimize",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "torch",
]

SIZE = 750e6  # bytes that a process takes that compares methods
AHEAD = 2  # chunks on their way per process: one in work, and one that waits so that none idles

log = logging.getLogger(__name__)


def load_ahead() -> None:
    """Begin to load what processes need, beside what is done before there is work for them: it takes seconds."""
    if cores() > 1 and address() is None:
        _context(LIBRARIES)
        forkserver.ensure_running()


def run_chunks(
    function: Callable[[Sequence[Item]], Result], items: Sequence[Item], *, chunk: int, label: str
) -> Iterator[Result]:
    """Call a function on chunks of items, in processes if there are several chunks, and report the progress.

    The processes are this machine's, or those of the Dask cluster whose scheduler MATLIFT_DASK names. Only a few
    chunks are on their way at once, so neither chunks nor results pile up while the caller takes its time.

    Args:
        function: takes a chunk; at the top level of a module, because other processes import it.
        items: what to work on.
        chunk: the number of items of each chunk but the last; a second's work or more, since starting the processes
            takes seconds.
        label: what is being done, for the progress.

    Yields:
        What the function made of each chunk, in order; the work begins when the first one is asked for.

    Raises:
        MatliftError: a process was killed, most often for lack of memory, or the Dask cluster cannot be used.
    """
    starts = range(0, len(items), chunk)
    chunks = (items[start : start + chunk] for start in starts)
    report(label, 0, len(items))
    for start, result in zip(starts, _results(function, chunks, len(starts), label), strict=True):
        yield result
        report(label, min(start + chunk, len(items)), len(items))


def run_parts(
    function: Callable[[Shared, Item], Result],
    shared: Shared,
    parts: Iterable[Item],
    *,
    label: str,
    libraries: Sequence[str],
) -> Iterator[Result]:
    """Call a function on parts that come one after the other, in processes of this machine if there are several.

    Only a few parts and results are in memory at once.

    Args:
        function: takes what is shared and a part; at the top level of a module, because other processes import it.
        shared: what all calls need; each process gets it once.
        parts: what to work on, made when there is room for more.
        label: what is being done, for the errors.
        libraries: modules that the processes load once, all together.

    Yields:
        What the function made of each part, in order.

    Raises:
        MatliftError: a process was killed, most often for lack of memory.
    """
    coming = iter(parts)
    first = list(islice(coming, 2))
    workers = cores()
    if len(first) < 2 or workers < 2:
        yield from (function(shared, part) for part in chain(first, coming))
        return
    with _processes(workers, label, libraries, (shared,)) as submit:
        yield from _in_order(submit, lambda: workers, partial(_call, function), chain(first, coming))


def cores() -> int:
    """Return the number of processes that may work at once."""
    if multiprocessing.current_process().daemon:  # a Dask worker, say: it may not start processes
        return 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processes() -> int:
    """Return the number of processes that are started to work at once: one for each core, as far as memory goes.

    A container may see many more cores than its memory has room for processes; one of them killed ends a run.
    """
    return max(1, int(min(cores(), free_memory() / SIZE)))


def _results(
    function: Callable[[Sequence[Item]], Result], chunks: Iterable[Sequence[Item]], count: int, label: str
) -> Iterator[Result]:
    """Yield the results in order, from wherever the work is done."""
    scheduler = address()
    workers = min(processes(), count)
    if workers < min(cores(), count):
        log.warning("%s: %s process(es) at once for lack of memory, not one on each core", label, workers)
    if count > 1 and scheduler is not None:
        with cluster(scheduler, label) as (submit, size):
            yield from _in_order(submit, size, function, chunks)
    elif workers > 1:
        with _processes(workers, label) as submit:
            yield from _in_order(submit, lambda: workers, function, chunks)
    else:
        yield from map(function, chunks)


def _in_order(
    submit: Submit,
    size: Callable[[], int],
    function: Callable[[Any], Result],
    chunks: Iterable[Any],
) -> Iterator[Result]:
    """Yield the results in the order of the chunks, with a few on their way for each of so many processes."""
    waiting = deque()  # type: ignore[var-annotated] # futures of Dask or of the standard library
    try:
        for part in chunks:
            waiting.append(submit(function, part))
            if len(waiting) >= AHEAD * max(1, size()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # the caller wants no more, or something failed
        for future in waiting:
            future.cancel()


@contextmanager
def _processes(
    workers: int, label: str, libraries: Sequence[str] = LIBRARIES, shared: tuple[Any, ...] = ()
) -> Iterator[Submit]:
    """Start processes on this machine, which may share something; yield what submits a function with its argument."""
    try:
        with ProcessPoolExecutor(workers, _context(libraries), _begin, shared) as pool:
            yield pool.submit
    except BrokenProcessPool as error:
        raise MatliftError(
            f"a process of “{label}” was killed, most often for lack of memory: free some, then run again; "
            "what was finished is kept"
        ) from error


def _context(libraries: Sequence[str]) -> BaseContext:
    """Return what starts processes that have loaded these libraries, unless it has been started with others before."""
    # Processes forked from this one would inherit Prefect's threads and locks, in whatever state. The server that forks
    # them has loaded the libraries once, and has none of that; nor the main module, which it would load by default.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*libraries])
    return context


_shared: list[Any] = []  # what this process shares with the others, in one that `run_parts` has started


def _begin(*shared: Any) -> None:
    """Begin as a process that works: on one core, with what is shared, and as long as the one that started it lives."""
    _end_with_parent()
    if shared:
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 -- others limit their threads themselves

        threadpool_limits(1)
        _shared[:] = shared


def _call(function: Callable[[Any, Item], Result], part: Item) -> Result:
    """Call a function with what is shared."""
    return function(_shared[0], part)


def _end_with_parent() -> None:
    """Let this process end when the one that started it is killed; it would wait for work, and hold memory, forever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
