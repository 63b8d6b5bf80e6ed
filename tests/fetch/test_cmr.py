"""CMR's databases are read completely, right and fast, wherever they come from; a broken one is named, and why."""

import gzip
import hashlib
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ase.db
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from fileserver import Fault, Peer, serving

from tasks.errors import MatliftError
from tasks.fetch import ase_table, cmr, remote
from tasks.fetch.databases import DATABASES
from tasks.fetch.records import pack
from tasks.recipe import Cmr
from tasks.tables import from_parquet, units

Change = Callable[[sqlite3.Connection], object]


def asked(at: object, **fields: Any) -> Cmr:
    """The part of a recipe that names a database."""
    return Cmr(**{"database": "cmr", "file": "dssc", "at": str(at), "key": "E_gap", "unit": "eV", **fields})


def table(data: Cmr) -> pd.DataFrame:
    """Its records as the store gets them."""
    return from_parquet(pack(cmr.read(data, cmr.identity(data)), "eV"))


def refusal(path: Path, **fields: Any) -> str:
    """What is said of a file that is refused: one sentence that names it."""
    data = asked(path, **fields)
    with pytest.raises(MatliftError) as refused:
        cmr.read(data, cmr.identity(data))
    said = str(refused.value)
    assert str(path) in said
    assert "\n" not in said
    return said.replace(str(path), "IT")


