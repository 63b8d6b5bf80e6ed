"""Brings the local stack up, keeps it up, and stops it: server, work pool, deployments, automations and a worker."""

import os
import re
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from deployments.children import Child
from deployments.local import Stack, announce
from deployments.recovery import end_processes, recover
from deployments.server import POOL, client, healthy
from tasks.errors import MatliftError
from tasks.s3 import endpoint
from tasks.seaweed import revive
from tasks.settings import settings

START_SECONDS = 300  # a server has its database to make, perhaps on processors that others share
DEATHS, WITHIN = 5, 600  # so many of one program in so many seconds, and the stack gives up
MONTH = 30 * 24 * 3600

# Leases on disk: a server that forgets them when it restarts would cancel the runs that hold them.
SERVER = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "15",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",  # a schedule changed in the dashboard counts at once
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(MONTH),
}
WORKER = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "10",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
}


def keep_up(folder: Path, recipes: Sequence[str], port: int) -> None:
    """Bring the stack up on top of the store in the environment, and keep it up until KeyboardInterrupt.

    Args:
        folder: where it keeps its data; the caller has reserved it.
        recipes: the names of those that are deployed.
        port: where the server listens, on this machine alone.

    Raises:
        MatliftError: a part does not come up, or keeps dying.
    """
    start = time.monotonic()
    console = Console(highlight=False)
    home = folder.resolve() / "prefect"
    home.mkdir(mode=0o700, exist_ok=True)
    _set_prefect(home, f"http://127.0.0.1:{port}/api")
    server, worker = _programs(home, port)
    worker.stop()  # of a stack that was killed
    server.stop()
    _require_free(port)
    try:
        console.print(f"{'store':<20}  {settings().store} at {endpoint()}", soft_wrap=True)
        _start(console, server, worker, recipes)
        with _page(console, port + 1) as page:
            stack = _stack(port, page)
            announce(stack, folder)
            console.print(f"Up after {time.monotonic() - start:.0f} s, until Ctrl-C: {stack.dashboard}", style="bold")
            console.print("From another terminal here: matlift status, matlift land FILE --recipe RECIPE")
            _tend(console, server, worker)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # impatience must not leave half of it running
            signal.signal(number, signal.SIG_IGN)
        with console.status("stopping"):
            worker.stop()
            with suppress(MatliftError):  # the next start does what a server that is gone cannot tell
                end_processes()
            server.stop()


def _stack(port: int, page: str) -> Stack:
    """Return what other commands must know."""
    where = settings()
    return Stack(
        api=f"http://127.0.0.1:{port}/api",
        dashboard=f"http://127.0.0.1:{port}",
        page=page,
        store=str(where.store),
        endpoint=endpoint(),
        credentials=str(where.store_folder / "store.json") if where.store_folder else None,
        process=os.getpid(),
        place=str(Path.cwd()),
    )


def _set_prefect(home: Path, api: str) -> None:
    """Point Prefect in this process and its children at the stack's own server, whatever else the user logs in to."""
    for name in ("PREFECT_API_KEY", "PREFECT_PROFILE"):
        os.environ.pop(name, None)
    os.environ |= {"PREFECT_HOME": str(home), "PREFECT_API_URL": api}


def _programs(home: Path, port: int) -> tuple[Child, Child]:
    """Return the server and the worker."""
    prefect = [sys.executable, "-m", "prefect"]
    database = settings().postgres
    kept = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": _asynchronous(database.get_secret_value())} if database else {}
    start = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = Child("server", start, {**os.environ, **SERVER, **kept}, home)
    start = [*prefect, "worker", "start", "--pool", POOL, "--name", socket.gethostname(), "--install-policy", "never"]
    return server, Child("worker", start, {**os.environ, **WORKER}, home)


def _asynchronous(url: str) -> str:
    """Return the URL of a PostgreSQL database with the driver that Prefect needs; it is a secret."""
    if not re.match(r"postgres(ql)?(\+asyncpg)?://", url):
        raise MatliftError("the server's database is named as postgresql://user:password@host:port/database")
    return re.sub(r"^postgres(ql)?(\+asyncpg)?://", "postgresql+asyncpg://", url)


