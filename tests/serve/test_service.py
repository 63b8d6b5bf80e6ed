"""The service predicts what the library predicts, refuses what is too much in a sentence, and never breaks."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from clients import Asked, ask, summary
from service import Service
from wire import Wire

from deployments.serve.running import serve
from tasks.errors import MatliftError
from tasks.handles import Bundle
from tasks.parallel import cores
from tasks.predict import load
from tasks.promote.champion import promote_by_hand, rollback
from tasks.recipe import Gate
from tasks.store import Store

CLIENTS, SECONDS = 50, 6  # in earnest: measure.py
JSON = {"Content-Type": "application/json"}
TOKEN = "hunter2-of-the-laboratory"  # noqa: S105 -- of a service that lives for seconds
BAD = {"": "there is no formula", "Fe(": "is not closed", "Qq2": "Qq is no element"}
MALFORMED = {
    "no JSON": b"{",
    "no UTF-8": b'{"items": ["\xff"]}',
    "nothing": b"",
    "no object": b"[]",
    "no items": b"{}",
    "no list": b'{"items": "NaCl"}',
    "no text": b'{"items": ["NaCl", 7]}',
    "no number": b'{"items": [NaN]}',
    "far too deep": b'{"items": ' + b"[" * 100_000,
    "too many": json.dumps({"items": ["NaCl"] * 10_001}).encode(),
    "a million faults": b'{"items": [' + b"1," * 1_000_000 + b"1]}",
}


@pytest.fixture(scope="module")
def limited(start: Callable[..., Service], published: Any) -> Service:
    """One that asks for a token, takes a lot, and has little time for it."""
    limits = {"SERVE_SECONDS": "2", "SERVE_ITEMS": "2000000", "SERVE_BYTES": "20000000", "SERVE_TOKEN": TOKEN}
    return start(str(published.folder), **{f"MATLIFT_{name}": value for name, value in limits.items()})


@pytest.fixture(scope="module")
def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


def test_nothing_that_can_be_asked_breaks_it_or_its_word(service: Service, tmp_path: Path) -> None:
    program = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/openapi.json", "--no-color"]
    ended = subprocess.run(
        [*program, "--checks=all", "--max-examples=20", "--phases=examples,coverage,fuzzing"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stdout


def test_it_predicts_what_the_library_predicts_and_names_the_bundle(service: Service, published: Any) -> None:
    said = service.predict(published.items).raise_for_status().json()
    expected = load(str(published.folder)).predict(published.items)
    assert [row["item"] for row in said["predictions"]] == published.items
    for name in ("value", "lower", "upper"):
        assert [row[name] for row in said["predictions"]] == pytest.approx(expected[name].tolist(), rel=1e-9)
    assert [row["in_domain"] for row in said["predictions"]] == expected["in_domain"].tolist()
    assert said["bundle"] == published.bundle.fingerprint
    assert (said["unit"], said["takes"], said["level"]) == ("eV/atom", "formula", 0.9)


def test_bad_items_come_back_in_their_place(service: Service, published: Any) -> None:
    answer = service.predict([published.items[0], *BAD, published.items[1]])
    assert answer.status_code == 200
    assert "NaN" not in answer.text
    rows = answer.json()["predictions"]
    assert [row["value"] is None for row in rows] == [False, *[True] * len(BAD), False]
    for row, reason in zip(rows[1:-1], BAD.values(), strict=True):
        assert reason in row["reason"]
        assert row["lower"] is row["upper"] is None
    assert service.measure('matlift_items_total{what="bad"}') >= len(BAD)
    half = service.client.post("/predict", content=rb'{"items": ["\ud800"]}', headers=JSON).raise_for_status()
    assert half.json()["predictions"][0]["value"] is None


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_one_sentence(service: Service, name: str) -> None:
    body = MALFORMED[name]
    answer = service.client.post("/predict", content=body, headers=JSON)
    assert 400 <= answer.status_code < 500
    assert 5 < len(answer.json()["detail"]) < 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(service: Service, chunked: object) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    answer = service.client.post("/predict", content=parts() if chunked else b" " * 3_000_000)
    assert answer.status_code == 413
    assert "at most 2,097,152 bytes" in answer.json()["detail"]


def test_what_takes_too_long_is_ended_and_health_answers_meanwhile(limited: Service, bearer: dict[str, str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(limited.predict, ["NaCl"] * 1_000_000, headers=bearer)
        looks = 0
        while not asked.done():
            assert limited.client.get("/health/live").json() == {"live": True}
            looks += 1
    assert looks > 3
    assert asked.result().status_code == 504
    assert asked.result().json()["detail"] == "it takes more than 2 s: send fewer items"
    assert limited.predict(["NaCl"], headers=bearer).json()["predictions"][0]["value"] is not None


def test_a_request_that_does_not_come_is_not_waited_for(limited: Service) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    url = httpx.URL(limited.url)
    with socket.create_connection((url.host, url.port), timeout=60) as caller:
        caller.sendall(head.encode())
        assert b" 408 " in caller.recv(4096)


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"])
def test_without_the_token_only_health_answers(limited: Service, given: str | None) -> None:
    headers = {"Authorization": given.encode("latin-1")} if given else {}
    for answer in (
        limited.client.post("/predict", content=b"{", headers=headers),
        limited.client.get("/model", headers=headers),
        limited.client.get("/metrics", headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert limited.client.get("/health/ready", headers=headers).status_code == 200


def test_the_token_opens_and_is_never_said(limited: Service, bearer: dict[str, str]) -> None:
    said = limited.client.get("/model", headers=bearer).raise_for_status()
    assert said.json()["most_items"] == 2_000_000
    assert TOKEN not in limited.log.read_text() + said.text + limited.client.get("/openapi.json").text


def test_more_than_can_wait_is_sent_away_at_once(limited: Service, bearer: dict[str, str]) -> None:
    async def post(session: aiohttp.ClientSession, items: list[str]) -> tuple[int, str | None]:
        async with session.post("/predict", json={"items": items}) as answer:
            return answer.status, answer.headers.get("Retry-After")

    async def crowd() -> list[tuple[int, str | None]]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(limited.url, connector=connector, headers=bearer) as session:
            slow = [asyncio.create_task(post(session, ["NaCl"] * 1_000_000)) for _ in range(cores())]
            await asyncio.sleep(1)
            quick = await asyncio.gather(*(post(session, ["NaCl"]) for _ in range(250)))
            await asyncio.gather(*slow)
            return quick

    ended = asyncio.run(crowd())
    assert (503, "1") in ended
    assert set(ended) <= {(503, "1"), (200, None)}


def test_a_champion_takes_over_in_mid_load_and_nothing_is_dropped(
    followed: Service, served_store: Store, copy: Callable[[str], Bundle]
) -> None:
    first, second = followed.ready()["bundle"], copy("b" * 8)

    async def load() -> list[list[Asked]]:
        asking = asyncio.create_task(ask(followed.url, "formula", CLIENTS, SECONDS))
        await asyncio.sleep(SECONDS / 4)
        await asyncio.to_thread(promote_by_hand, served_store, second, Gate().confidence)
        parts = [await asking]
        while (await asyncio.to_thread(followed.ready))["bundle"] == first:  # a busy machine takes longer
            parts.append(await ask(followed.url, "formula", CLIENTS, SECONDS))
        parts.append(await ask(followed.url, "formula", CLIENTS, 1))
        return [[one for part in client for one in part] for client in zip(*parts, strict=True)]

    asked = asyncio.run(load())
    print(summary(asked, SECONDS))  # noqa: T201 -- seen with -s, and if it fails
    assert {one.ended for client in asked for one in client} == {"200"}
    for client in asked:
        assert [bundle for bundle, _ in groupby(one.bundle for one in client)] == [first, second.fingerprint]


def test_a_champion_that_does_not_load_stays_out(
    followed: Service, served_store: Store, copy: Callable[[str], Bundle]
) -> None:
    sound, spoiled = copy("c" * 8), copy("d" * 8)
    promote_by_hand(served_store, sound, Gate().confidence)
    followed.until(lambda: followed.ready()["bundle"] == sound.fingerprint)
    served_store.files.create(f"{spoiled.path}/code.pickle", b"nobody has listed it")
    promote_by_hand(served_store, spoiled, Gate().confidence)
    trouble = followed.until(lambda: followed.ready()["trouble"])
    assert "holds 'code.pickle', which its manifest does not list" in trouble
    assert f"{trouble}; the bundle {sound.fingerprint} goes on answering" in followed.log.read_text()
    assert followed.predict(["NaCl"]).raise_for_status().json()["bundle"] == sound.fingerprint
    assert followed.measure("matlift_champion_trouble") == 1
    rollback(served_store, sound.recipe)
    followed.until(lambda: followed.ready()["trouble"] is None)
    assert followed.ready()["bundle"] == sound.fingerprint


def test_a_store_that_is_away_is_told_of_and_missed_by_nobody(
    followed: Service, served_store: Store, copy: Callable[[str], Bundle], wire: Wire
) -> None:
    before, after = followed.ready()["bundle"], copy("e" * 8)
    wire.cut()
    try:
        trouble = followed.until(lambda: followed.ready()["trouble"])
        promote_by_hand(served_store, after, Gate().confidence)
        assert followed.predict(["NaCl"]).raise_for_status().json()["bundle"] == before
    finally:
        wire.mend()
    assert "does not answer" in trouble
    followed.until(lambda: followed.ready()["bundle"] == after.fingerprint)
    assert followed.ready()["trouble"] is None


def test_what_has_been_asked_is_answered_before_it_ends(followed: Service) -> None:
    """The last one that asks it."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(followed.predict, ["NaCl"] * 60_000)
        followed.until(lambda: followed.measure("matlift_requests_waiting") == 1)
        status = followed.stop()
        assert len(asked.result().raise_for_status().json()["predictions"]) == 60_000
    assert status == 0
    assert "The service is down." in followed.log.read_text()


def test_what_cannot_be_served_is_one_sentence(service: Service, published: Any, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((published.folder / "manifest.json").read_bytes())
    taken = int(service.url.rpartition(":")[2])
    for location, port, said in (
        (tmp_path / "none", 0, "there is no published model"),
        (tmp_path, 0, "is missing"),
        (published.folder, taken, f"cannot listen at 127.0.0.1, port {taken}"),
    ):
        with pytest.raises(MatliftError, match=said):
            serve(location.__str__, "127.0.0.1", port)


def test_it_starts_without_prefect() -> None:
    program = (
        "import sys, flows.cli, deployments.serve.running; print({'prefect', 'torch', 'sklearn'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ended.stdout == "set()\n"
