"""QM9 is read completely and right, and a broken installation is named."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from tasks.errors import MatliftError
from tasks.fetch import qm9
from tasks.fetch.records import pack
from tasks.recipe import Qm9
from tasks.tables import from_parquet, units

DATA = Qm9(database="qm9")


@pytest.fixture(scope="module")
def raw() -> bytes:
    return pack(qm9.read(DATA, ""), "kJ/mol")


@pytest.fixture(scope="module")
def table(raw: bytes) -> pd.DataFrame:
    return from_parquet(raw).set_index("record")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a package qm9pack of one molecule per file, which is found before the real one."""
    folder = tmp_path / "qm9pack" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "qm9pack" / "__init__.py").write_text("raise AssertionError('imported')")
    for part in (1, 2, 3):
        line = f'{part},C,InChI=1S/CH4/h1H4,"[4,1,0,0,0]",-40.476062'
        (folder / f"qm9_part{part}.csv").write_text(f"Index,SMILES,InChi,Stoichiometry,Enthalphy_298K_au\n{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_all_molecules_are_there_once(table: pd.DataFrame) -> None:
    assert len(table) == 130_831
    assert table.index.is_unique
    assert table["smiles"].notna().all()


def test_values_are_in_kilojoules_per_mole(raw: bytes) -> None:
    assert units(raw)["value"] == "kJ/mol"


# Measured at 298.15 K (Active Thermochemical Tables, CRC Handbook); B3LYP is some 15 kJ/mol off.
@pytest.mark.parametrize(
    ("inchi", "measured"),
    [
        ("InChI=1S/CH4/h1H4", -74.5),
        ("InChI=1S/H3N/h1H3", -45.6),
        ("InChI=1S/H2O/h1H2", -241.8),
        ("InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3", -234.6),
        ("InChI=1S/C6H5F/c7-6-4-2-1-3-5-6/h1-5H", -115.4),
    ],
)
def test_enthalpies_of_formation_are_near_the_measured_ones(table: pd.DataFrame, inchi: str, measured: float) -> None:
    (value,) = table.loc[table["inchi"] == inchi, "value"]
    assert value == pytest.approx(measured, abs=30)


def test_methane_is_what_the_constants_say(table: pd.DataFrame) -> None:
    assert table.loc["QM9:1", "value"] == pytest.approx(-89.17, abs=0.01)
    assert table.loc["QM9:1", "formula"] == "H4C1"


def test_the_identity_changes_with_the_files_and_only_with_them(small: Path) -> None:
    before = qm9.identity(DATA)
    assert qm9.identity(DATA) == before
    with (small / "qm9_part3.csv").open("a") as file:
        file.write('4,N,InChI=1S/H3N/h1H3,"[3,0,1,0,0]",-56.544961\n')
    assert qm9.identity(DATA) != before


def test_the_package_is_read_but_never_imported(small: Path) -> None:
    assert small.is_dir()
    assert qm9.read(DATA, "").rows["record"].tolist() == ["QM9:1", "QM9:2", "QM9:3"]


@pytest.mark.parametrize("ask", [qm9.identity, partial(qm9.read, _identity="")])
def test_a_missing_file_is_named(small: Path, ask: object) -> None:
    (small / "qm9_part2.csv").unlink()
    assert callable(ask)
    with pytest.raises(MatliftError, match=r"qm9_part2\.csv is missing"):
        ask(DATA)


def test_a_missing_column_is_named_with_its_file(small: Path) -> None:
    path = small / "qm9_part2.csv"
    path.write_text(path.read_text().replace("Enthalphy_298K_au", "Enthalpy"))
    with pytest.raises(MatliftError, match=r"qm9_part2\.csv cannot be read: .*Enthalphy_298K_au"):
        qm9.read(DATA, "")


def test_a_file_that_is_no_table_is_named(small: Path) -> None:
    (small / "qm9_part1.csv").write_bytes(b"")
    with pytest.raises(MatliftError, match=r"qm9_part1\.csv cannot be read"):
        qm9.read(DATA, "")
