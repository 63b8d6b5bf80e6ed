"""What is fetched is what is served, row for row, whatever the service does; and no kill or outage loses a page."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from peer import FAULTS, Fault, Peer, Row, Script, serving, table

from tasks.errors import MatliftError
from tasks.fetch import ask, crawl, oqmd, patience
from tasks.fetch.ask import Line, Patience
from tasks.fetch.patience import retry_after
from tasks.progress import Progress, listening
from tasks.recipe import Oqmd

ROWS = table(1_530)  # 16 pages, the last one not full

RUN = """
import sys
from tasks.fetch import oqmd, patience
from tasks.recipe import Oqmd
patience.SECOND = 0.003
data = Oqmd(database="oqmd", at=sys.argv[1], quantity="formation energy")
oqmd.read(data, oqmd.identity(data))
"""


def of(peer: Peer, **what: str) -> Oqmd:
    return Oqmd.model_validate({"database": "oqmd", "at": peer.url, "quantity": "formation energy"} | what)


def fetch_all(peer: Peer) -> None:
    """Fetch the peer's table and check that it is what the peer has."""
    data = of(peer)
    same(oqmd.read(data, oqmd.identity(data)).rows, peer.rows)


def same(fetched: object, served: list[Row]) -> None:
    rows = fetched.to_dict("list")  # type: ignore[attr-defined]
    assert rows["record"] == [f"OQMD:{row['formationenergy_id']}" for row in served]
    assert rows["formula"] == [row["composition"].replace(" ", "") for row in served]
    expected = [np.nan if row["delta_e"] is None else row["delta_e"] for row in served]
    np.testing.assert_array_equal(rows["value"], expected)


def journal(cache_folder: Path) -> Path:
    (path,) = (cache_folder / "crawls").glob("*.sqlite")
    return path


def pages(path: Path) -> set[int]:
    with closing(sqlite3.connect(path)) as base:
        return {int(page) for (page,) in base.execute("SELECT page FROM pages")}


def test_the_table_fetched_is_the_table_served() -> None:
    with serving(ROWS) as peer:
        fetch_all(peer)
    assert set(peer.asked.values()) == {1}
    assert sorted(peer.asked) == list(range(0, 1_530, 100))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_loses_or_changes_a_row(fault: Fault) -> None:
    with serving(ROWS, Script(faults=(fault,), often=0.6)) as peer:
        fetch_all(peer)
    assert peer.asked.total() > peer.served.total() == 16


def test_an_answer_that_never_comes_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "TIMEOUT", 0.2)
    with serving(ROWS, Script(faults=("hang",), often=0.3, most=1)) as peer:
        fetch_all(peer)
    assert peer.asked.total() > 16


def test_redirects_are_followed() -> None:
    with serving(ROWS) as peer:
        data = of(peer, at=f"{peer.url}/moved")
        same(oqmd.read(data, oqmd.identity(data)).rows, ROWS)


def test_a_page_past_the_end_is_empty_and_nothing_more() -> None:
    with serving(ROWS) as peer, Line() as line:
        url = oqmd._address(of(peer), 9_900, 100)
        body = line.ask(url, crawl.Body.model_validate_json, what="a page", patience=ask.LONG)
        page = line.ask(url, lambda text: oqmd._page(text, "delta_e"), what="a page", patience=ask.LONG)
    assert body.meta.data_returned == 1_530 - 9_900
    assert page == crawl.Page([], None, 1_530, 1_530)


@pytest.mark.parametrize("shuffled", [3, 6, 10])
def test_rows_that_repeat_and_go_missing_between_pages_are_found(shuffled: int) -> None:
    with serving(ROWS, Script(shuffled=shuffled)) as peer:
        fetch_all(peer)
    assert peer.served.total() > 16


@pytest.mark.parametrize("seed", range(8))
def test_no_mixture_of_faults_loses_or_changes_a_row(seed: int) -> None:
    drawn = random.Random(seed)
    faults = tuple(drawn.sample(FAULTS, drawn.randint(2, len(FAULTS))))
    script = Script(faults=faults, often=drawn.random(), most=4, shuffled=drawn.choice([0, 1, 2]), seed=seed)
    with serving(table(drawn.randint(1, 900)), script) as peer:
        fetch_all(peer)


