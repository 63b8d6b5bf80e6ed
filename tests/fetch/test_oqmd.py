"""OQMD gives the same records over its REST service and from a dump, and no password shows anywhere."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from peer import Peer, Script, serving, table

from tasks.errors import MatliftError
from tasks.fetch import oqmd, oqmd_dump
from tasks.fetch.databases import DATABASES
from tasks.fetch.records import pack
from tasks.handles import fingerprint
from tasks.recipe import Oqmd
from tasks.tables import from_parquet, units

ROWS = table(230)

# As qmpy's models make them (Entry, Composition, Calculation, FormationEnergy), without what is not read.
SCHEMA = """
CREATE TABLE compositions (formula VARCHAR(255) PRIMARY KEY, generic VARCHAR(255), ntypes INTEGER);
CREATE TABLE entries (id INTEGER PRIMARY KEY, path VARCHAR(255), duplicate_of_id INTEGER, composition_id VARCHAR(255));
CREATE TABLE calculations (id INTEGER PRIMARY KEY, entry_id INTEGER, label VARCHAR(63), band_gap DOUBLE);
CREATE TABLE formation_energies (id INTEGER PRIMARY KEY, composition_id VARCHAR(255), entry_id INTEGER,
    calculation_id INTEGER, description VARCHAR(20), fit_id VARCHAR(255), stability DOUBLE, delta_e DOUBLE);
