"""A table of one's own and the known tables become records, and what is wrong with them is told."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from tasks.curate.rows import judge
from tasks.errors import MatliftError
from tasks.fetch import janaf, table
from tasks.fetch.presets import PRESETS
from tasks.fetch.records import pack
from tasks.recipe import Rules, TableFile
from tasks.recipe.databases import KNOWN_TABLES
from tasks.store import Store
from tasks.tables import from_parquet

# As at https://janaf.nist.gov/tables/Al-096.txt, shortened.
ALUMINA = """Aluminum Oxide, Alpha (Al2O3)\tAl2O3(cr)
T(K)\tCp\tS\t-[G-H(Tr)]/T\tH-H(Tr)\tdelta-f H\tdelta-f G\tlog Kf
0\t0.\t0.\tINFINITE\t-10.020\t-1663.608\t-1663.608\tINFINITE
298.15\t79.015\t50.950\t50.950\t0.\t-1675.692\t-1582.275\t277.208
2327.000\t138.934\t291.914\t182.434\t254.761\tALPHA <--> LIQUID
"""
SERVED = {
    "/tables/Al-index.html": '<a href="Al-002.html">Al</a> <A HREF="/tables/Al-096.html">view</A> <a href="../x.html">',
    "/tables/O-index.html": '<a href="Al-096.html">the same</a><a href="O-001.html">',
    "/tables/Al-096.txt": ALUMINA,
    "/tables/Al-002.txt": "Aluminum (Al)\tAl1(ref)\nT(K)\n298.15\t24.2\t28.3\t28.3\t0.\t0.\t0.\t0.\n",
    "/tables/O-001.txt": "Oxygen (O)\tO1(g)\nT(K)\tCp\n0\t0.\n",
}


def own(at: object, **columns: str) -> TableFile:
    return TableFile.model_validate(
        {"database": "table", "at": str(at), "columns": {"formula": "formula"} | columns, "unit": "kJ/mol"}
    )


def known(at: str, value: str) -> TableFile:
    return TableFile.model_validate({"database": "table", "at": at, "columns": {"value": value}, "unit": "kJ/mol"})


def read(data: TableFile) -> pd.DataFrame:
    return from_parquet(pack(table.read(data, table.identity(data)), "kJ/mol"))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What a local peer of janaf.nist.gov has."""
    served = dict(SERVED)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in served else 404)
            self.end_headers()
            self.wfile.write(served.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(janaf, "SERVICE", f"http://127.0.0.1:{server.server_port}")
    yield served
    server.shutdown()
    server.server_close()


def test_columns_are_taken_as_the_recipe_maps_them(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("id,compound,SMILES,dHf,u,sample\n1,NaCl,[Na+].[Cl-],-411.15,0.5,7\n")
    columns = {"value": "dHf", "uncertainty": "u", "formula": "compound", "smiles": "SMILES", "name": "sample"}
    (row,) = read(own(tmp_path / "mine.csv", **columns)).dropna(axis=1).to_dict("records")
    assert row == {
        "record": "mine.csv:2",
        "table": "mine.csv",
        "name": "7",
        "smiles": "[Na+].[Cl-]",
        "formula": "NaCl",
        "value": -411.15,
        "uncertainty": 0.5,
    }


@pytest.mark.parametrize("entry", ["n.a.", "1,5", "<3", "inf"])
def test_what_stands_in_place_of_a_number_reaches_the_rejected_rows(tmp_path: Path, entry: str) -> None:
    (tmp_path / "mine.csv").write_text(f'formula;value;u\nNaCl;-411;1\nMgO;"{entry}";\nCaO;-635;{entry}\nKCl;;\n')
    ledger = judge(
        read(own(tmp_path / "mine.csv", uncertainty="u")),
        Rules(of="compositions", between=(-1e4, 1e4), duplicates="median"),
        None,
        "kJ/mol",
    )
    assert ledger["reason"].fillna("good").tolist() == ["good", "no value", "no value", "no value"]
    assert ledger["detail"].tolist()[1:] == [
        f"“{entry}” cannot be read as a value in kJ/mol.",
        f"“-635 ± {entry}” cannot be read as a value in kJ/mol.",
        "Its value is missing.",
    ]


def test_a_missing_column_is_refused_with_the_columns_there_are(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("compound,dHf\nNaCl,-411\n")
    with pytest.raises(MatliftError, match=r"^mine\.csv has no column value, formula; its columns are compound, dHf$"):
        read(own(tmp_path / "mine.csv"))


def test_all_tables_below_a_prefix_are_read_in_order_of_name(store: Store) -> None:
    for name, formula in {"b.csv": "MgO", "a/z.csv": "NaCl", "notes.md": "none"}.items():
        store.files.replace(f"tables/{name}", f"formula,value\n{formula},-1\n".encode())
    store.files.replace("tables-of-others/c.csv", b"formula,value\nCaO,-1\n")
    found = read(own(f"{store.url}/tables"))
    assert found["record"].tolist() == ["a/z.csv:2", "b.csv:2"]
    assert found["formula"].tolist() == ["NaCl", "MgO"]
    assert read(own(f"{store.url}/tables/b.csv"))["record"].tolist() == ["b.csv:2"]


def test_a_prefix_without_tables_is_refused(store: Store) -> None:
    with pytest.raises(MatliftError, match=r"there is no table at s3://.*, and below it none named \*\.csv"):
        table.identity(own(f"{store.url}/nothing"))


def test_the_identity_is_that_of_the_content(tmp_path: Path, store: Store) -> None:
    content = b"formula,value\nNaCl,-1\n"
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(content)
    assert table.identity(own(tmp_path / "a.csv")) == table.identity(own(tmp_path / "b.csv"))
    store.files.replace("tables/a.csv", content)
    before = table.identity(own(f"{store.url}/tables"))
    store.files.replace("tables/b.csv", content)
    assert table.identity(own(f"{store.url}/tables")) != before


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("formula,value\nNaCl,-1\n")
    data = own(tmp_path / "mine.csv")
    identity = table.identity(data)
    (tmp_path / "mine.csv").write_text("formula,value\nNaCl,-2\n")
    with pytest.raises(MatliftError, match="was changed while it was read: run again"):
        table.read(data, identity)


@pytest.mark.parametrize(
    ("at", "value", "record", "expected"),
    [
        ("webbook", "Hfg", "WebBook:74-82-8", {"formula": "CH4", "smiles": "C", "value": -74.6}),
        ("crc", "Hfs", "CRC:1309-48-4", {"formula": "MgO", "name": "Magnesium oxide", "value": -601.6}),
        ("crc", "Hfl", "CRC:7732-18-5", {"formula": "H2O", "value": -285.8}),
        ("atct", "Hfg", "ATcT:74-82-8", {"formula": "CH4", "value": -74.534, "uncertainty": 0.057}),
        ("atct", "Hfl", "ATcT:67-56-1", {"formula": "CH3OH", "smiles": "CO", "value": -238.38}),
    ],
)
def test_a_known_table_needs_only_the_value_to_be_named(
    at: str, value: str, record: str, expected: dict[str, Any]
) -> None:
    found = read(known(at, value))
    assert found["record"].is_unique
    assert found["value"].notna().all()
    row = found.set_index("record").loc[record]
    for column, content in expected.items():
        assert row[column] == (pytest.approx(content, abs=0.5) if isinstance(content, float) else content)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"at": "atct", "columns": {"value": "Hfs"}}, "columns.value of atct must be one of Hfl, Hfg"),
        ({"at": "crc", "columns": {"value": "Hfs"}, "unit": "eV"}, "unit must be kJ/mol, that of crc"),
        ({"at": "crc", "columns": {"value": "Hfs", "name": "x"}}, "name the value only"),
        ({"at": "mine.csv", "columns": {}}, "columns.formula or columns.smiles must name a column"),
    ],
)
def test_a_recipe_that_cannot_mean_a_table_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TableFile.model_validate({"database": "table", "unit": "kJ/mol"} | fields)


