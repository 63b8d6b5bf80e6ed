"""Crawls a table that a web service gives page by page, completely, however the service fails meanwhile.

Services have no order of their own, so rows repeat and go missing between pages: rows are told apart by their id, and
all pages are read again until there are as many rows as the service says. What is read is kept in a journal page by
page, so a run that ends at any moment loses at most the pages on their way.
"""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urljoin, urlsplit, urlunsplit

import pandas as pd
from pydantic import BaseModel

from tasks.errors import MatliftError
from tasks.fetch.ask import CONNECTIONS, LONG, Line, OddError, RefusedError
from tasks.fetch.journal import Journal, Plan, Row
from tasks.passwords import hidden
from tasks.progress import report

ROUNDS = 6  # times that all pages are read, at most, until no row is missing


class Href(BaseModel):
    """A link as an object."""

    href: str


class Links(BaseModel):
    """The links of a page."""

    next: str | Href | None = None


class Meta(BaseModel):
    """What a page says of itself and of all pages; more_data_available, which OQMD always says, is not trusted."""

    api_version: str | None = None
    data_returned: int | None = None
    data_available: int | None = None


class Body(BaseModel):
    """The body of a page, in OQMD's REST and in OPTIMADE alike."""

    data: list[dict[str, Any]]
    links: Links = Links()
    meta: Meta = Meta()

    @property
    def next(self) -> str | None:
        """The address of the next page."""
        return self.links.next.href if isinstance(self.links.next, Href) else self.links.next


class Page(NamedTuple):
    """One page.

    Attributes:
        rows: its rows.
        next: the address of the next page.
        total: the rows of all pages, if it says so.
        available: the rows of the whole database, if it says so.
    """

    rows: list[Row]
    next: str | None
    total: int | None
    available: int | None


class Service(NamedTuple):
    """How a service is asked.

    Attributes:
        name: for messages.
        address: returns the address of the page of so many rows at an offset.
        offset: the parameter of addresses that is the offset.
        sizes: numbers of rows to ask a page for: the first one that it does not refuse is taken.
        read: makes a page of a body; raises ValueError for what is none.
    """

    name: str
    address: Callable[[int, int], str]
    offset: str
    sizes: tuple[int, ...]
    read: Callable[[bytes], Page]


def crawl(service: Service, part: str, identity: str) -> pd.DataFrame:
    """Return all rows of a service: id, formula, value, energy.

    Args:
        service: how it is asked.
        part: all that the recipe says of the data; with `identity` it names the journal where a new run goes on.
        identity: what the database holds.

    Raises:
        MatliftError: a page cannot be had, rows stay missing, or the database changed meanwhile.
    """
    with Journal(part, identity) as journal, Line() as line:
        reader = _Reader(service, journal, line)
        plan = journal.plan or reader.begin()
        for _ in range(ROUNDS):
            reader.read(plan)
            if reader.complete(plan):
                return journal.table()
            plan = plan._replace(turn=plan.turn + 1)
            journal.begin(plan)
        raise MatliftError(
            f"{service.name} says that it has {plan.total:,} rows, and all its pages, read {ROUNDS} times, gave only "
            f"{journal.count():,} different ones; what was read is kept: run it again to go on looking"
        )


