"""The store's page: what it says, what it leads to, that it is served to browsers, and how it looks in one."""

import dataclasses
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from browser import Page, browser
from matplotlib.image import imread
from published import RECIPE, candidate, predictions, put

from deployments.page import page_of
from flows.cli import main
from tasks import retention
from tasks.handles import Bundle
from tasks.promote import champion
from tasks.promote.champion import challenge, rollback
from tasks.publish.words import number
from tasks.s3 import content_type, endpoint
from tasks.site import PAGE, rebuild
from tasks.site.page import SHOWN, write_page
from tasks.site.records import gather
from tasks.store import Store

SCALES = (1.0, 1.2, 0.8, 0.7)  # of the errors of the bundles: the second is not promoted, the last rolled back
WIDTHS = {"wide": 1100, "narrow": 390}

# The texts whose contrast with what is behind them is below 4.5, the least that WCAG asks of small ones.
FAINT = """
(() => {
  const light = c => c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, place) => sum + v * [.2126, .7152, .0722][place], 0);
  const parse = c => c.match(/[0-9.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3]) return c.slice(0, 3); } };
  return [...document.body.querySelectorAll("*")]
    .filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()))
    .filter(e => {
      const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e))];
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5;
    }).map(e => e.textContent);
})()
"""


class Parsed(HTMLParser):
    """A page taken apart: its tags with their attributes, and what a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)
        self.text = " ".join(self.text.replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.text += " "

    def handle_endtag(self, tag: str) -> None:
        self.text += " " * (tag not in {"a", "code"})

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attributes[attribute] for name, attributes in self.tags if name == tag and attribute in attributes]


@pytest.fixture(scope="module")
def store(shared_store: Store) -> Iterator[Store]:
    """A store with four bundles of as many weeks, on each of which the gate has decided."""
    with pytest.MonkeyPatch.context() as patch:
        for place, scale in enumerate(SCALES, start=1):
            patch.setattr(champion, "_now", lambda place=place: f"2026-01-{7 * place:02d}T01:00:00+00:00")
            challenge(shared_store, put(shared_store, candidate(7 * place, predictions(scale, seed=place))), 0.95)
        patch.setattr(champion, "_now", lambda: "2026-01-30T12:00:00+00:00")
        rollback(shared_store, RECIPE)
        rebuild(shared_store)
        yield shared_store


@pytest.fixture(scope="module")
def page(store: Store) -> Parsed:
    return Parsed((store.files.get(PAGE) or b"").decode())


@pytest.fixture(scope="module")
def address(store: Store) -> Iterator[str]:
    with page_of(store, 0) as lent:
        yield lent


def test_it_says_what_is_in_use_and_what_became_of_each_bundle(page: Parsed, store: Store) -> None:
    assert "1 recipe, 4 bundles, as of 2026-01-30 12:00 UTC." in page.text
    assert "Band gaps of <alloys>" in page.text  # escaped, or the parser would take it for a tag
    assert (
        "In use since 2026-01-30 12:00 UTC: fine-tuning. Rolled back by hand from bundles/alloys/000000000000001c."
        in page.text
    )
    for state in (
        "In use It is better",
        "Not promoted It is not as good",
        "Replaced 2026-01-21 01:00 There was no champion",
        "Rolled back 2026-01-30 12:00 It is better",
    ):
        assert page.text.count(state) == 1, state
    metrics = store.pointer(f"bundles/{RECIPE}/{21:016x}/metrics.json") or {}
    assert f"{number(metrics['methods']['fine-tune']['mae'])} eV mean absolute error" in page.text
    assert "400 measurements learnt from" in page.text


def test_it_loads_nothing_and_every_link_leads_to_a_file_of_the_store(page: Parsed, store: Store) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "base", "img"} & {tag for tag, _ in page.tags}
    files = set(page.all("a", "href"))
    assert len({link for link in files if link.endswith("/report.html")}) == 4
    assert files <= set(store.files.find(f"bundles/{RECIPE}"))


def test_the_history_has_a_mark_for_each_bundle_filled_if_it_was_in_use(page: Parsed) -> None:
    paths: dict[str, str] = {}
    for tag, attributes in page.tags:
        if tag == "path":
            paths.setdefault(attributes["class"], attributes["d"])  # the legend's come later
    marks = {name: path.count("M") for name, path in paths.items() if name != "grid"}
    assert marks == {"scratch": 4, "rings": 1, "holes": 1, "discs": 3, "used": 1}
    assert paths["used"].count("H") == 4  # first, third, fourth, and the third again
    assert "mean absolute error (eV)" in page.text


def test_the_store_keeps_what_browsers_must_know_of_each_file(store: Store) -> None:
    folder = f"{store.files.key('')}bundles/{RECIPE}/{7:016x}"
    for name, kind in (
        ("report.html", "text/html; charset=utf-8"),
        ("README.md", "text/plain; charset=utf-8"),
        ("metrics.json", "application/json"),
        ("weights.safetensors", "application/octet-stream"),
    ):
        assert store.files._fs.info(f"{folder}/{name}")["ContentType"] == kind == content_type(name)
    assert store.files._fs.info(store.files.key(PAGE))["ContentType"] == "text/html; charset=utf-8"


def test_a_page_that_would_say_the_same_is_not_written_again(store: Store) -> None:
    before = store.files.entries("")[PAGE]
    rebuild(store)
    assert store.files.entries("")[PAGE] == before


def test_browsers_get_the_page_and_the_files_it_leads_to(address: str, store: Store, page: Parsed) -> None:
    answer = httpx.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.content == store.files.get(PAGE)
    for link in set(page.all("a", "href")):
        if link.endswith(("report.html", "README.md")):
            found = httpx.get(f"{address}/{link}")
            assert (found.status_code, found.content) == (200, store.files.get(link))
    head = httpx.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/bundles/alloys/none/report.html", "127.0.0.1:1", 404),
        ("/landing/alloys/inbox/secret.csv", "127.0.0.1:1", 404),
        ("/bundles/../landing/alloys/inbox/secret.csv", "127.0.0.1:1", 404),
        ("/bundles/%2e%2e/landing/alloys/inbox/secret.csv", "127.0.0.1:1", 404),
        ("/bundles//x", "127.0.0.1:1", 404),
        ("/", "localhost:1", 200),
        ("/", "evil.example:80", 403),
    ],
)
def test_nothing_else_of_the_store_is_lent_and_to_no_page_elsewhere(
    address: str, store: Store, path: str, host: str, status: int
) -> None:
    store.files.replace("landing/alloys/inbox/secret.csv", b"secret")
    connection = http.client.HTTPConnection(urlsplit(address).netloc)  # which sends the path as it is
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    assert answer.status == status
    assert b"secret" not in answer.read()
    connection.close()


def test_of_two_publications_at_once_both_are_on_the_page(store: Store) -> None:
    start = threading.Barrier(2)

    def publish(name: str) -> None:
        own = Store(store.url)
        one = candidate(1, predictions(1.0))
        own.write(Bundle(one.bundle.fingerprint, name), one.files, 0)
        start.wait()
        rebuild(own)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(publish, ["first-more", "second-more"]))
    found = Parsed((store.files.get(PAGE) or b"").decode())
    assert set(found.all("a", "href")) > {f"#{RECIPE}", "#first-more", "#second-more"}
    assert found.text.count("No model is in use yet.") == 2
    store.files.remove([path for path in store.files.find("bundles") if "-more/" in path])
    rebuild(store)


def test_an_empty_store_has_a_page(store_server: str) -> None:
    empty = Store(f"{store_server}/nothing-here")
    rebuild(empty)
    assert "Nothing has been published yet" in (empty.files.get(PAGE) or b"").decode()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser(1100, 1300) as lent:
        yield lent


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_light_and_dark_on_a_desk_and_on_a_telephone(
    chromium: Page, address: str, scheme: str, width: str, tmp_path: Path
) -> None:
    chromium.size(WIDTHS[width], 1300)
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    chromium.open(address)
    said = chromium.until("Published models", "What was published", "mean absolute error (eV)")
    assert "Band gaps of <alloys>" in said
    assert chromium.value("document.documentElement.scrollWidth <= window.innerWidth")  # nothing sticks out
    assert chromium.value("[...document.querySelectorAll('.wide')].every(e => e.scrollWidth <= e.clientWidth)")
    assert chromium.value(FAINT) == []
    chromium.picture(tmp_path / "page.png", WIDTHS[width], 1300)  # which someone should look at
    pixels = imread(tmp_path / "page.png")[:, :, :3]
    assert pixels.mean() < 0.3 if scheme == "dark" else pixels.mean() > 0.7
    assert pixels.std() > 0.05  # there is something on it


def test_marks_and_links_lead_to_the_reports(chromium: Page, address: str) -> None:
    for part in (".plot", ".bundles"):
        chromium.open(address)
        chromium.until("What was published")
        chromium.value(f"document.querySelector('{part} a[href$=\"{21:016x}/report.html\"]').click()")
        chromium.until("Δ")  # the report is UTF-8, and the browser knows
        assert chromium.value("location.pathname") == f"/bundles/{RECIPE}/{21:016x}/report.html"


def test_it_is_a_static_site_of_the_store_itself(chromium: Page, store: Store) -> None:
    """As AWS has it: a policy lets everybody read page and bundles, and the browser asks the store."""
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    allowed = [f"arn:aws:s3:::{bucket}/{prefix}/{part}" for part in (PAGE, "bundles/*")]
    read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": allowed}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [read]})
    store.files._fs.call_s3("put_bucket_policy", Bucket=bucket, Policy=policy)
    root = f"{endpoint()}/{bucket}/{prefix}"
    try:
        chromium.open(f"{root}/{PAGE}")
        chromium.until("Published models", "In use")
        chromium.value("document.querySelector('a[href$=\"report.html\"]').click()")
        chromium.until("Δ")
        assert chromium.value("location.pathname").endswith("/report.html")
        assert httpx.get(f"{root}/conditional-write-probe").status_code == 403
    finally:
        store.files._fs.call_s3("delete_bucket_policy", Bucket=bucket)


def test_what_cannot_be_read_is_told_and_the_rest_shown(store: Store) -> None:
    before = store.files.get(PAGE)
    decision = store.files.find(f"bundles/{RECIPE}/decisions")[0]
    held, odd = store.files.get(decision) or b"", "bundles/odd/00000000000000aa"
    store.files.replace(decision, held[:-20])
    store.files.replace(f"bundles/{RECIPE}/decisions/0000.json", b'{"challenger": {"bundle": "../../x"}}')
    store.files.replace(f"{odd}/manifest.json", b'{"made": "2026-01-01T00:00:00+00:00", "files": {}}')
    rebuild(store)
    found = Parsed((store.files.get(PAGE) or b"").decode())
    assert "2 recipes, 4 bundles" in found.text
    assert f"{decision} in the store {store.url} is damaged" in found.text
    assert f"bundles/{RECIPE}/decisions/0000.json is not as this version of matlift writes it" in found.text
    assert f"{odd} in the store {store.url} has no file metrics.json" in found.text
    assert "It is older than the gate." in found.text  # what is known of the bundle without the decision
    store.files.replace(decision, held)
    store.files.remove([f"bundles/{RECIPE}/decisions/0000.json", f"{odd}/manifest.json"])
    rebuild(store)
    assert store.files.get(PAGE) == before


def test_of_hundreds_of_bundles_it_stays_small_and_is_written_fast(store: Store) -> None:
    (record,) = gather(store)
    newest, first = record.bundles[0], datetime.fromisoformat(record.bundles[0].made)
    many = [
        dataclasses.replace(
            newest,
            bundle=Bundle(f"{day:016x}", RECIPE),
            facts={**newest.facts, "made": (first + timedelta(days=day)).isoformat(), "mae": 1 + day % 7 / 10},
        )
        for day in range(500, 0, -1)
    ]
    start = time.perf_counter()
    page = write_page(
        [dataclasses.replace(record, name=name, bundles=many) for name in ("one", "two", "three", "four")]
    )
    assert time.perf_counter() - start < 2
    assert len(page) < 200_000
    found = Parsed(page)
    assert found.text.count("And 480 older bundles, in bundles/one/") == 1
    assert found.all("a", "href").count(f"bundles/{RECIPE}/{500:016x}/report.html") == 2 * 4
    assert f"bundles/{RECIPE}/{500 - SHOWN:016x}/report.html" not in found.all("a", "href")
    assert [path.count("M") for path in found.all("path", "d") if path.count("M") > 100] == [500, 497, 497] * 4


def test_a_page_that_cannot_be_written_is_said_and_keeps_nobody_from_promoting(
    store_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Store(f"{store_server}/obstructed")
    put(other, candidate(1, predictions(1.0)))
    other.files.replace(f"{PAGE}/x", b"a folder is where the page should be")
    assert main(["promote", RECIPE, "--store", other.url]) == 0
    said = capsys.readouterr()
    assert "is now champion" in said.out
    assert said.err.startswith("matlift: the store's page is not new: ")


def test_prune_leaves_no_link_to_what_is_gone(store_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Store(f"{store_server}/pruned")
    monkeypatch.setenv("MATLIFT_STORE", other.url)
    monkeypatch.setattr(retention, "YOUNG", -timedelta(days=1))
    for place, scale in enumerate((1.0, 1.2, 1.3), start=1):
        challenge(other, put(other, candidate(place, predictions(scale, seed=place))), 0.95)
    assert main(["prune", "--store", other.url, "--keep", "1"]) == 0
    found = Parsed((other.files.get(PAGE) or b"").decode())
    assert f"bundles/alloys/{3:016x}/report.html" in found.all("a", "href")
    assert not [link for link in found.all("a", "href") if f"{2:016x}" in link]
    assert found.text.count("pruned") == 1
    assert "1 recipe, 3 bundles" in found.text  # its error is remembered