@pytest.mark.usefixtures("service")
def test_janaf_tables_give_their_value_at_room_temperature() -> None:
    (row,) = read(known("janaf", "Hfs")).to_dict("records")
    assert (row["record"], row["formula"], row["value"]) == ("JANAF:Al-096", "Al2O3", -1675.692)
    assert row["name"] == "Aluminum Oxide, Alpha (Al2O3)"
    (gas,) = read(known("janaf", "Hfg")).to_dict("records")
    assert gas["formula"] == "O1"
    assert pd.isna(gas["value"])  # its table has no such row


def test_janaf_of_another_form_is_named(service: dict[str, str]) -> None:
    before = table.identity(known("janaf", "Hfs"))
    service["/tables/Al-096.txt"] = "<html>moved</html>"
    assert table.identity(known("janaf", "Hfs")) == before
    with pytest.raises(MatliftError, match=r"tables/Al-096\.txt is not a table"):
        read(known("janaf", "Hfs"))
    service.clear()
    with pytest.raises(MatliftError, match="lists no tables where it did"):
        table.identity(known("janaf", "Hfs"))


def test_the_known_tables_are_those_that_recipes_may_name() -> None:
    assert set(PRESETS) == set(KNOWN_TABLES)


def test_the_card_says_whose_terms_hold() -> None:
    assert table.about(own("mine.csv")).licence == "The table is under its owner's terms."
    crc = table.about(known("crc", "Hfs"))
    assert "solid" in crc.what
    assert any("CRC Handbook" in citation for citation in crc.citations)
