"""The tables of the package chemicals are joined with structures and converted, and a broken one is named."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from tasks.errors import MatliftError
from tasks.fetch import chemicals
from tasks.fetch.records import pack
from tasks.formulas import amounts
from tasks.recipe import Chemicals
from tasks.tables import from_parquet, units

DATA = Chemicals(database="chemicals", tables=("ATcT", "CRC", "WebBook"))


@pytest.fixture(scope="module")
def raw() -> bytes:
    return pack(chemicals.read(DATA, ""), "kJ/mol")


@pytest.fixture(scope="module")
def table(raw: bytes) -> pd.DataFrame:
    return from_parquet(raw).set_index("record")


def test_every_table_is_read_in_the_order_of_the_recipe(table: pd.DataFrame) -> None:
    assert table["table"].value_counts(sort=False).to_dict() == {"ATcT": 595, "CRC": 1361, "WebBook": 3486}
    assert table.index.is_unique


def test_only_the_tables_asked_for_are_read() -> None:
    tables = chemicals.read(Chemicals(database="chemicals", tables=("WebBook", "ATcT")), "").rows["table"]
    assert tables.unique().tolist() == ["WebBook", "ATcT"]


def test_methane_has_its_evaluated_value_and_uncertainty(table: pd.DataFrame, raw: bytes) -> None:
    methane = table.loc["ATcT:74-82-8"]
    assert (methane["name"], methane["smiles"], methane["formula"]) == ("methane", "C", "CH4")
    assert methane["value"] == pytest.approx(-74.534)
    assert methane["uncertainty"] == pytest.approx(0.057)
    assert units(raw)["value"] == units(raw)["uncertainty"] == "kJ/mol"


@pytest.mark.parametrize("name", ["ATcT", "CRC", "WebBook"])
def test_cas_numbers_find_structures_with_and_without_dashes(table: pd.DataFrame, name: str) -> None:
    ethanol = table.loc[f"{name}:64-17-5"]
    assert ethanol["smiles"] in {"CCO", "OCC"}
    assert ethanol["value"] == pytest.approx(-234.6, abs=1)


def test_a_substance_without_structure_keeps_the_name_of_its_table(table: pd.DataFrame) -> None:
    assert table.loc["ATcT:100569-88-8", "smiles"] is not None
    unknown = table[table["smiles"].isna() & (table["table"] == "ATcT")]
    assert len(unknown) > 0
    assert unknown["name"].notna().all()


def test_the_cycle_over_the_liquid_is_the_sum_of_the_same_table(table: pd.DataFrame) -> None:
    pyrrole = table.loc["WebBook:109-97-7"]  # liquid 63.1 and vaporization 43.0
    assert pyrrole["via_liquid"] == pytest.approx(63.1 + 43.0, abs=0.1)
    assert pyrrole["value"] - pyrrole["via_liquid"] == pytest.approx(31.6, abs=0.1)


def test_an_impossible_enthalpy_of_vaporization_makes_no_cycle(table: pd.DataFrame) -> None:
    assert pd.isna(table.loc["WebBook:598-98-1", "via_liquid"])  # 500 kJ/mol


@pytest.mark.parametrize(
    ("formula", "stateless", "atoms"),
    [
        ("CH4 (g)", "CH4", {"C": 1, "H": 4}),
        ("(CH3)2CO (g)", "(CH3)2CO", {"C": 3, "H": 6, "O": 1}),
        ("C(CH3)(CH2(OH))2 (l)", "C(CH3)(CH2(OH))2", {"C": 4, "H": 9, "O": 2}),
    ],
)
def test_formulas_are_freed_of_the_state_and_can_be_read(formula: str, stateless: str, atoms: dict[str, int]) -> None:
    assert chemicals.stateless(formula) == stateless
    assert amounts(stateless) == atoms


def test_the_formula_of_an_ion_stays_as_it_is() -> None:
    assert chemicals.stateless("[OOO]- (g)") == "[OOO]-"


def test_the_identity_depends_on_the_tables_asked_for() -> None:
    assert chemicals.identity(DATA) == chemicals.identity(DATA)
    assert chemicals.identity(DATA) != chemicals.identity(Chemicals(database="chemicals", tables=("ATcT",)))


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chemicals").mkdir()
    (tmp_path / "chemicals" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "chemicals", raising=False)  # which others have imported
    with pytest.raises(MatliftError, match=r"ATcT 1\.112 \(g\)\.tsv is missing"):
        chemicals.read(DATA, "")
