"""The object store keeps its promises, on the real server."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from wire import wire_to

from tasks.errors import MatliftError
from tasks.handles import Bundle, Checkpoint
from tasks.manifest import MANIFEST
from tasks.store import Store, connect

HANDLE = Checkpoint("3f2a9c00d1e2b3a4")
FILES = {"weights.safetensors": os.urandom(300_000), "metrics.json": b'{"mae": 0.1}', "plots/parity.png": b""}


def die_before_the_manifest(store: Store, *, metrics: bytes) -> None:
    """Write in another process, which is killed when all files are there and the manifest is not."""
    script = f"""
import os, signal
from tasks.handles import Checkpoint
from tasks.s3 import Prefix
from tasks.store import connect
settle = Prefix.settle
def fatal(self, path, data):
    if path.endswith("{MANIFEST}"):
        os.kill(os.getpid(), signal.SIGKILL)
    return settle(self, path, data)
Prefix.settle = fatal
connect().write(Checkpoint("{HANDLE.fingerprint}"), {{"same": b"same", "metrics.json": {metrics!r}}}, 1)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert store.files.get(f"{HANDLE.path}/metrics.json") == metrics


def consistent(store: Store) -> dict[str, bytes]:
    """Read a whole object, under the eyes of `read`, and compare it with what a listing by plain names shows."""
    files = {name: store.read(HANDLE, name) for name in store.manifest(HANDLE)["files"]}
    assert {name: store.files.get(f"{HANDLE.path}/{name}") for name in files} == files
    return files


def test_what_is_written_is_read_back(store: Store) -> None:
    store.write(HANDLE, FILES, seconds=95.25)
    assert store.holds(HANDLE)
    assert {name: store.read(HANDLE, name) for name in FILES} == FILES
    manifest = store.manifest(HANDLE)
    assert (manifest["kind"], manifest["fingerprint"], manifest["seconds"]) == (
        "checkpoints",
        HANDLE.fingerprint,
        95.25,
    )
    assert manifest["made"].endswith("+00:00")
    assert manifest["files"]["metrics.json"] == {
        "size": 12,
        "sha256": hashlib.sha256(FILES["metrics.json"]).hexdigest(),
    }


def test_an_object_without_manifest_is_invisible(store: Store) -> None:
    store.files.replace(f"{HANDLE.path}/metrics.json", b"{}")
    assert not store.holds(HANDLE)
    assert store.list("checkpoints") == []
    with pytest.raises(MatliftError, match="is not in the store"):
        store.read(HANDLE, "metrics.json")


def test_listing_shows_the_complete_objects_of_one_folder(store: Store) -> None:
    bundles = [Bundle("1" * 16, "alloys"), Bundle("2" * 16, "alloys"), Bundle("3" * 16, "alloys-more")]
    for handle in (HANDLE, *bundles):
        store.write(handle, {"a": b"a", "plots/b": b"b"}, 0)
    assert store.list("bundles") == sorted(bundle.path for bundle in bundles)
    assert store.list("bundles/alloys") == [bundle.path for bundle in bundles[:2]]
    assert store.list("nothing") == []


def test_a_writer_killed_before_the_manifest_is_replaced_by_the_next(store: Store) -> None:
    die_before_the_manifest(store, metrics=b"old")
    assert not store.holds(HANDLE)
    new = {"same": b"same", "metrics.json": b"new"}
    store.once(HANDLE, lambda: new)
    assert consistent(store) == new


def test_a_writer_killed_right_after_the_manifest_leaves_a_readable_object(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.files.replace(f"{HANDLE.path}/metrics.json", b"leftover")
    monkeypatch.setattr(store.files, "replace", lambda *_: None)
    store.write(HANDLE, {"metrics.json": b"new"}, 0)
    assert store.read(HANDLE, "metrics.json") == b"new"


def test_a_flipped_byte_is_refused(store: Store) -> None:
    store.write(HANDLE, FILES, 0)
    damaged = bytearray(FILES["weights.safetensors"])
    damaged[1000] ^= 1
    store.files.replace(f"{HANDLE.path}/weights.safetensors", bytes(damaged))
    with pytest.raises(MatliftError, match="missing or damaged"):
        store.read(HANDLE, "weights.safetensors")
    with pytest.raises(MatliftError, match="has no file other"):
        store.read(HANDLE, "other")
    store.files.replace(f"{HANDLE.path}/{MANIFEST}", b'{"kind')
    with pytest.raises(MatliftError, match="is damaged"):
        store.manifest(HANDLE)


def test_what_exists_is_not_made_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def never() -> dict[str, bytes]:
        raise AssertionError

    with caplog.at_level(logging.INFO, "tasks.store"):
        assert store.once(HANDLE, lambda: FILES) is HANDLE
        assert store.once(HANDLE, never) is HANDLE
    made, reused = (record.getMessage() for record in caplog.records if record.name == "tasks.store")
    assert made.startswith("made checkpoints/3f2a… in ")
    assert reused.startswith("re-used checkpoints/3f2a… (made 20")
    assert [(event.handle, event.reused) for event in store.history] == [(HANDLE, False), (HANDLE, True)]


def test_two_writers_at_once_leave_the_object_of_one(store: Store) -> None:
    names = [f"file-{number}" for number in range(8)]
    start = threading.Barrier(2)

    def write(writer: bytes) -> None:
        own = Store(store.url)
        own.holds(HANDLE)
        start.wait()
        own.write(HANDLE, dict.fromkeys(names, writer) | {"same": b"same"}, 0)

    for _ in range(2):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, (b"A", b"B")))
        files = consistent(store)
        assert files.pop("same") == b"same"
        assert set(files.values()) in ({b"A"}, {b"B"})
        store.files._fs.rm(store.files.key(HANDLE.path), recursive=True)


