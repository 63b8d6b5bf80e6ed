"""Looks whether all that a run needs is there and well, and says of what is not what to do about it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from rich.console import Console

from deployments.server import POOL, address, client
from tasks.cluster import cluster
from tasks.errors import MatliftError
from tasks.memory import free_memory
from tasks.parallel import processes
from tasks.s3 import endpoint
from tasks.settings import settings
from tasks.store import connect

SKEW = 60  # seconds between clocks; S3 refuses requests from 15 minutes on
ROOM = 2e9  # bytes of disk
MEMORY = 2.5e9  # bytes that the recipe qm9-webbook takes with two processes

Check = Callable[[], Iterator[str]]


def examine(store: AbstractContextManager[None]) -> None:
    """Show what was found: a line for each check.

    Args:
        store: lends the store, checked, as every command has it.

    Raises:
        MatliftError: something is wrong.
    """
    console = Console(highlight=False, soft_wrap=True)
    checks: dict[str, Check] = {
        "store": lambda: _store(store),
        "server": _server,
        "worker": _worker,
        "disk": _disk,
        "memory": _memory,
    }
    if settings().dask:
        checks["dask"] = _dask
    wrong = 0
    for name, check in checks.items():
        try:
            for line in check():
                console.print(f"[green]ok[/]     {name:<8}{line}")
        except MatliftError as error:
            wrong += 1
            console.print(f"[red]wrong[/]  {name:<8}{error}")
    if wrong:
        raise MatliftError(f"{wrong} of {len(checks)} are not well: {', '.join(checks)} were looked at")


def _store(lent: AbstractContextManager[None]) -> Iterator[str]:
    """Check that the store answers, takes the credentials, honours conditional writes, and has our time."""
    with lent:
        where = endpoint()
        yield f"{connect().url} at {where} takes the credentials and honours conditional writes"
        yield _clock("the store's server", "https://s3.amazonaws.com" if where == "AWS" else where)


def _server() -> Iterator[str]:
    """Check that Prefect's server answers, takes the credentials, and has our version and time."""
    from prefect import __version__  # noqa: PLC0415 -- after the environment is prepared

    with client() as server:
        theirs = server.api_version()
    if theirs.split(".")[:2] != __version__.split(".")[:2]:
        raise MatliftError(
            f"Prefect's server at {address()} is of version {theirs}, matlift's client of {__version__}: bring both to "
            "the same one, with pip install prefect==VERSION"
        )
    yield f"{address()} answers; its version is {theirs}, that of the client {__version__}"
    yield _clock("Prefect's server", f"{address()}/health")


def _worker() -> Iterator[str]:
    """Check that somebody works on what is due."""
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    with client() as server:
        try:
            workers = server.read_workers_for_work_pool(POOL)
        except ObjectNotFound as error:
            raise MatliftError(f"the server has no work pool {POOL}: `matlift deploy` makes it") from error
    online = [worker.name for worker in workers if worker.status == "ONLINE"]
    if not online:
        raise MatliftError(
            f"no worker serves the work pool {POOL}, so nothing that is due is done: `matlift up` has one, and "
            f"`prefect worker start --pool {POOL}` starts one for another server"
        )
    yield f"{', '.join(online)} serves the work pool {POOL}"


def _disk() -> Iterator[str]:
    """Check that there is room for what is kept on this machine."""
    for place in (settings().folder, settings().cache.expanduser()):
        there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free
        if free < ROOM:
            raise MatliftError(
                f"the disk of {place} has {free / 1e9:.2g} GB left: make room, with `matlift prune` perhaps, or set "
                "MATLIFT_FOLDER and MATLIFT_CACHE to folders that have some"
            )
        yield f"{free / 1e9:,.0f} GB are free for {place}"


def _memory() -> Iterator[str]:
    """Check that there is memory for a training."""
    free = free_memory()
    if free < MEMORY:
        raise MatliftError(
            f"{free / 1e9:.2g} GB of memory are free, and a training takes about {MEMORY / 1e9:.2g}: end what takes "
            "it, or give the container more; what takes more than there is is killed"
        )
    yield f"{min(free, 999e9) / 1e9:,.0f} GB are free, so {processes()} process(es) work at once"


def _dask() -> Iterator[str]:
    """Check that the Dask cluster answers, and that somebody works there."""
    at = settings().dask
    with cluster(str(at), "doctor") as (_, size):
        threads = size()
    if not threads:
        raise MatliftError(f"the Dask cluster at {at} has no workers: start some, with `dask worker --nthreads 1 {at}`")
    yield f"{at} has {threads} worker(s)"


def _clock(whose: str, url: str) -> str:
    """Say by how much a server's clock differs from ours."""
    try:
        told = httpx.get(url, timeout=10).headers.get("date")
    except httpx.HTTPError as error:
        raise MatliftError(f"{whose} does not say at {url} what time it is ({type(error).__name__})") from error
    skew = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds() if told else 0.0
    if abs(skew) > SKEW:
        raise MatliftError(
            f"this machine's clock differs by {skew:.0f} s from that of {whose}: set it (timedatectl set-ntp true), or "
            "requests are refused and schedules are off"
        )
    return f"the clock of {whose} is within {max(abs(skew), 1):.0f} s of ours"
