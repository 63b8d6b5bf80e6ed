"""The databases by name: how each is asked, and what is to be said of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tasks.fetch import chemicals, cmr, optimade, oqmd, qm9, table
from tasks.fetch.about import About
from tasks.fetch.records import Records


class Database(NamedTuple):
    """How to ask one database.

    Attributes:
        identity: returns what the database holds right now, as a short text that changes with it; cheap.
        read: returns its records; given the identity, under which it may keep what a read that breaks off has got.
        about: returns what the model card says of it.
        libraries: distributions whose version can change the records.
        modules: modules of matlift, beside its own, whose code can change them.
    """

    identity: Callable[[Any], str]
    read: Callable[[Any, str], Records]
    about: Callable[[Any], About]
    libraries: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


CRAWLED = ("tasks.fetch.crawl", "tasks.fetch.rows")

# By their names in recipes; each is the module of that name.
DATABASES = {
    "chemicals": Database(chemicals.identity, chemicals.read, chemicals.about),
    "cmr": Database(cmr.identity, cmr.read, cmr.about, modules=("tasks.fetch.ase_table",)),
    "optimade": Database(optimade.identity, optimade.read, optimade.about, modules=CRAWLED),
    "oqmd": Database(
        oqmd.identity,
        oqmd.read,
        oqmd.about,
        libraries=("openpyxl", "pyarrow"),
        modules=("tasks.fetch.optimade", "tasks.fetch.oqmd_dump", "tasks.fetch.table", "tasks.fetch.files", *CRAWLED),
    ),
    "qm9": Database(qm9.identity, qm9.read, qm9.about),
    "table": Database(
        table.identity,
        table.read,
        table.about,
        libraries=("openpyxl", "pyarrow"),
        modules=tuple(f"tasks.fetch.{name}" for name in ("files", "presets", "chemicals", "janaf")),
    ),
}