def test_a_file_of_many_parts_is_created_only_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = partial(store.files._fs.pipe_file, chunksize=6 << 20)  # s3fs's own parts are of 50 MiB
    monkeypatch.setattr(store.files._fs, "pipe_file", parts)
    large = os.urandom(13 << 20)
    assert store.files.settle("large", large)
    assert not store.files.settle("large", large[:-1] + b"!")
    assert store.files.get("large") == large


def test_pointers_are_set_whole_and_the_last_caller_wins(store: Store) -> None:
    assert store.pointer("champion.json") is None
    values = [{"bundle": str(number) * 5000} for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(store.point, "champion.json", value) for value in values]
        while not all(future.done() for future in done):
            assert store.pointer("champion.json") in (None, *values)
    assert all(future.result() is None for future in done)
    store.point("champion.json", values[3])
    assert store.pointer("champion.json") == values[3]


def test_of_two_who_decide_on_the_same_pointer_one_wins(store: Store) -> None:
    def count(_: int) -> None:
        while not store.swap("count.json", old := store.pointer("count.json"), {"n": (old or {"n": 0})["n"] + 1}):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(12)))
    assert store.pointer("count.json") == {"n": 12}
    assert not store.swap("count.json", {"n": 11}, {"n": 0})
    assert not store.swap("count.json", None, {"n": 0})
    assert not store.swap("missing.json", {"n": 0}, {"n": 1})


def test_connect_gives_one_store_per_url(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect().url == store.url
    assert connect() is connect()
    monkeypatch.delenv("MATLIFT_STORE")
    with pytest.raises(MatliftError, match="MATLIFT_STORE"):
        connect()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("store")
def test_connect_works_after_a_fork() -> None:
    connect().write(HANDLE, {"a": b"a"}, 0)
    child = os.fork()
    if not child:
        os._exit(0 if connect().read(HANDLE, "a") == b"a" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_was_made_waits_for_a_store_whose_network_is_cut(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with wire_to(os.environ["AWS_ENDPOINT_URL"]) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.address)
        far = Store(store.url)
        far.check()
        wire.cut_at(b"PUT /")
        with ThreadPoolExecutor() as pool:
            writing = pool.submit(far.write, HANDLE, FILES, 1.0)
            assert wire.sprung.wait(30)
            time.sleep(3)
            assert not store.holds(HANDLE)
            wire.mend()
            writing.result()
    assert consistent(store) == FILES


def test_patience_with_a_store_ends_in_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_STORE_PATIENCE", "0")
    with wire_to(os.environ["AWS_ENDPOINT_URL"]) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.address)
        far = Store(store.url)
        far.check()
        wire.cut()
        with pytest.raises(MatliftError, match=f"does not answer at {wire.address} "):
            far.holds(HANDLE)


@pytest.mark.parametrize("url", ["file:///tmp/x", "gs://bucket", "s3://", "s3://key:hush@bucket", "matlift"])
def test_other_urls_are_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(MatliftError, match="looks like s3://bucket/prefix") as refusal:
        Store(url)
    assert "hush" not in str(refusal.value)


def test_an_unreachable_store_is_one_sentence_soon(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(MatliftError, match=r"s3://.* does not answer at http://127\.0\.0\.1:9"):
        Store(store.url).check()
    assert time.monotonic() - start < 15


def test_a_wrong_secret_is_one_sentence_without_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    wrong = Store(store.url)
    for call in (wrong.check, lambda: wrong.holds(HANDLE), lambda: wrong.write(HANDLE, FILES, 0)):
        with pytest.raises(MatliftError, match=r"s3://.* refuses the credentials") as refusal:
            call()
        assert "hush" not in str(refusal.value)


def test_missing_credentials_are_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(MatliftError, match="set AWS_ACCESS_KEY_ID"):
        Store(store.url).check()


def test_a_missing_bucket_is_created_or_named(store_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_server
    fresh = Store("s3://not-there-yet/prefix")
    with pytest.raises(MatliftError, match="bucket of the store s3://not-there-yet/prefix does not exist"):
        fresh.holds(HANDLE)

    def refuse(_: str) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(fresh.files._fs, "mkdir", refuse)
        with pytest.raises(MatliftError, match="could not be created"):
            fresh.check()
    fresh.check()
    assert not fresh.holds(HANDLE)


def test_a_server_that_ignores_conditions_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_file = store.files._fs.pipe_file
    monkeypatch.setattr(store.files._fs, "pipe_file", lambda path, data, **_: pipe_file(path, data))
    with pytest.raises(MatliftError, match="ignores conditional writes"):
        store.check()