class _Reader:
    """Reads the pages of one service into a journal."""

    def __init__(self, service: Service, journal: Journal, line: Line) -> None:
        self._service = service
        self._journal = journal
        self._line = line
        self._done, self._total = 0, 1  # rows, for progress

    def begin(self) -> Plan:
        """Read the first page and return how the others are to be read."""
        *larger, least = self._service.sizes
        for size in larger:
            try:
                return self._begin(size)
            except RefusedError:  # it may be the size that it refuses
                continue
        return self._begin(least)

    def read(self, plan: Plan) -> None:
        """Read all pages that the journal lacks."""
        if plan.step is None or plan.total is None:  # the one is none with the other
            self._follow(plan)
            return
        shift = plan.turn % ROUNDS * plan.step // ROUNDS  # other pages each time: the same might lack the same rows
        offsets = [0] * bool(shift) + list(range(shift, plan.total, plan.step))
        done = self._journal.pages()
        wanted = [offset for offset in offsets if str(offset) not in done]
        for number, (offset, page) in enumerate(self._at_once(plan, wanted), len(offsets) - len(wanted) + 1):
            self._journal.put(str(offset), page.rows)
            self._report(min(number * plan.step, plan.total), plan)
            if plan.turn and self._journal.count() == plan.total:
                return

    def complete(self, plan: Plan) -> bool:
        """Tell whether the journal has all rows, as far as the service says how many there are."""
        count = self._journal.count()
        if plan.total is not None and count > plan.total:
            self._journal.forget()
            raise MatliftError(
                f"{self._service.name} says that it has {plan.total:,} rows and gave {count:,} different ones, so it "
                "changed while it was read; run it again to read it as it is now"
            )
        return plan.total in {None, count}

    def _begin(self, size: int) -> Plan:
        """Read the first page of a size."""
        url = self._service.address(0, size)
        page = self._ask(url, self._service.read, f"the first {size:,} rows", self._say)
        step = None if page.total is None else _offset(page.next, self._service.offset)
        plan = Plan(size, step, page.total, page.available)
        self._journal.begin(plan)
        self._journal.put(url if step is None else "0", page.rows, _whole(page.next, url))
        return plan

    def _follow(self, plan: Plan) -> None:
        """Read the pages one by one, each one's address from the one before."""
        journal = self._journal
        seen = journal.pages()
        url = journal.position if seen else self._service.address(0, plan.size)
        while url is not None:
            try:
                page = self._ask(url, self._reads_same(plan), f"the page {hidden(url)}", self._say)
            except RefusedError:
                journal.begin(plan)  # the address may have expired: the next run begins with the first page
                raise
            following = _whole(page.next, url)
            seen.add(url)
            if following in seen:
                raise MatliftError(
                    f"{self._service.name} goes in circles: {hidden(url)} leads back to {hidden(following)}"
                )
            journal.put(url, page.rows, following)
            self._report(journal.count(), plan)
            url = following

    def _at_once(self, plan: Plan, offsets: list[int]) -> Iterator[tuple[int, Page]]:
        """Yield the pages at some offsets as they come, asked for by several threads.

        The threads never hold more than a page each. They are daemons, so that one that waits for an answer does not
        keep a process from ending.
        """
        wanted: SimpleQueue[int | None] = SimpleQueue()
        found: SimpleQueue[tuple[int, Page] | Exception | str] = SimpleQueue()

        def work() -> None:
            while (offset := wanted.get()) is not None:
                url = self._service.address(offset, plan.size)
                try:
                    page = self._ask(url, self._reads_same(plan), f"the rows from {offset:,} on", found.put)
                    found.put((offset, page))
                except Exception as error:  # noqa: BLE001 raised again in the thread that waits
                    found.put(error)

        rest = iter(offsets)
        for offset in islice(rest, CONNECTIONS):
            wanted.put(offset)
            threading.Thread(target=work, daemon=True).start()
        try:
            missing = len(offsets)
            while missing:
                answer = found.get()
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, str):
                    self._say(answer)
                    continue
                wanted.put(next(rest, None))
                missing -= 1
                yield answer
        finally:
            for _ in range(CONNECTIONS):
                wanted.put(None)

    def _ask(self, url: str, read: Callable[[bytes], Page], what: str, say: Callable[[str], None]) -> Page:
        """Return the page at an address."""
        return self._line.ask(url, read, what=f"{what} of {self._service.name}", patience=LONG, say=say)

    def _reads_same(self, plan: Plan) -> Callable[[bytes], Page]:
        """Return what reads a page, and wonders if the database is not of the same size any more."""

        def read(body: bytes) -> Page:
            page = self._service.read(body)
            if None not in (plan.available, page.available) and page.available != plan.available:
                raise OddError(
                    f"it says that it has {page.available:,} rows and said {plan.available:,} before, so it changed "
                    "while it was read"
                )
            return page

        return read

    def _report(self, done: int, plan: Plan) -> None:
        """Report how many rows were read."""
        self._done, self._total = done, plan.total or done
        report(f"read {self._service.name}", self._done, self._total)

    def _say(self, note: str) -> None:
        """Report why reading waits."""
        report(f"read {self._service.name}", self._done, self._total, note)


def _whole(link: str | None, url: str) -> str | None:
    """Return a link of the page at an address as a whole address, encrypted if that one is.

    A service behind a proxy may not know that it is encrypted, and would have all that follows asked for in the open.
    """
    if link is None:
        return None
    found, own = urlsplit(urljoin(url, link)), urlsplit(url)
    unaware = (own.scheme, own.hostname, found.scheme) == ("https", found.hostname, "http")
    return urlunsplit(found._replace(scheme="https", netloc=own.netloc) if unaware else found)


def _offset(link: str | None, name: str) -> int | None:
    """Return the offset in an address, if it has one that leads on."""
    (text,) = parse_qs(urlsplit(link or "").query).get(name, ["0"])[:1]
    return int(text) if text.isdecimal() and int(text) else None
