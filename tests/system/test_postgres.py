"""The stack with its server's data in PostgreSQL."""

import getpass
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from places import PATIENCE, Place
from standing import prepare, standing

from deployments.server import free_port

Places = Callable[[str], Place]

PASSWORD = "hunter2"  # noqa: S105 -- of a database that lives for a test


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed here")
    user = "postgres" if os.getuid() == 0 else getpass.getuser()  # it refuses to run as root
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    programs = Path(initdb).resolve().parent
    folder, port = Path(mkdtemp()), free_port()
    (folder / "password").write_text(PASSWORD)
    for path in (folder, folder / "password"):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    data = str(folder / "data")
    secret = ["--username=prefect", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
    subprocess.run([initdb, "--no-sync", f"--pgdata={data}", *secret], check=True, user=user, capture_output=True)
    settings = ["-D", data, "-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-F"]
    server = subprocess.Popen([str(programs / "postgres"), *settings], user=user, stderr=subprocess.DEVNULL)
    try:
        ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(ready, check=False, capture_output=True).returncode:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"postgresql://prefect:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def test_the_stack_works_with_the_servers_data_in_postgresql_and_watches_by_itself(
    database: str, place: Places
) -> None:
    here = place("postgres")
    prepare(here)
    with standing(here, "--postgres", database, MATLIFT_WATCH_INTERVAL="20") as stack:
        watched = {"deployments": {"id": {"any_": [stack.deployment("watch/tiny")["id"]]}}}
        done = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}}
        (look, *_) = stack.waited(lambda: stack.ask("POST", "flow_runs/filter", **watched, **done), bool)
        assert (look["state_name"], look["created_by"]["type"]) == ("Completed", "SCHEDULE")
    kept = [path for path in (here.folder / ".matlift" / "prefect").rglob("*") if path.is_file()]
    assert "prefect.db" not in {path.name for path in kept}
    assert not any(PASSWORD.encode() in path.read_bytes() for path in [here.folder / ".matlift" / "store.log", *kept])


def test_a_url_of_another_kind_is_refused(place: Places) -> None:
    with place("mysql").doing("up", "qm9-webbook", "--postgres", "mysql://me:hunter2@host/db") as run:
        ended = run.ended()
    assert ended.complained == [
        "matlift: the server's database is named as postgresql://user:password@host:port/database"
    ]
