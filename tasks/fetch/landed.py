"""The rows that were landed for a recipe, which follow those of its target's database."""

from tasks.fetch.records import Records
from tasks.handles import Landing
from tasks.store import Store
from tasks.tables import from_parquet, units


def list_landings(store: Store, recipe: str) -> list[Landing]:
    """Return what has been landed for a recipe so far, in the order of the fingerprints."""
    paths = store.list(f"{Landing.kind}/{recipe}")
    return [Landing(path.rpartition("/")[2], recipe) for path in paths]


def read_landing(store: Store, landing: Landing) -> Records:
    """Return the good rows of a landed file, in the unit that the property had when it was landed.

    Raises:
        MatliftError: the store cannot be used, or the file in it is damaged.
    """
    data = store.read(landing, "rows.parquet")
    return Records(from_parquet(data), units(data)["value"])  # type: ignore[arg-type]  # one of Unit, as it was packed
