"""A download is the file to the last byte, whatever the server does, and says in one sentence if it cannot be."""

import hashlib
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import numpy as np
import pytest
from fileserver import Fault, Peer, serving

from tasks.errors import MatliftError
from tasks.fetch import cache
from tasks.fetch import remote as http
from tasks.fetch.download import download, sha256_beside
from tasks.fetch.remote import look, page
from tasks.progress import Progress, listening

CONTENT, OTHER = (np.random.default_rng(seed).bytes(size) for seed, size in enumerate((700_000, 650_000)))


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A file server; those who ask it wait for milliseconds where they would wait for seconds."""
    monkeypatch.setattr(http, "TRIES", 4)
    with serving() as server:
        yield server


@pytest.fixture
def url(peer: Peer) -> str:
    peer.files["/file.db"] = CONTENT
    return f"{peer.url}/file.db"


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.db"


def beside(to: Path) -> set[str]:
    """What lies beside the file, but for the lock."""
    return {path.name for path in to.parent.iterdir()} - {to.name, f"{to.name}.lock"}


def ranges(peer: Peer) -> list[str | None]:
    return [asked.range for asked in peer.asked if asked.method == "GET"]


def complete(to: Path, content: bytes = CONTENT) -> bool:
    """Whether the file is there, with its SHA-256 and nothing else."""
    return (
        to.read_bytes() == content
        and sha256_beside(to) == hashlib.sha256(content).hexdigest()
        and beside(to) == {f"{to.name}.sha256"}
    )


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MATLIFT_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.delenv("MATLIFT_CACHE")
    assert cache.folder() == Path.home() / ".cache" / "matlift"


def test_a_file_is_looked_at_without_being_fetched(peer: Peer, url: str) -> None:
    found = look(url)
    assert (found.url, found.length, found.etag) == (url, len(CONTENT), peer.version(CONTENT))
    assert [asked.method for asked in peer.asked] == ["HEAD"]


def test_a_server_without_head_is_looked_at_with_get(peer: Peer, url: str) -> None:
    peer.faults = [Fault(405, when=("HEAD",))]
    assert look(url).length == len(CONTENT)


def test_a_redirection_is_followed_to_the_address_that_counts(peer: Peer, url: str) -> None:
    peer.files["/old"] = b"->" + url.encode()
    assert look(f"{peer.url}/old").url == url


def test_a_file_is_fetched_and_its_progress_told(url: str, to: Path) -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        assert download(look(url), to).length == len(CONTENT)
    assert complete(to)
    assert (heard[-1].label, heard[-1].done, heard[-1].total) == ("download file.db", len(CONTENT), len(CONTENT))


def test_a_file_that_is_there_is_not_fetched_again(peer: Peer, url: str, to: Path) -> None:
    remote = look(url)
    download(remote, to)
    download(remote, to)
    assert len(ranges(peer)) == 1


def test_a_download_goes_on_where_it_broke_off(peer: Peer, url: str, to: Path) -> None:
    peer.faults = [Fault(stop_after=300_000), Fault(stop_after=200_000, reset=True)]
    download(look(url), to)
    assert complete(to)
    first, second, third = ranges(peer)
    assert (first, second) == (None, "bytes=300000-")
    assert third is not None


def test_another_process_goes_on_where_the_first_one_died(peer: Peer, url: str, to: Path) -> None:
    peer.faults = [Fault(stop_after=300_000), *[Fault(503)] * 4]
    with pytest.raises(MatliftError, match="503"):
        download(look(url), to)
    assert beside(to) == {"file.db.part", "file.db.part.version"}
    assert not to.exists()
    download(look(url), to)
    assert complete(to)
    assert ranges(peer)[-1] == "bytes=300000-"


@pytest.mark.parametrize("seed", range(5))
def test_whatever_breaks_the_file_is_right(peer: Peer, url: str, to: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    for _ in range(12):
        peer.faults += [
            chance.choice(
                [
                    Fault(stop_after=int(chance.integers(1, 120_000))),
                    Fault(stop_after=int(chance.integers(1, 120_000)), reset=True),
                    Fault(int(chance.choice([500, 502, 503, 504]))),
                ]
            )
        ]
        peer.faults += [Fault(stop_after=int(chance.integers(50_000, 90_000)))]  # so that no four in a row get nowhere
    download(look(url), to)
    assert complete(to)


def test_a_server_that_never_gets_further_is_given_up(peer: Peer, url: str, to: Path) -> None:
    peer.ranges = False
    peer.faults = [Fault(stop_after=1000)] * 50
    with pytest.raises(MatliftError) as refused:
        download(look(url), to)
    assert str(refused.value).startswith(f"{url} cannot be fetched: it broke off after 1,000 of 700,000 bytes (")
    assert str(refused.value).endswith("what has arrived is kept")
    assert len(ranges(peer)) == 4


def test_a_server_without_ranges_starts_again_cleanly(peer: Peer, url: str, to: Path) -> None:
    peer.ranges = False
    peer.faults = [Fault(stop_after=300_000), Fault(stop_after=100)]
    download(look(url), to)
    assert complete(to)


@pytest.mark.parametrize(("etags", "dates", "resumed"), [(False, True, True), (False, False, False)])
def test_only_a_part_whose_version_is_known_is_continued(
    peer: Peer, url: str, to: Path, *, etags: bool, dates: bool, resumed: bool
) -> None:
    peer.etags, peer.dates = etags, dates
    peer.faults = [Fault(stop_after=300_000)]
    download(look(url), to)
    assert complete(to)
    assert ranges(peer) == [None, "bytes=300000-" if resumed else None]


def test_a_weak_etag_does_not_say_which_bytes(peer: Peer, url: str, to: Path) -> None:
    peer.weak = True
    peer.faults = [Fault(stop_after=300_000)]
    download(look(url), to)
    assert complete(to)


def test_a_file_that_changes_meanwhile_is_fetched_anew(peer: Peer, url: str, to: Path) -> None:
    peer.faults = [Fault(stop_after=300_000), Fault(replace=OTHER)]
    got = download(look(url), to)
    assert complete(to, OTHER)
    assert got.etag == peer.version(OTHER)


def test_a_server_that_continues_another_version_is_not_believed(peer: Peer, url: str, to: Path) -> None:
    headers = {"Content-Range": "bytes 300000-649999/650000", "ETag": '"another"'}
    peer.faults = [Fault(stop_after=300_000), Fault(206, headers=headers, body=OTHER[300_000:])]
    download(look(url), to)
    assert complete(to)
    assert ranges(peer) == [None, "bytes=300000-", None]


def test_a_server_that_has_no_more_bytes_is_asked_from_the_start(peer: Peer, url: str, to: Path) -> None:
    peer.faults = [Fault(stop_after=300_000), Fault(416)]
    download(look(url), to)
    assert complete(to)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_refusal_that_passes_is_sat_out(peer: Peer, url: str, to: Path, status: int) -> None:
    peer.faults = [Fault(status, when=("HEAD", "GET"))] * 3
    download(look(url), to)
    assert complete(to)


def test_a_refusal_that_stands_is_told_at_once(peer: Peer, to: Path) -> None:
    with pytest.raises(MatliftError, match=r"/none\.db answers 404 Not Found: check the address$"):
        look(f"{peer.url}/none.db")
    assert len(peer.asked) == 1
    assert not to.exists()


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_says_how_long_to_wait(peer: Peer, url: str, to: Path, form: str) -> None:
    said = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    remote = look(url)
    peer.faults = [Fault(429, headers={"Retry-After": said})]
    start = time.monotonic()
    download(remote, to)
    assert 0.9 < time.monotonic() - start < 5


def test_a_wait_of_hours_is_not_waited(peer: Peer, url: str, to: Path) -> None:
    remote = look(url)
    peer.faults = [Fault(503, headers={"Retry-After": "7200"})]
    with pytest.raises(MatliftError, match="503"):
        download(remote, to)
    assert http.GREATEST == 600


def test_a_web_page_in_place_of_the_file_is_not_taken_for_it(peer: Peer, url: str, to: Path) -> None:
    remote = look(url)
    html = Fault(200, headers={"Content-Type": "text/html; charset=utf-8"}, body=b"<html>busy</html>")
    peer.faults = [Fault(stop_after=300_000), html]
    download(remote, to)
    assert complete(to)
    to.unlink()
    peer.faults = [html] * 4
    with pytest.raises(MatliftError, match="the server answers with a web page in place of the file"):
        download(remote, to)


def test_content_that_was_compressed_on_the_way_is_refused(peer: Peer, url: str, to: Path) -> None:
    remote = look(url)
    peer.faults = [Fault(200, headers={"Content-Encoding": "gzip"}, body=b"x")]
    with pytest.raises(MatliftError, match="comes compressed, which was not asked for"):
        download(remote, to)


def test_a_server_that_is_not_there_is_named(peer: Peer) -> None:
    gone = f"http://127.0.0.1:{peer.server_port}"
    peer.server_close()
    with pytest.raises(MatliftError, match=rf"^{gone}/file\.db cannot be fetched: .*refused"):
        look(f"{gone}/file.db")


def test_what_is_no_address_is_named() -> None:
    with pytest.raises(MatliftError, match=r"^htp://x/file\.db is no address that can be fetched"):
        look("htp://x/file.db")


def test_a_folder_that_cannot_be_written_is_named(url: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(MatliftError, match=r"cannot be written .*: make room, or set MATLIFT_CACHE"):
        download(look(url), tmp_path / "taken" / "file.db")


def test_two_at_once_fetch_the_file_once(peer: Peer, url: str, to: Path) -> None:
    remote = look(url)
    threads = [threading.Thread(target=download, args=(remote, to)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert complete(to)
    assert ranges(peer) == [None]


def test_a_page_is_read_and_one_that_is_not_there_is_empty(peer: Peer) -> None:
    peer.files["/page.html"] = "<p>Größe</p>".encode()
    peer.types["/page.html"] = "text/html; charset=utf-8"
    peer.faults = [Fault(503)]
    assert page(f"{peer.url}/page.html") == (f"{peer.url}/page.html", "<p>Größe</p>")
    assert page(f"{peer.url}/none.html")[1] == ""
