"""Where candidates may come from: a table, a database that speaks OPTIMADE, or all compositions whose charges balance.

Each is a section, as in a recipe, so that a flow's parameters say it; what it needs to be read stands in one table.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd
from pydantic import ConfigDict, Field

from tasks.errors import MatliftError
from tasks.recipe import Optimade
from tasks.recipe.databases import Address
from tasks.recipe.section import Section
from tasks.screen import compositions, table

SHARD = 50_000  # candidates: seconds of work, and a few megabytes

Batches = Iterator[Sequence[str | None]]


class OfTable(Section):
    """The rows of a table, or what other files hold that `matlift predict` reads."""

    model_config = ConfigDict(title="A table")

    table: Address = Field(
        min_length=1,
        description="A path, a URL, or an s3:// URL: .csv, .tsv, .txt, .smi, .sdf, also .gz; .parquet, .cif, .xyz, "
        ".vasp, .db.",
    )
    column: str | None = Field(default=None, description="Of tables; the one called smiles or formula, if not given.")


class OfOptimade(Section):
    """The structures of a database that speaks OPTIMADE (10.1038/s41597-021-00974-z), each composition once."""

    model_config = ConfigDict(title="A database")

    optimade: Address = Field(description="Its base URL, or one of materials-project, jarvis, alexandria, oqmd.")
    filter: str | None = Field(default=None, description="In OPTIMADE's language; the whole database if none.")


class OfElements(Section):
    """All compositions of two or more of some elements whose charges balance."""

    model_config = ConfigDict(title="All compositions of some elements")

    elements: tuple[str, ...] = Field(
        min_length=2, max_length=12, description="Which may occur; formulas are written in their order."
    )
    atoms: int = Field(default=20, ge=2, le=100, description="Of a formula, at most.")


Source = OfTable | OfOptimade | OfElements
Takes = Literal["smiles", "formula"]


class Kind(NamedTuple):
    """How to read candidates of one kind.

    Attributes:
        identity: returns a short text that changes with the candidates.
        batches: yields some of them at once, given what the model takes and the identity.
        smiles: whether they can be SMILES.
    """

    identity: Callable[[Any], str]
    batches: Callable[[Any, Takes, str], Batches]
    smiles: bool = False


def identity(source: Source, takes: Takes) -> str:
    """Return a short text that changes with the candidates, as cheaply as that can be known.

    Raises:
        MatliftError: they cannot be read, or are not what the model takes.
    """
    kind = KINDS[type(source)]
    if takes == "smiles" and not kind.smiles:
        raise MatliftError("the model takes SMILES, and these candidates are formulas: name a table with SMILES")
    return kind.identity(source)


def batches(source: Source, takes: Takes, known: str) -> Batches:
    """Yield the candidates, SHARD at once; those that a table lacks are None.

    Args:
        source: where they come from.
        takes: what the model takes.
        known: their identity.

    Raises:
        MatliftError: they cannot be read.
    """
    held: list[str | None] = []
    for batch in KINDS[type(source)].batches(source, takes, known):
        held.extend(batch)
        while len(held) >= SHARD:
            yield held[:SHARD]
            del held[:SHARD]
    if held:
        yield held


def _identity_of_optimade(source: OfOptimade) -> str:
    """Return how many structures a database has, and of which version it is."""
    from tasks.fetch import optimade  # noqa: PLC0415

    return optimade.identity(_asked(source))


def _asked(source: OfOptimade) -> Optimade:
    """Return how the database is asked: for a number that every structure has, and whose unit means nothing here."""
    return Optimade(database="optimade", at=source.optimade, key="nelements", unit="K", filter=source.filter)


def _of_optimade(source: OfOptimade, _takes: Takes, known: str) -> Batches:
    """Yield the formulas of a database, each once."""
    from tasks.fetch import optimade  # noqa: PLC0415 -- it takes seconds to load

    formulas = pd.Series(optimade.read(_asked(source), known).rows["formula"]).dropna().drop_duplicates()
    for start in range(0, len(formulas), SHARD):
        yield formulas.iloc[start : start + SHARD].tolist()


KINDS: dict[type[Section], Kind] = {
    OfTable: Kind(
        lambda source: table.identity(source.table),
        lambda source, takes, _: table.batches(source.table, takes, source.column),
        smiles=True,
    ),
    OfOptimade: Kind(_identity_of_optimade, _of_optimade),
    OfElements: Kind(
        lambda source: compositions.identity(source.elements, source.atoms),
        lambda source, *_: compositions.batches(source.elements, source.atoms),
    ),
}
