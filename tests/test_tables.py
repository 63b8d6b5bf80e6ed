"""Tables come back from Parquet as they were, with their units."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.tables import from_parquet, to_parquet, units

text = st.none() | st.text(st.characters(codec="utf-8"), max_size=20)
row = st.tuples(text, st.floats(allow_nan=True), st.integers(-(2**63), 2**63 - 1), st.booleans())


def frame_of(rows: list[tuple[str | None, float, int, bool]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["smiles", "value", "atoms", "ring"])
    return frame.astype({"smiles": "str", "value": "float64", "atoms": "int64", "ring": "bool"})


unhurried = settings(deadline=None)  # the machine may be busy
UNITS = {"value": "kJ/mol", "atoms": "1", "ring": "1"}


@unhurried
@given(st.lists(row, max_size=8))
def test_a_table_comes_back_as_it_was(rows: list[tuple[str | None, float, int, bool]]) -> None:
    frame = frame_of(rows)
    data = to_parquet(frame, UNITS)
    pd.testing.assert_frame_equal(from_parquet(data), frame)
    assert units(data) == UNITS


@unhurried
@given(st.lists(row, max_size=8))
def test_the_same_table_gives_the_same_bytes(rows: list[tuple[str | None, float, int, bool]]) -> None:
    frame = frame_of(rows)
    again = frame_of(rows).set_index(pd.Index(range(100, 100 + len(rows))))
    again.attrs["read"] = "at another time"
    assert to_parquet(frame, UNITS) == to_parquet(again, UNITS)


def test_the_unit_stands_in_the_metadata_of_the_column(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(to_parquet(frame_of([("C", -74.5, 5, False)]), UNITS))
    schema = pq.read_schema(tmp_path / "table.parquet")
    assert schema.field("value").metadata[b"unit"] == b"kJ/mol"
    assert schema.field("smiles").metadata is None
    assert schema.metadata is None


def test_text_that_is_missing_everywhere_is_still_text() -> None:
    data = to_parquet(pd.DataFrame({"name": [None, None]}), {})
    assert from_parquet(data)["name"].dtype == "str"
    assert from_parquet(data)["name"].isna().all()


@pytest.mark.parametrize("wrong", [{}, {"value": "kJ/mol"}, UNITS | {"smiles": "1"}, UNITS | {"volume": "Å³"}])
def test_a_number_without_unit_and_a_unit_without_number_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="every column but text needs a unit"):
        to_parquet(frame_of([("C", -74.5, 5, False)]), wrong)