def _require_free(port: int) -> None:
    """Make sure that nobody else listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise MatliftError(
                f"port {port} of this machine is taken, by another Prefect server perhaps: choose another one with "
                "--port or MATLIFT_PORT"
            ) from error


def _start(console: Console, server: Child, worker: Child, recipes: Sequence[str]) -> None:
    """Start the parts one after the other, with a line for each when it is ready."""
    with _step(console, "server") as said:
        server.start()
        # Prefect takes seconds to load: the server's and ours at the same time
        from deployments.automations import apply_automations  # noqa: PLC0415
        from deployments.deploy import deploy, forget_others, prepare_pool  # noqa: PLC0415

        _wait(server, _healthy)
        said.append(f"{os.environ['PREFECT_API_URL']}, its data in {os.environ['PREFECT_HOME']}")
    with _step(console, "work pool") as said:
        said.append(f"{POOL}, of type {prepare_pool()}, {settings().trainings} training(s) at once")
        said.extend(_patiently(recover))
    worker.start()
    with _step(console, "deployments") as said:
        said.append(f"retrain, watch and screen for {', '.join(recipes)}")
        said.extend(deploy(recipes, Path.cwd()))
        said.extend(f"{name} is not deployed any more" for name in forget_others(recipes))
    with _step(console, "automations") as said:
        said.extend(apply_automations())
    with _step(console, "worker") as said:
        _wait(worker, worker_is_online)
        said.append(f"{socket.gethostname()}, its log {worker.log}")


@contextmanager
def _page(console: Console, port: int) -> Iterator[str]:
    """Serve the store's page inside the `with` block; a store that has none yet gets one."""
    from deployments.page import page_of  # noqa: PLC0415 -- Prefect is loaded by now
    from tasks.site import rebuild  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    with page_of(connect(), port) as address:
        with _step(console, "page") as said:
            said.append(f"{address}, what has been published")
            try:
                rebuild(connect())
            except MatliftError as error:  # it must not keep the stack from working
                said.append(f"the page is not new: {error}")
        yield address


@contextmanager
def _step(console: Console, part: str) -> Iterator[list[str]]:
    """Show what is being started, and when it is ready what it says, a line each."""
    start, said = time.monotonic(), list[str]()
    with console.status(f"starting: {part}"):
        yield said
    for line, text in enumerate(said):
        took = f"{time.monotonic() - start:5.1f} s" if line == 0 else ""
        console.print(f"{'' if line else part:<12} {took:>7}  {text}", soft_wrap=True)


def _wait(child: Child, ready: Callable[[], bool]) -> None:
    """Wait until a program does its work."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if not child.alive() or time.monotonic() > deadline:
            raise MatliftError(f"the {child.name} did not start; its log {child.log} ends with: {child.gist()}")
        time.sleep(0.1)


def _healthy() -> bool:
    """Tell whether the server answers."""
    return healthy(os.environ["PREFECT_API_URL"])


def worker_is_online() -> bool:
    """Tell whether the server hears from a worker; a server that is too busy to say does not know."""
    with suppress(MatliftError), client() as server:
        return any(one.status == "ONLINE" for one in server.read_workers_for_work_pool(POOL))
    return False


def _tend(console: Console, server: Child, worker: Child) -> None:
    """Start again what dies, until KeyboardInterrupt, or until it has died too often."""
    deaths: dict[str, deque[float]] = {child.name: deque(maxlen=DEATHS) for child in (server, worker)}
    while True:
        time.sleep(1)
        if kept := settings().store_folder:
            revive(kept)
        for child in (server, worker):
            if child.alive():
                continue
            _count(deaths[child.name], child)
            _tell(console, f"the {child.name} died and is started again; it said: {child.gist()}")
            if child is server:
                server.start()
                _wait(server, _healthy)
            else:
                child.stop()
                for line in _patiently(recover):
                    _tell(console, line)
                child.start()


def _patiently(ask: Callable[[], list[str]]) -> list[str]:
    """Return what the server answers, which after a start, or with a locked database, may take it a while."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return ask()
        except MatliftError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _tell(console: Console, line: str) -> None:
    """Say what happened, and when."""
    console.print(f"{time.strftime('%H:%M:%S')} {line}", soft_wrap=True)


def _count(times: deque[float], child: Child) -> None:
    """Note a death, and give up if there were too many."""
    times.append(time.monotonic())
    if len(times) == DEATHS and times[-1] - times[0] < WITHIN:
        raise MatliftError(
            f"the {child.name} died {DEATHS} times within {WITHIN // 60} minutes; its log {child.log} ends with: "
            f"{child.gist()}"
        )