@pytest.mark.parametrize("number", [1, 99, 100, 101, 200])
def test_tables_that_end_with_a_page_or_near_its_end_are_complete(number: int) -> None:
    with serving(table(number)) as peer:
        fetch_all(peer)
    assert peer.asked.total() == -(-number // 100)


def test_an_outage_in_the_middle_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LONGEST", 8)
    refused = iter(range(100))
    with serving(ROWS, Script(down=lambda served: served >= 6 and next(refused, None) is not None)) as peer:
        fetch_all(peer)
    assert peer.asked.total() >= 116


def test_a_page_that_never_comes_is_named_and_a_new_run_goes_on_there(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawl, "LONG", Patience(5, 60, ask.LONG.advice))
    with serving(ROWS, Script(broken={700})) as peer:
        with pytest.raises(
            MatliftError, match=r"the rows from 700 on of OQMD .*503.*tries.*run it again to go on there"
        ):
            fetch_all(peer)
        kept = pages(journal(cache_folder))
        assert len(kept) == 15
        peer.asked.clear()
        peer.script.broken.clear()
        fetch_all(peer)
    assert peer.asked.keys() == {700}


def test_a_finished_crawl_is_not_repeated_where_its_object_was_not_stored() -> None:
    with serving(ROWS) as peer:
        fetch_all(peer)
        peer.asked.clear()
        fetch_all(peer)
    assert not peer.asked


def test_a_killed_run_loses_only_the_pages_on_their_way(cache_folder: Path) -> None:
    environment = os.environ | {"MATLIFT_CACHE": str(cache_folder), "PYTHONPATH": str(Path(ask.__file__).parents[2])}
    with serving(table(6_000), Script(slow=0.05, faults=("reset", "502"), often=0.1)) as peer:
        with subprocess.Popen([sys.executable, "-c", RUN, peer.url], env=environment) as run:
            while peer.served.total() < 20:
                assert run.poll() is None
                time.sleep(0.005)
            run.send_signal(signal.SIGKILL)
        kept = pages(journal(cache_folder))
        assert len(kept) >= peer.served.total() - ask.CONNECTIONS
        peer.asked.clear()
        fetch_all(peer)
        assert peer.asked.keys() == set(range(0, 6_000, 100)) - kept


def test_a_database_that_changes_meanwhile_is_told_and_the_next_run_reads_it_anew() -> None:
    rows = table(1_500)
    with serving(rows, Script(changes=5)) as peer:
        with pytest.raises(MatliftError, match=r"1,501 rows and said 1,500 before, so it changed while it was read"):
            fetch_all(peer)
        peer.rows, peer.script = table(1_501), Script()
        fetch_all(peer)


def test_rows_that_stay_missing_are_told_with_their_number() -> None:
    rows = table(450)
    with serving([*rows[:449], rows[0]]) as peer:
        with pytest.raises(MatliftError, match=r"it has 450 rows, and all its pages, read 6 times, gave only 449"):
            fetch_all(peer)
        peer.rows = rows
        fetch_all(peer)


@pytest.fixture
def older(cache_folder: Path) -> Iterator[Peer]:
    """A peer whose table was read, and which has one row more since."""
    with serving(table(300)) as peer:
        fetch_all(peer)
        journal(cache_folder)
        peer.rows = table(301)
        yield peer


def test_a_new_crawl_deletes_the_journals_of_what_the_database_was(older: Peer, cache_folder: Path) -> None:
    before = journal(cache_folder)
    fetch_all(older)
    assert journal(cache_folder) != before


def test_other_recipes_keep_their_journals(older: Peer, cache_folder: Path) -> None:
    data = of(older, quantity="band gap")
    oqmd.read(data, oqmd.identity(data))
    assert len(list((cache_folder / "crawls").glob("*.sqlite"))) == 2


def test_a_journal_that_is_a_week_old_is_not_trusted(cache_folder: Path) -> None:
    with serving(ROWS) as peer:
        fetch_all(peer)
        os.utime(journal(cache_folder), (0, 0))
        peer.asked.clear()
        fetch_all(peer)
    assert peer.asked.total() == 16


def test_a_broken_journal_is_read_anew(cache_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(ROWS) as peer:
        fetch_all(peer)
        journal(cache_folder).write_bytes(b"no database" * 1000)
        fetch_all(peer)
    assert "is broken" in caplog.text


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MATLIFT_CACHE", str(tmp_path / "file" / "cache"))
    with serving(ROWS) as peer, pytest.raises(MatliftError, match=r"file/cache cannot be made.*set MATLIFT_CACHE"):
        fetch_all(peer)


def test_progress_counts_rows_and_says_why_it_waits() -> None:
    heard: list[Progress] = []
    with serving(ROWS, Script(faults=("502",), often=0.7)) as peer, listening(heard.append):
        fetch_all(peer)
    done = [progress.done for progress in heard]
    assert done == sorted(done)
    assert {progress.total for progress in heard[2:]} == {1_530}
    assert heard[-1].done == 1_530
    assert any("the service answered 502" in progress.note and "trying again in" in progress.note for progress in heard)


def test_requests_say_who_asks_and_are_never_more_than_eight_at_once() -> None:
    with serving(ROWS) as peer:
        fetch_all(peer)
    assert all(agent.startswith("matlift") for agent in peer.agents)
    assert peer.most_at_once <= 8


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 0), ("0", 0), ("17", 17), ("soon", 0), ("²", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("-5", 0)],
)
def test_retry_after_is_understood(text: str | None, seconds: float) -> None:
    assert retry_after(text) == seconds


def test_retry_after_may_be_a_date() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after(until) == pytest.approx(90, abs=2)


def test_all_connections_wait_when_the_service_asks_one_to() -> None:
    with serving(ROWS, Script(faults=("429 for a second",), often=1, most=1)) as peer, Line() as line:
        began = time.monotonic()
        url = f"{peer.url}/oqmdapi/formationenergy?fields=delta_e&limit=2&offset=0"
        line.ask(url, len, what="a page", patience=ask.LONG)
        assert time.monotonic() - began >= 1
        assert line._silent_until >= began + 1


def test_an_address_where_nothing_listens_is_soon_told(caplog: pytest.LogCaptureFixture) -> None:
    with serving([]) as peer:
        pass
    with pytest.raises(
        MatliftError, match=r"OQMD at http://127.* cannot be had: the connection failed.*tries in 0:00:00"
    ):
        oqmd.identity(of(peer))
    assert "the connection failed" in caplog.messages[0]
    assert "trying again in" in caplog.messages[0]


@pytest.mark.parametrize(
    ("link", "whole"),
    [
        ("http://oqmd.org/a?offset=2", "https://oqmd.org/a?offset=2"),
        ("https://oqmd.org/a?offset=2", "https://oqmd.org/a?offset=2"),
        ("/a?offset=2", "https://oqmd.org/a?offset=2"),
        ("http://other.org/a", "http://other.org/a"),
        (None, None),
    ],
)
def test_links_are_encrypted_where_the_service_is(link: str | None, whole: str | None) -> None:
    assert crawl._whole(link, "https://oqmd.org/a?offset=0") == whole
