"""A Dask cluster that works on chunks, if the environment names one: processes on many machines instead of this one."""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from tasks.errors import MatliftError
from tasks.settings import settings

PATIENCE = 5  # seconds for the scheduler to answer

Submit = Callable[..., Any]  # takes a function and its argument, returns a future


def address() -> str | None:
    """Return the address of the scheduler, from the environment variable MATLIFT_DASK; None if it names none."""
    return settings().dask


@contextmanager
def cluster(at: str, label: str) -> Iterator[tuple[Submit, Callable[[], int]]]:
    """Connect to a cluster; its workers need this version of matlift, one thread each (`dask worker --nthreads 1`).

    Args:
        at: the scheduler's address, `tcp://host:8786` say.
        label: what is being done, for the errors.

    Yields:
        What submits a function with its argument, and what tells how many of them may be worked on at once. A cluster
        may grow while it works; one without workers keeps the first until some join.

    Raises:
        MatliftError: Dask is not installed, the scheduler does not answer, or the cluster gave the work up.
    """
    try:
        from distributed import Client, KilledWorker  # noqa: PLC0415 -- an extra, and it takes a second to load
    except ImportError as error:
        raise MatliftError(
            f"MATLIFT_DASK is {at}, but Dask is not installed: pip install 'matlift[dask]', or unset it"
        ) from error
    try:
        client = Client(at, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # ValueError: it is no address
        raise MatliftError(
            f"the Dask scheduler at MATLIFT_DASK, {at}, does not answer: start it, or unset MATLIFT_DASK to work here"
        ) from error
    with client:
        try:
            yield (
                lambda function, part: client.submit(function, part, pure=False),
                lambda: sum(client.nthreads().values()),
            )
        except (KilledWorker, CancelledError) as error:
            raise MatliftError(
                f"the Dask cluster at {at} gave “{label}” up, most often because workers were killed for lack of "
                "memory: give them more, then run again; what was finished is kept"
            ) from error
