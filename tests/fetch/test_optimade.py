"""Any OPTIMADE server is read completely: the reference server, OQMD's of two versions, and servers without offsets."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import optimade_server
import pandas as pd
import pytest

from tasks.errors import MatliftError
from tasks.fetch import crawl, optimade, oqmd
from tasks.fetch.ask import Patience
from tasks.fetch.databases import DATABASES
from tasks.recipe import Optimade, Oqmd

STRUCTURES = [optimade_server.structure(number) for number in range(450)]
Body = dict[str, Any]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the reference server, which gives 100 structures a page at most."""
    with optimade_server.serving(tmp_path_factory.mktemp("optimade"), STRUCTURES, 100) as url:
        yield url


@contextmanager
def serving(page: Callable[[str, dict[str, str], int], Body | int]) -> Iterator[tuple[str, list[str]]]:
    """Serve what a function makes of path, query and number of the request; an int is a status without JSON."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            split = urlsplit(self.path)
            answer = page(split.path, {name: value[0] for name, value in parse_qs(split.query).items()}, len(asked))
            body = b"<html>" if isinstance(answer, int) else json.dumps(answer).encode()
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def as_oqmd(path: str, query: dict[str, str], _: int, version: str = "1.0.0") -> Body | int:
    """Answer as OQMD's server does: ids are numbers before 1.3, and it says how many structures are on the page."""
    if path != "/optimade/v1/structures" or set(query) - {"page_limit", "page_offset", "response_fields", "filter"}:
        return 404 if version == "1.0.0" else 400
    offset, limit = int(query.get("page_offset", 0)), int(query.get("page_limit", 50))
    found = STRUCTURES[offset : offset + limit]
    following = "http://oqmd.org/optimade/v1/structures?" + urlencode(
        sorted((query | {"page_offset": str(offset + limit)}).items())
    )
    return {
        "links": {"next": following if offset + limit < len(STRUCTURES) else None, "base_url": "http://oqmd.org"},
        "data": [one | {"id": int(one["id"]) if version == "1.0.0" else one["id"]} for one in found],
        "meta": {
            "api_version": version,
            "data_returned": min(limit, len(STRUCTURES) - offset),
            "data_available": len(STRUCTURES),
            "more_data_available": True,
        },
    }


def by_cursor(path: str, query: dict[str, str], _: int, *, size: int = 60) -> Body | int:
    """Answer as servers do that have cursors, links that are objects, and no numbers of structures at all."""
    if path != "/structures":
        return 404
    start = int(query.get("page_cursor", "c0")[1:])
    more = start + size < len(STRUCTURES)
    following = f"/structures?page_cursor=c{start + size}&page_limit={size}"
    return {
        "links": {"next": {"href": following, "meta": {}} if more else None},
        "data": STRUCTURES[start : start + min(size, int(query["page_limit"]))],
        "meta": {"api_version": "1.1.0", "more_data_available": more},
    }


def of(at: str, **what: str) -> Optimade:
    return Optimade.model_validate({"database": "optimade", "at": at, "key": "_oqmd_delta_e", "unit": "eV/atom"} | what)


def rows(data: Optimade) -> pd.DataFrame:
    return optimade.read(data, optimade.identity(data)).rows


def same(fetched: pd.DataFrame, name: str, served: list[Body] = STRUCTURES, key: str = "_oqmd_delta_e") -> None:
    assert fetched["record"].to_list() == [f"{name}:{one['id']}" for one in served]
    assert fetched["formula"].to_list() == [one["attributes"]["chemical_formula_reduced"] for one in served]
    values = [one["attributes"][key] for one in served]
    np.testing.assert_array_equal(fetched["value"], [np.nan if value is None else value for value in values])


@pytest.mark.parametrize("version", ["", "/", "/v1"])
def test_the_reference_server_is_read_completely_with_and_without_a_version(reference: str, version: str) -> None:
    same(rows(of(reference + version)), "127.0.0.1")


def test_the_reference_server_is_read_completely_with_a_filter(reference: str) -> None:
    iron = [one for one in STRUCTURES if "Fe" in one["attributes"]["elements"]]
    same(rows(of(reference, filter='elements HAS "Fe"')), "127.0.0.1", iron)


def test_a_structure_without_the_property_keeps_its_row(reference: str) -> None:
    assert rows(of(reference))["value"].isna().sum() == 23


def test_a_filter_that_nothing_passes_is_told(reference: str) -> None:
    with pytest.raises(MatliftError, match="has no structures for the filter nelements=9"):
        optimade.identity(of(reference, filter="nelements=9"))


def test_a_filter_that_is_none_is_told_with_the_reason(reference: str) -> None:
    with pytest.raises(MatliftError, match=r"refuses the structures of .*/v1: 400 Bad Request: .*"):
        optimade.identity(of(reference, filter="nelements="))


def test_a_field_that_no_structure_has_is_told(reference: str) -> None:
    data = of(reference, key="_exmpl_delta")
    with pytest.raises(MatliftError, match=r"no structure of 127.0.0.1 has _exmpl_delta: .*/v1/info/structures"):
        optimade.read(data, optimade.identity(of(reference)))


def test_the_identity_changes_with_the_number_of_structures() -> None:
    with serving(as_oqmd) as (url, asked):
        before = optimade.identity(of(f"{url}/optimade"))
        assert len(asked) == 1
        STRUCTURES.append(optimade_server.structure(700))
        try:
            assert optimade.identity(of(f"{url}/optimade")) != before
        finally:
            STRUCTURES.pop()


