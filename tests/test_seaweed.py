"""The embedded store's server: started once, shared, kept through a crash, stopped by the last."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks import seaweed
from tasks.errors import MatliftError
from tasks.handles import Checkpoint
from tasks.seaweed import embedded
from tasks.store import Store

HANDLE = Checkpoint("3f2a9c00d1e2b3a4")
USER = """
import sys
from pathlib import Path
from tasks.seaweed import embedded
with embedded(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def user(folder: Path) -> subprocess.Popen[str]:
    """Start a process that uses the server of a folder until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "s3://matlift\n"
    return process


def pid(folder: Path) -> str:
    return (folder / "store.pid").read_text()


def s3_port(folder: Path) -> int:
    port: int = json.loads((folder / "store.json").read_text())["ports"]["s3"]
    return port


def test_data_and_credentials_survive_a_restart(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        Store(url).write(HANDLE, {"a": b"a"}, 0)
        first, settings = pid(tmp_path), (tmp_path / "store.json").read_text()
        space = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*"))
    assert space < 5e6
    assert not seaweed._alive(tmp_path)
    with embedded(tmp_path) as url:
        assert Store(url).read(HANDLE, "a") == b"a"
        assert pid(tmp_path) != first
    assert (tmp_path / "store.json").read_text() == settings


def test_settings_are_set_for_the_run_and_kept_for_the_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of my company")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    before, folder = dict(os.environ), tmp_path / "new" / "folder"
    with embedded(folder) as url:
        assert not Store(url).holds(HANDLE)
        assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert dict(os.environ) == before
    file = folder / "store.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = json.loads(file.read_text())["secret"]
    others = [path for path in folder.rglob("*") if path.is_file() and path != file]
    assert others
    assert not any(secret.encode() in path.read_bytes() for path in others)


def test_users_share_a_server_that_survives_a_killed_one_and_is_stopped_by_the_last(tmp_path: Path) -> None:
    with user(tmp_path) as killed:
        first = pid(tmp_path)
        with embedded(tmp_path):
            assert pid(tmp_path) == first
        assert seaweed._alive(tmp_path)  # the other one still uses it
        killed.kill()
    assert killed.returncode == -signal.SIGKILL
    assert seaweed._alive(tmp_path)
    with embedded(tmp_path) as url:
        assert pid(tmp_path) == first
        Store(url).write(HANDLE, {"a": b"a"}, 0)
    assert not seaweed._alive(tmp_path)


def test_a_killed_server_is_replaced_and_a_port_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        Store(url).write(HANDLE, {"a": b"a"}, 0)
        os.kill(int(pid(tmp_path)), signal.SIGKILL)
    port = s3_port(tmp_path)
    with socket.create_server(("127.0.0.1", port)), embedded(tmp_path) as url:
        assert s3_port(tmp_path) != port
        assert Store(url).read(HANDLE, "a") == b"a"


def test_a_server_that_dies_while_it_is_lent_is_revived_where_its_clients_know_it(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        Store(url).write(HANDLE, {"a": b"a"}, 0)
        port = s3_port(tmp_path)
        os.kill(int(pid(tmp_path)), signal.SIGKILL)
        while seaweed._alive(tmp_path):
            time.sleep(0.05)
        seaweed.revive(tmp_path)
        assert s3_port(tmp_path) == port
        seaweed._ready()
        assert Store(url).read(HANDLE, "a") == b"a"


def test_a_server_that_cannot_start_is_one_sentence_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "filerldb2").touch()  # where the server wants a folder
    start = time.monotonic()
    with (
        pytest.raises(MatliftError, match=r"did not start; its log .*store\.log says: .*filerldb2"),
        embedded(tmp_path),
    ):
        pass
    assert time.monotonic() - start < seaweed.START_SECONDS


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MatliftError, match="cannot be kept in"), embedded(tmp_path / "file"):
        pass


def test_a_full_disk_is_one_sentence_and_nothing_is_visible(small_disk: Path) -> None:
    with embedded(small_disk) as url:
        store = Store(url)
        start = time.monotonic()
        with pytest.raises(MatliftError, match=f"the disk of {small_disk} is full"):
            store.write(HANDLE, {"small": b"fits", "large": os.urandom(40_000_000)}, 0)
        assert time.monotonic() - start < 15
        assert not store.holds(HANDLE)
        assert store.list("checkpoints") == []
        with (small_disk / "ballast").open("wb") as file:
            usage = shutil.disk_usage(small_disk)
            os.posix_fallocate(file.fileno(), 0, usage.free - usage.total // 80)
        with pytest.raises(MatliftError, match=f"nothing more is made, for the disk of {small_disk} is full"):
            store.once(HANDLE, lambda: pytest.fail("it was made"))
