"""A crawled table goes into the store once, under what its database held."""

from peer import serving, table

from tasks.fetch import fetch
from tasks.recipe import Data
from tasks.store import Store
from tasks.tables import from_parquet, units


def test_a_crawl_is_stored_and_only_repeated_when_the_database_has_changed(store: Store) -> None:
    with serving(table(250)) as peer:
        data = Data.model_validate(
            {
                "data": {"database": "oqmd", "at": peer.url, "quantity": "formation energy"},
                "rules": {"of": "compositions", "between": [-10, 10], "duplicates": "lowest"},
            }
        )
        raw = fetch.fn(data, "eV/atom")
        assert len(from_parquet(store.read(raw, "rows.parquet"))) == 250
        assert units(store.read(raw, "rows.parquet"))["value"] == "eV/atom"
        peer.asked.clear()
        assert fetch.fn(data, "eV/atom") == raw
        assert not peer.asked
        peer.rows = table(251)
        assert fetch.fn(data, "eV/atom") != raw