@pytest.mark.parametrize("version", ["1.0.0", "1.3.0"])
def test_oqmd_gives_the_same_records_through_optimade(version: str) -> None:
    with serving(lambda *asked: as_oqmd(*asked, version=version)) as (url, _):
        data = Oqmd(database="oqmd", at=url, api="optimade", quantity="band gap")
        records = oqmd.read(data, oqmd.identity(data))
    assert records.unit == "eV"
    same(records.rows, "OQMD", key="_oqmd_band_gap")


def test_a_server_with_cursors_and_without_numbers_is_read_to_its_end() -> None:
    with serving(by_cursor) as (url, _):
        same(rows(of(url)), "127.0.0.1")


def test_faults_lose_nothing_where_pages_are_followed() -> None:
    drawn = random.Random(1)

    def failing(path: str, query: dict[str, str], number: int) -> Body | int:
        return drawn.choice([502, 429, 200]) if drawn.random() < 0.5 else by_cursor(path, query, number)

    with serving(failing) as (url, _):
        same(rows(of(url)), "127.0.0.1")


def test_a_broken_off_walk_from_page_to_page_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawl, "LONG", Patience(5, 30, "run it again to go on there"))
    down = [True]

    def failing(path: str, query: dict[str, str], number: int) -> Body | int:
        return 503 if down[0] and query.get("page_cursor") == "c300" else by_cursor(path, query, number)

    with serving(failing) as (url, asked):
        data = of(url)
        identity = optimade.identity(data)
        with pytest.raises(
            MatliftError, match=r"the page http.*c300.* cannot be had: .*503.*run it again to go on there"
        ):
            optimade.read(data, identity)
        asked.clear()
        down[0] = False
        same(optimade.read(data, identity).rows, "127.0.0.1")
    assert [parse_qs(urlsplit(path).query)["page_cursor"] for path in asked] == [
        [f"c{at}"] for at in range(300, 450, 60)
    ]


def test_an_address_that_has_expired_does_not_block_the_next_run() -> None:
    expired = [True]

    def failing(path: str, query: dict[str, str], number: int) -> Body | int:
        return 410 if expired[0] and query.get("page_cursor") == "c300" else by_cursor(path, query, number)

    with serving(failing) as (url, _):
        data = of(url)
        with pytest.raises(MatliftError, match=r"refuses the page http.*c300.*410"):
            rows(data)
        expired[0] = False
        same(rows(data), "127.0.0.1")


def test_pages_that_lead_in_circles_are_told() -> None:
    def circling(path: str, query: dict[str, str], number: int) -> Body | int:
        body = by_cursor(path, query, number)
        if not isinstance(body, int) and query.get("page_cursor") == "c300":
            body["links"]["next"] = "/structures?page_cursor=c60&page_limit=60"
        return body

    with (
        serving(circling) as (url, _),
        pytest.raises(MatliftError, match=r"goes in circles: .*c300.* leads back to .*c60"),
    ):
        rows(of(url))


@pytest.mark.parametrize("status", [400, 403])
def test_a_server_that_refuses_large_pages_is_asked_for_smaller_ones(status: int) -> None:
    def refusing(path: str, query: dict[str, str], number: int) -> Body | int:
        return status if int(query.get("page_limit", 50)) > 20 else as_oqmd(path, query, number)

    with serving(refusing) as (url, _):
        same(rows(of(f"{url}/optimade")), "127.0.0.1")


def test_a_server_that_gives_fewer_than_asked_for_is_read_completely() -> None:
    def stingy(path: str, query: dict[str, str], number: int) -> Body | int:
        return as_oqmd(path, query | {"page_limit": str(min(30, int(query["page_limit"])))}, number)

    with serving(stingy) as (url, _):
        same(rows(of(f"{url}/optimade")), "127.0.0.1")


def test_a_formula_that_is_not_reduced_is_taken_where_it_is_the_only_one() -> None:
    one = {"id": "a", "attributes": {"chemical_formula_descriptive": "C6H6(H2O)2", "_oqmd_delta_e": 1}}
    other = {"id": "b", "attributes": {"_oqmd_delta_e": 2.5}}
    with serving(lambda *_: {"data": [one, other]}) as (url, _):
        table = rows(of(url))
    assert table["formula"].fillna("none").to_list() == ["C6H6(H2O)2", "none"]
    assert table["value"].to_list() == [1, 2.5]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("materials-project", "https://optimade.materialsproject.org"),
        ("jarvis", "https://jarvis.nist.gov/optimade/jarvisdft"),
        ("alexandria", "https://alexandria.icams.rub.de/pbe"),
        ("oqmd", "https://oqmd.org/optimade"),
    ],
)
def test_databases_have_names_and_are_cited(name: str, url: str) -> None:
    assert optimade._address(of(name), "/v1", {"page_limit": 1}).startswith(f"{url}/v1/structures?")
    about = DATABASES["optimade"].about(of(name))
    assert all("doi:" in citation for citation in about.citations)
    assert about.licence


def test_what_is_neither_a_name_nor_a_url_is_told() -> None:
    with pytest.raises(MatliftError, match=r"aflow is neither a URL .* nor one of materials-project"):
        optimade.identity(of("aflow"))