@pytest.fixture(scope="session")
def sample(shared_data: Path) -> Path:
    """600 porphyrin dyes."""
    return shared_data / "cmr" / "dssc-sample.db"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A database of three rows that ASE wrote."""
    path = tmp_path / "small.db"
    water = Atoms("OH2", [[0, 0, 0.1], [0, 0.76, -0.47], [0, -0.76, -0.47]])
    with ase.db.connect(path) as database:
        database.write(water, M="ZnP", A="rot-EthynPhA", E_gap=4.5, KS_gap=2.0, DBScreen=True, relaxed=1)
        database.write(water, M="H2P", A="EthynPhA", KS_gap=2.5)
        database.write(Atoms("CO", [[0, 0, 0], [0, 0, 1.13]]), M="H2P", A="EthynPhA", E_gap=3.5)
    return path


@pytest.fixture
def changed(small: Path) -> Callable[[Change], Path]:
    """Changes the small database with SQL."""

    def change(how: Change) -> Path:
        with closing(sqlite3.connect(small)) as database:
            how(database)
            database.commit()
        return small

    return change


# What the records say


def test_every_row_is_what_ase_reads(sample: Path) -> None:
    records = table(asked(sample)).set_index("record")
    with ase.db.connect(sample) as database:
        rows = list(database.select())
    assert len(records) == len(rows) == 600
    for row in rows:
        record = records.loc[f"dssc:{row.id}"]
        atoms = row.toatoms()
        assert record["value"] == row.E_gap
        assert record["formula"] == atoms.get_chemical_formula("hill")
        lines = [line.split() for line in record["xyz"].split("\n")]
        assert [line[0] for line in lines] == atoms.get_chemical_symbols()
        np.testing.assert_allclose([[float(x) for x in line[1:]] for line in lines], atoms.positions, atol=5.1e-5)
        said = json.loads(record["labels"])
        assert said.pop("rotated") == ("rot" if row.A.startswith("rot-") else "")
        assert row.M.removeprefix("F") == f"{said.pop('metal')}{said.pop('axial')}P"
        assert said == {name: value for name, value in row.key_value_pairs.items() if isinstance(value, str)}
    assert set(records["table"]) == {"dssc"}


def test_values_carry_their_unit(small: Path) -> None:
    data = asked(small)
    assert units(pack(cmr.read(data, cmr.identity(data)), "kJ/mol"))["value"] == "kJ/mol"
    values = from_parquet(pack(cmr.read(data, cmr.identity(data)), "kJ/mol"))["value"]
    assert values[0] == pytest.approx(4.5 * 96.485, rel=1e-5)


def test_a_row_without_the_key_is_kept_without_a_value(small: Path) -> None:
    records = table(asked(small))
    assert records["record"].tolist() == ["dssc:1", "dssc:2", "dssc:3"]
    assert records["value"].isna().tolist() == [False, True, False]


def test_only_a_porphyrin_has_a_metal_and_is_rotated(small: Path) -> None:
    said = {"A": "rot-EthynPhA", "M": "ZnP"}
    own = {"metal": "Zn", "axial": "", "rotated": "rot"}
    assert json.loads(table(asked(small))["labels"][0]) == said | own
    assert json.loads(table(asked(small, file="other"))["labels"][0]) == said


@pytest.mark.parametrize(
    ("centre", "metal", "axial"),
    [("H2P", "H2", ""), ("FZnP", "Zn", ""), ("FTiOP", "Ti", "O"), ("TiO2RP", "Ti", "O2R"), ("FeP", "Fe", "")],
)
def test_the_name_of_the_centre_says_the_metal_and_its_axial_ligand(
    tmp_path: Path, centre: str, metal: str, axial: str
) -> None:
    path = tmp_path / "one.db"
    with ase.db.connect(path) as database:
        database.write(Atoms("CO", [[0, 0, 0], [0, 0, 1.13]]), E_gap=1.5, M=centre)
    found = json.loads(table(asked(path))["labels"][0])
    assert (found["metal"], found["axial"]) == (metal, axial)


def test_rows_are_chosen_by_their_keys(small: Path) -> None:
    assert table(asked(small, where={"M": ("H2P",)}))["record"].tolist() == ["dssc:2", "dssc:3"]
    assert table(asked(small, where={"M": ("H2P", "ZnP"), "E_gap": (4.5,)}))["record"].tolist() == ["dssc:1"]
    assert table(asked(small, where={"DBScreen": (True,)}))["record"].tolist() == ["dssc:1"]
    assert table(asked(small, where={"relaxed": (1,)}))["record"].tolist() == ["dssc:1"]


def test_a_molecule_has_its_smiles_and_no_positions(tmp_path: Path) -> None:
    path = tmp_path / "solar.db"
    with ase.db.connect(path) as database:
        database.write(Atoms("CH4", np.eye(5, 3)), SMILES="C", InChI="InChI=1S/CH4/h1H4", KS_gap=7.0, name="methane")
        database.write(Atoms("OH2", np.eye(3)), CAN_SMILES="O", KS_gap=8.0)
    records = table(asked(path, file="solar", key="KS_gap"))
    assert records["smiles"].tolist() == ["C", "O"]
    assert records["inchi"].fillna("").tolist() == ["InChI=1S/CH4/h1H4", ""]
    assert records["xyz"].isna().all()
    assert records["name"].fillna("").tolist() == ["methane", ""]
    assert records["formula"].tolist() == ["CH4", "H2O"]


def test_twelve_thousand_rows_take_less_than_two_seconds(sample: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.db"
    shutil.copyfile(sample, large)
    columns = "numbers, positions, cell, pbc, key_value_pairs, natoms"
    with closing(sqlite3.connect(large)) as database:
        database.execute("CREATE TEMP TABLE copies AS SELECT id AS copy FROM systems LIMIT 19")
        database.execute(
            f"INSERT INTO systems (unique_id, {columns}) SELECT unique_id || '-' || copy, {columns} "  # noqa: S608
            "FROM (SELECT * FROM systems LIMIT 600), copies"
        )
        database.commit()
    data = asked(large)
    identity = cmr.identity(data)
    spent = []
    for _ in range(3):
        start = time.process_time()  # not the clock's, which counts what else this machine does
        rows = cmr.read(data, identity).rows
        spent.append(time.process_time() - start)
    assert len(rows) == 12_000
    assert rows["record"].is_unique
    assert min(spent) < 2


def test_the_identity_is_that_of_the_bytes(small: Path, changed: Callable[[Change], Path]) -> None:
    before = cmr.identity(asked(small))
    assert cmr.identity(asked(small, key="KS_gap")) == before
    changed(lambda database: database.execute("DELETE FROM systems WHERE id = 3"))
    assert cmr.identity(asked(small)) != before


def test_a_file_that_changes_while_it_is_read_is_refused(small: Path, changed: Callable[[Change], Path]) -> None:
    before = cmr.identity(asked(small))
    changed(lambda database: database.execute("DELETE FROM systems WHERE id = 3"))
    with pytest.raises(MatliftError, match=r"small\.db changed while it was read: run again"):
        cmr.read(asked(small), before)


def test_the_card_names_what_is_to_be_cited() -> None:
    said = cmr.about(asked("", where={"M": ("ZnP", "TiOP")}))
    assert "CC BY-SA 4.0" in said.licence
    assert "M ZnP or TiOP" in said.what
    assert any("10.1039/C3CP54050B" in citation for citation in said.citations)
    assert any("10.1039/C4CP01289E" in citation for citation in said.citations)
    assert "c2db" in cmr.about(asked("", file="c2db")).licence
    assert DATABASES["cmr"].read is cmr.read


# What is refused


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MatliftError, match=r"none\.db is not there: `at` must be a \.db file or the address of a serv"):
        cmr.identity(asked(tmp_path / "none.db"))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "x.db").write_bytes(b"")
    assert refusal(path) == "IT is empty: get it anew"


def test_a_web_page_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "x.db").write_bytes(b"\n<!DOCTYPE html><html>Not found</html>")
    assert refusal(path) == "IT is no SQLite database but a web page: check the address that it came from"


def test_a_compressed_file_is_refused(tmp_path: Path, small: Path) -> None:
    (path := tmp_path / "x.db").write_bytes(gzip.compress(small.read_bytes()))
    assert refusal(path) == "IT is no SQLite database but compressed with gzip: unpack it with gunzip"


def test_any_other_file_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "x.db").write_bytes(np.random.default_rng(0).bytes(5000))
    assert refusal(path) == "IT is no SQLite database: get it anew"


@pytest.mark.parametrize("share", [0.00001, 0.1, 0.5, 0.9, 0.99999])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, sample: Path, share: float) -> None:
    content = sample.read_bytes()
    (path := tmp_path / "x.db").write_bytes(content[: max(20, int(share * len(content)))])
    assert refusal(path).startswith("IT is cut off: ")


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE dyes (id)")
    assert refusal(path) == "IT is an SQLite database, but not one of ASE's: it has not a table systems"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE systems (id, numbers)")
    assert refusal(path).endswith("it has not a table systems with natoms, positions, key_value_pairs")


def test_a_database_without_rows_is_refused(changed: Callable[[Change], Path]) -> None:
    assert refusal(changed(lambda database: database.execute("DELETE FROM systems"))) == "IT has no rows: get it anew"


def test_a_database_that_is_written_to_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ase_table, "WAIT", 0.1)
    with closing(sqlite3.connect(small)) as database:
        database.execute("BEGIN EXCLUSIVE")
        said = refusal(small)
    assert said == "IT is locked: another program is writing to it, run again when it has ended"


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("key_value_pairs = '{\"E_gap\": 4'", "the keys of row 2 are no JSON"),
        ("key_value_pairs = NULL", "row 2 has no keys"),
        ("key_value_pairs = '[1]'", "row 2 has no keys"),
        ("natoms = 4", "row 2 has 4 atoms, but 12 bytes of numbers"),
        ("natoms = 0", "row 2 has 0 atoms, but 12 bytes of numbers"),
        ("positions = substr(positions, 1, 71)", "row 2 has 3 atoms, but 71 bytes of positions"),
        ("positions = NULL", "row 2 has 3 atoms, but 0 bytes of positions"),
        ("numbers = X'080000000100000077000000'", "row 2 has an atom of no element"),
        ("numbers = X'080000000100000000000080'", "row 2 has an atom of no element"),
    ],
)
def test_a_damaged_row_is_named(changed: Callable[[Change], Path], statement: str, sentence: str) -> None:
    order = f"UPDATE systems SET {statement} WHERE id = 2"  # noqa: S608
    said = refusal(changed(lambda database: database.execute(order)))
    assert said.startswith(f"IT is damaged: {sentence}")
    assert said.endswith("; get it anew")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300, 1001.0])
def test_an_impossible_position_is_refused(changed: Callable[[Change], Path], value: float) -> None:
    positions = np.zeros((3, 3))
    positions[1, 2] = value
    order = "UPDATE systems SET positions = ? WHERE id = 2"
    said = refusal(changed(lambda database: database.execute(order, [positions.tobytes()])))
    assert said == "IT is damaged: row 2 has an atom in an impossible place; get it anew"


def test_flipped_bits_that_throw_an_atom_far_away_are_seen(sample: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(sample)) as database:
        ((positions,),) = database.execute("SELECT positions FROM systems WHERE id = 300")
    content = bytearray(sample.read_bytes())
    content[content.find(positions[:64]) + 7] ^= 0x30  # two high bits of the first coordinate's exponent
    (path := tmp_path / "x.db").write_bytes(content)
    said = refusal(path)
    assert said.startswith("IT is damaged: row ")
    assert said.endswith(" has an atom in an impossible place; get it anew")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("UPDATE number_key_values SET value = value + 1 WHERE key = 'E_gap' AND id = 1", "two values of E_gap"),
        ("UPDATE systems SET key_value_pairs = replace(key_value_pairs, 'ZnP', 'ZoP')", "two values of M"),
        ("UPDATE species SET n = n + 1 WHERE id = 1 AND Z = 8", "two numbers of atoms of one element"),
    ],
)
def test_what_is_written_twice_must_be_the_same(small: Path, wrong: str, sentence: str) -> None:
    with closing(sqlite3.connect(small)) as database, database:
        database.execute(wrong)
    assert sentence in refusal(small)


def test_values_that_sqlite_writes_differently_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with ase.db.connect(path) as database:
        for gap in (1.5, float("nan"), float("inf")):
            database.write(Atoms("CO", [[0, 0, 0], [0, 0, 1.13]]), E_gap=gap, large=2**60 + 1, relaxed=True)
    data = asked(path)
    np.testing.assert_array_equal(cmr.read(data, cmr.identity(data)).rows["value"], [1.5, np.nan, np.inf])


def test_another_file_than_the_recipe_means_is_refused(small: Path, service: Peer, cache: Path) -> None:
    meant = hashlib.sha256(small.read_bytes()).hexdigest()
    assert len(table(asked(small, sha256=meant))) == len(table(asked(service.url, sha256=meant))) == 3
    content = bytearray(small.read_bytes())
    content[-1] ^= 1
    small.write_bytes(content)
    service.files["/mine.db"] = bytes(content)
    for at in (small, f"{service.url}/mine.db"):
        data = asked(at, sha256=meant)
        with pytest.raises(MatliftError, match=rf"is not the file that the recipe means: .* and not {meant}; get it"):
            cmr.read(data, cmr.identity(data))
    assert len(list(cache.rglob("dssc.db"))) == 1


def test_a_damaged_page_is_seen(sample: Path, tmp_path: Path) -> None:
    content = bytearray(sample.read_bytes())
    content[4096 * 3 : 4096 * 3 + 64] = np.random.default_rng(0).bytes(64)
    (path := tmp_path / "x.db").write_bytes(content)
    assert refusal(path).startswith("IT is damaged (")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"key": "E_gp"}, "no row of IT has the key E_gp; its keys are A, DBScreen, E_gap, KS_gap, M, relaxed"),
        ({"where": {"N": ("ZnP",)}}, "no row of IT has the key N; its keys are "),
        ({"where": {"M": ("FeP", "ZnO")}}, "no row of IT has M FeP or ZnO"),
        ({"key": "M"}, "IT: row 1 has 'ZnP' as M, which is no number: name another key"),
        ({"key": "DBScreen"}, "IT: row 1 has "),
    ],
)
def test_what_the_database_does_not_have_is_named(small: Path, fields: dict[str, Any], sentence: str) -> None:
    assert refusal(small, **fields).startswith(sentence)


# Where it comes from


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("MATLIFT_CACHE", str(tmp_path / "own cache"))
    return tmp_path / "own cache"


@pytest.fixture
def service(cache: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A peer with CMR's pages."""
    assert not cache.exists()
    monkeypatch.setattr(remote, "TRIES", 4)
    place = f"/_downloads/{'ab12' * 8}/dssc.db"
    page = f'<html><p>Get <a class="reference download" href="..{place}"><code>dssc.db</code></a> <a href="x.db">'
    with serving() as peer:
        peer.files = {"/dssc/dssc.html": page.encode(), place: small.read_bytes()}
        peer.types = {"/dssc/dssc.html": "text/html"}
        yield peer