"""


def of(at: str, **what: str) -> Oqmd:
    return Oqmd.model_validate({"database": "oqmd", "at": at, "quantity": "formation energy"} | what)


def rows(data: Oqmd) -> pd.DataFrame:
    return oqmd.read(data, oqmd.identity(data)).rows


@pytest.fixture
def peer() -> Iterator[Peer]:
    with serving(ROWS) as running:
        yield running


@pytest.fixture
def dump(tmp_path: Path) -> str:
    """The URL of a dump with the rows of the peer, one below the hull, and one of other reference energies."""
    with closing(sqlite3.connect(tmp_path / "qmdb.sqlite")) as base, base:
        base.executescript(SCHEMA)
        for place, row in enumerate(ROWS):
            ids = (row["formationenergy_id"], row["composition"], place, place)
            stability = -0.2 if place == 9 else row["stability"]
            base.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?)", (place, f"/icsd/{place}", place, row["composition"])
            )
            base.execute("INSERT INTO calculations VALUES (?, ?, 'static', ?)", (place, place, row["band_gap"]))
            base.execute(
                "INSERT INTO formation_energies VALUES (?, ?, ?, ?, NULL, 'standard', ?, ?)",
                (*ids, stability, row["delta_e"]),
            )
        base.execute(
            "UPDATE formation_energies SET calculation_id = NULL WHERE id = ?", (ROWS[5]["formationenergy_id"],)
        )
        base.execute("INSERT INTO formation_energies VALUES (1, 'Al1', 0, 0, NULL, 'nothing', 0, 0)")
    return f"sqlite:///{tmp_path}/qmdb.sqlite"


@pytest.mark.parametrize(
    ("quantity", "field", "unit"),
    [("formation energy", "delta_e", "eV/atom"), ("band gap", "band_gap", "eV"), ("stability", "stability", "eV/atom")],
)
def test_each_quantity_is_its_field_in_its_unit(peer: Peer, quantity: str, field: str, unit: str) -> None:
    data = of(peer.url, quantity=quantity)
    records = oqmd.read(data, oqmd.identity(data))
    assert records.unit == unit
    np.testing.assert_array_equal(records.rows["value"], [np.nan if row[field] is None else row[field] for row in ROWS])


@pytest.mark.parametrize("api", ["rest", "dump"])
def test_a_band_gap_comes_with_the_energy_of_its_compound(peer: Peer, dump: str, api: str) -> None:
    table = rows(of(peer.url if api == "rest" else dump, quantity="band gap"))
    np.testing.assert_array_equal(
        table["energy"], [np.nan if row["delta_e"] is None else row["delta_e"] for row in ROWS]
    )


def test_a_compound_without_a_value_keeps_its_row(peer: Peer) -> None:
    table = rows(of(peer.url))
    assert len(table) == len(ROWS)
    assert table["value"].isna().sum() == sum(row["delta_e"] is None for row in ROWS) > 0


def test_records_are_what_every_database_gives(peer: Peer) -> None:
    data = of(peer.url)
    packed = pack(oqmd.read(data, oqmd.identity(data)), "kJ/mol/atom")
    first = from_parquet(packed).iloc[0]
    assert (first["record"], first["formula"], first["table"]) == ("OQMD:4000000", "Al1C1H2", "OQMD")
    assert first["value"] == pytest.approx(ROWS[0]["delta_e"] * 96.485, rel=1e-5)
    assert units(packed)["value"] == "kJ/mol/atom"


def test_the_identity_is_one_question_and_changes_with_the_number_of_rows(peer: Peer) -> None:
    before = oqmd.identity(of(peer.url))
    assert "230" in before
    assert before == oqmd.identity(of(peer.url))
    assert not peer.asked
    peer.rows = table(231)
    assert oqmd.identity(of(peer.url)) != before


def test_the_identity_survives_a_bad_moment() -> None:
    with serving(ROWS, Script(faults=("502", "html", "reset"), often=1, most=3)) as peer:
        assert "230" in oqmd.identity(of(peer.url))


def test_a_filter_goes_to_the_service_and_its_refusal_comes_back(peer: Peer) -> None:
    with pytest.raises(MatliftError, match=r"refuses OQMD at http.*: 400 .*: Syntax error in the filter"):
        oqmd.identity(of(peer.url, filter="(delta_e<0"))
    with pytest.raises(MatliftError, match=r"refuses .* 501"):
        oqmd.identity(of(peer.url, filter="entry_id=1"))
    with pytest.raises(MatliftError, match="has no rows for the filter band_gap>99"):
        oqmd.identity(of(peer.url, filter="band_gap>99"))


def test_a_wrong_address_is_told(peer: Peer) -> None:
    with pytest.raises(MatliftError, match=r"refuses OQMD at .*/elsewhere: 404"):
        oqmd.identity(of(f"{peer.url}/elsewhere"))
    with pytest.raises(MatliftError, match=r"oqmd\.org is neither a service"):
        oqmd.identity(of("oqmd.org"))


def test_a_dump_gives_what_the_service_gives(peer: Peer, dump: str) -> None:
    pd.testing.assert_frame_equal(rows(of(dump)), rows(of(peer.url)))


def test_a_dump_gives_band_gaps_by_their_calculations(peer: Peer, dump: str) -> None:
    gaps = rows(of(dump, quantity="band gap"))
    served = rows(of(peer.url, quantity="band gap"))
    assert gaps["value"].isna()[5]  # its calculation is gone
    pd.testing.assert_frame_equal(gaps.drop(index=5), served.drop(index=5))


def test_a_dump_gives_the_distance_from_the_hull_as_the_services_do(dump: str) -> None:
    stabilities = rows(of(dump, quantity="stability"))["value"]
    assert stabilities[9] == 0
    assert stabilities[0] == ROWS[0]["stability"]


def test_a_long_dump_is_read_in_parts(dump: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(of(dump))
    monkeypatch.setattr(oqmd_dump, "STREAMED", 7)
    pd.testing.assert_frame_equal(rows(of(dump)), whole)


def test_the_identity_of_a_dump_changes_with_its_rows(dump: str) -> None:
    before = oqmd.identity(of(dump))
    with closing(sqlite3.connect(dump.removeprefix("sqlite:///"))) as base, base:
        base.execute("UPDATE formation_energies SET delta_e = NULL WHERE id = 4000000")
    assert oqmd.identity(of(dump)) != before


def test_what_is_no_dump_is_told(tmp_path: Path, dump: str) -> None:
    with pytest.raises(MatliftError, match=r"sqlite:.*/empty cannot be read .*no such table: formation_energies"):
        oqmd.identity(of(f"sqlite:///{tmp_path}/empty"))
    with closing(sqlite3.connect(dump.removeprefix("sqlite:///"))) as base, base:
        base.execute("DELETE FROM formation_energies")
    with pytest.raises(MatliftError, match="has no formation energies"):
        oqmd.identity(of(dump))
    with pytest.raises(MatliftError, match="read whole: remove filter"):
        oqmd.identity(of(dump, filter="delta_e<0"))


@pytest.mark.parametrize(
    "at",
    [
        "mysql+pymysql://me:s3cret@127.0.0.1:9/qmdb",
        "nosuch://me:s3cret@127.0.0.1/qmdb",
        "mysql+pymysql://me:s3c/s3cret@s3cret@127.0.0.1/qmdb?password=s3cret",
        "http://me:s3cret@127.0.0.1:9",
    ],
)
def test_no_password_is_shown_or_named(at: str, caplog: pytest.LogCaptureFixture) -> None:
    data = of(at)
    with caplog.at_level("DEBUG"), pytest.raises(MatliftError) as raised:
        oqmd.identity(data)
    dumped = f"{data} {data!r} {data.model_dump()} {data.model_dump_json()}"
    assert "s3c" not in f"{raised.value} {raised.value.__cause__} {dumped} {caplog.text}"
    assert "***" in dumped
    assert fingerprint("tasks.fetch.oqmd", data) == fingerprint("tasks.fetch.oqmd", of(at.replace("s3cret", "new")))


def test_the_card_names_licence_and_papers() -> None:
    about = DATABASES["oqmd"].about(of("https://oqmd.org"))
    assert "CC BY 4.0" in about.licence
    assert {citation.rpartition("doi:")[2] for citation in about.citations} == {
        "10.1007/s11837-013-0755-4",
        "10.1038/npjcompumats.2015.10",
    }
