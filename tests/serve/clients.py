"""Many clients at once, each of which asks again as soon as it has its answer."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import aiohttp
import numpy as np

METALS, OTHERS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Al", "Sc", "Ti", "Zn"), ("O", "S", "Se", "F", "Cl", "Br", "N")
GROUPS = ("", "O", "N", "F", "C(=O)O", "C#N", "C=O", "OC", "N(C)C", "c1ccccc1")
MANY, SHARE = 100, 0.1  # items, and how often so many are asked about; else one


class Asked(NamedTuple):
    """One request.

    Attributes:
        seconds: until all of its answer was there.
        ended: the status, or what broke the connection.
        bundle: that answered.
        values: how many items got one.
    """

    seconds: float
    ended: str
    bundle: str
    values: int


async def ask(url: str, takes: str, clients: int, seconds: float) -> list[list[Asked]]:
    """Return what each client asked, in order."""
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
        until = time.perf_counter() + seconds
        return await asyncio.gather(*(_client(session, takes, until) for _ in range(clients)))


def summary(asked: Sequence[Sequence[Asked]], seconds: float) -> str:
    """Say how many requests there were, how they ended, and how long they took."""
    every = list(chain.from_iterable(asked))
    p50, p90, p99, longest = np.percentile([one.seconds for one in every], [50, 90, 99, 100]) * 1000
    rates = f"{len(every) / seconds:,.0f} requests/s, {sum(one.values for one in every) / seconds:,.0f} items/s"
    took = f"p50 {p50:.0f} ms, p90 {p90:.0f} ms, p99 {p99:.0f} ms, longest {longest:.0f} ms"
    ended = dict(Counter(one.ended for one in every))
    return f"{len(asked)} clients, {seconds:g} s: {len(every):,} requests, {rates}; {took}; ended {ended}"


async def _client(session: aiohttp.ClientSession, takes: str, until: float) -> list[Asked]:
    done = []
    while (start := time.perf_counter()) < until:
        items = [_item(takes) for _ in range(MANY if random.random() < SHARE else 1)]
        try:
            async with session.post("/predict", json={"items": items}) as answer:
                content, ended = await answer.json(), str(answer.status)
        except aiohttp.ClientError as error:
            content, ended = {}, type(error).__name__
        values = sum(row["value"] is not None for row in content.get("predictions", []))
        done.append(Asked(time.perf_counter() - start, ended, content.get("bundle", ""), values))
    return done


def _item(takes: str) -> str:
    """Return a formula or a SMILES, one of tens of thousands."""
    if takes == "formula":
        return f"{random.choice(METALS)}{random.randint(1, 30)}{random.choice(OTHERS)}{random.randint(1, 30)}"
    return "".join(random.choice(("C", "CC", "C(C)", "CO", "CN")) for _ in range(5)) + random.choice(GROUPS)