def test_the_file_is_found_on_its_page_and_kept(service: Peer, cache: Path, small: Path) -> None:
    data = asked(service.url)
    first = table(data)
    pd.testing.assert_frame_equal(first, table(asked(small)))
    pd.testing.assert_frame_equal(first, table(asked(f"{service.url}/")))
    assert [ask.path.rpartition("/")[2] for ask in service.asked if ask.method == "GET"] == [
        "dssc.html",
        "dssc.db",
        "dssc.html",
    ]
    assert len(list(cache.rglob("dssc.db"))) == 1


@pytest.mark.parametrize(
    "link",
    [
        "../_downloads/dssc.db",
        "/_downloads/dssc.db",
        "PEER/_downloads/dssc.db",
        "_downloads/other.db ../_downloads/dssc.db",
    ],
)
def test_links_of_every_form_are_followed(service: Peer, small: Path, link: str) -> None:
    service.files["/dssc/dssc.html"] = f'<a href="{link.replace("PEER", service.url)}">'.encode()
    service.files["/_downloads/dssc.db"] = small.read_bytes()
    assert len(table(asked(service.url))) == 3


def test_a_page_without_the_link_leads_to_where_it_was_in_2019(
    service: Peer, small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del service.files["/dssc/dssc.html"]
    service.files["/" + cmr.KNOWN_IN_2019["dssc"]] = small.read_bytes()
    assert len(table(asked(service.url))) == 3
    assert "names no dssc.db: trying where it was in 2019" in caplog.text


def test_another_file_that_no_page_names_is_refused(service: Peer) -> None:
    with pytest.raises(
        MatliftError, match=r"/c2db/c2db\.html names no c2db\.db: check the file's name, or give the UR"
    ):
        cmr.identity(asked(service.url, file="c2db"))


def test_a_url_of_the_file_itself_is_taken(service: Peer, small: Path) -> None:
    service.files["/mine.db"] = service.files["/mine.db?key=1"] = small.read_bytes()
    assert len(table(asked(f"{service.url}/mine.db"))) == 3
    assert len(table(asked(f"{service.url}/mine.db?key=1"))) == 3


def test_the_identity_changes_with_the_file_on_the_server(service: Peer) -> None:
    service.files["/mine.db"] = b"1"
    before = cmr.identity(asked(f"{service.url}/mine.db"))
    assert cmr.identity(asked(f"{service.url}/mine.db")) == before
    service.files["/mine.db"] = b"2"
    assert cmr.identity(asked(f"{service.url}/mine.db")) != before


def test_a_broken_connection_is_no_matter(service: Peer, sample: Path) -> None:
    content = sample.read_bytes()
    service.files["/mine.db"] = content
    service.faults = [
        Fault(429, when=("HEAD",)),
        Fault(stop_after=len(content) // 3),
        Fault(503),
        Fault(stop_after=len(content) // 3, reset=True),
    ]
    assert len(table(asked(f"{service.url}/mine.db"))) == 600


def test_a_page_that_the_server_sends_in_place_of_the_file_is_refused(service: Peer, cache: Path) -> None:
    service.files["/mine.db"] = b"<html>Moved</html>"
    data = asked(f"{service.url}/mine.db")
    with pytest.raises(MatliftError, match=r"dssc\.db is no SQLite database but a web page"):
        cmr.read(data, cmr.identity(data))
    assert not list(cache.rglob("dssc.db"))  # the next run gets another one


def test_a_wrong_recipe_does_not_cost_the_download(service: Peer, cache: Path) -> None:
    data = asked(service.url, key="E_gp")
    with pytest.raises(MatliftError, match="has the key E_gp"):
        cmr.read(data, cmr.identity(data))
    assert len(list(cache.rglob("dssc.db"))) == 1


def test_a_file_that_changes_between_question_and_answer_asks_for_another_run(service: Peer, sample: Path) -> None:
    data = asked(f"{service.url}/mine.db")
    service.files["/mine.db"] = b"old"
    before = cmr.identity(data)
    service.files["/mine.db"] = sample.read_bytes()
    with pytest.raises(MatliftError, match="changed while it was fetched: run again, the new file is in the cache"):
        cmr.read(data, before)
    with pytest.raises(MatliftError, match="changed while it was fetched"):
        cmr.read(data, before)
    service.asked.clear()
    assert len(table(data)) == 600
    assert [ask.method for ask in service.asked] == ["HEAD"]


def test_any_byte_of_a_download_that_flips_is_seen(service: Peer, cache: Path) -> None:
    data = asked(service.url)
    assert len(table(data)) == 3
    (path,) = cache.rglob("dssc.db")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        MatliftError, match=r"dssc\.db is not as it arrived, so the disk or a program changed it: run ag"
    ):
        cmr.read(data, cmr.identity(data))
    assert len(table(data)) == 3
