"""Predictions of files, from the command line too: every kind of file, in order, bad rows in their place."""

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from models import Published
from rdkit import Chem

from tasks.errors import MatliftError
from tasks.predict import Inputs, Predictor, inputs, load, locate, predict_files
from tasks.predict.bundle import options_of
from tasks.predict.stream import HEADER
from tasks.predict.structures import formulas
from tasks.store import Store

COLUMNS = ["item", "value", "lower", "upper", "in_domain", "reason"]
HALITE = """data_halite
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 0.75
K1 K 0 0 0 0.25
Cl1 Cl 0.5 0.5 0.5 1
"""

PEAK = """
import resource, sys
from pathlib import Path
from tasks.predict import Inputs, load, predict_files
model = load(sys.argv[1])
predict_files(model, Inputs(sys.argv[2:], model.takes), Path("out.csv"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def smiles(molecules: Published) -> Predictor:
    return load(str(molecules.folder))


@pytest.fixture(scope="module")
def compounds(compositions: Published) -> Predictor:
    return load(str(compositions.folder))


def predicted(predictor: Predictor, *names: str | Path, column: str | None = None) -> pd.DataFrame:
    """Return what is written for some files and items."""
    output = Path("predicted.csv")
    predict_files(predictor, Inputs([str(name) for name in names], predictor.takes, column), output)
    return pd.read_csv(output, keep_default_na=False, na_values=dict.fromkeys(("value", "lower", "upper"), ""))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def same(found: pd.DataFrame, predictor: Predictor, items: list[Any]) -> None:
    """Check what was written for some items."""
    expected = predictor.predict(items)
    assert found["item"].tolist() == ["" if item is None else item for item in items]
    for name in ("value", "lower", "upper"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
    assert found["in_domain"].tolist() == expected["in_domain"].tolist()
    assert found["reason"].tolist() == expected["reason"].tolist()
    assert set(found["unit"]) <= {predictor.unit}


def test_items_and_lists_come_in_their_order(smiles: Predictor) -> None:
    Path("few.smi").write_text("CCO ethanol\n\nnonsense first\nC1CC1\tcyclopropane", encoding="utf-8")
    Path("more.txt").write_bytes(b"\xef\xbb\xbfCCN\r\nC\xff\r\n")
    found = predicted(smiles, "CC", "few.smi", "CCC", "more.txt", "C.C")
    same(found, smiles, ["CC", "CCO", "nonsense", "C1CC1", "CCC", "CCN", "C\N{REPLACEMENT CHARACTER}", "C.C"])


def test_tables_say_which_column_it_is(smiles: Predictor) -> None:
    Path("table.csv").write_text('name,SMILES\n"a, b",CCO\n"two\nlines",CC\nshort\nc,"C,C"\nd,\n', encoding="utf-8")
    same(predicted(smiles, "table.csv"), smiles, ["CCO", "CC", None, "C,C", ""])
    Path("other.tsv").write_text("structure\tn\nCCO\t1\nCC\t2\n", encoding="utf-8")
    same(predicted(smiles, "other.tsv", column="Structure"), smiles, ["CCO", "CC"])
    Path("european.csv").write_text("n;smiles\n1,5;CCO\n", encoding="utf-8")
    same(predicted(smiles, "european.csv"), smiles, ["CCO"])
    with pytest.raises(MatliftError, match=r"no column smiles: name one of its columns by --column \(a, b\)"):
        (Path("wrong.csv").write_text("a,b\n1,2\n"), predicted(smiles, "wrong.csv"))


def test_parquet_comes_in_and_goes_out(smiles: Predictor) -> None:
    items = ["CCO", None, "x", *["C" * size for size in range(1, 6)]]
    pq.write_table(pa.table({"n": range(len(items)), "smiles": items}), "in.parquet", row_group_size=3)
    count = predict_files(smiles, Inputs(["in.parquet"], "smiles"), Path("out.parquet"))
    assert (count.rows, count.bad) == (len(items), 2)
    table = pq.read_table("out.parquet")
    assert table.schema.field("value").metadata == {b"unit": smiles.unit.encode()}
    pd.testing.assert_frame_equal(
        table.to_pandas()[COLUMNS[1:5]],
        smiles.predict(items)[COLUMNS[1:5]],  # type: ignore[arg-type]
    )
    Path("bad.parquet").write_bytes(Path("in.parquet").read_bytes()[:-20])
    with pytest.raises(MatliftError, match="cannot be read as Parquet"):
        predicted(smiles, "bad.parquet")


def test_records_of_an_sdf_are_molecules(smiles: Predictor) -> None:
    blocks = [Chem.MolToMolBlock(Chem.MolFromSmiles(item)) for item in ("CCO", "c1ccccc1F")]
    records = [blocks[0], "broken\n\n\n  x\nM  END\n", blocks[1]]
    for end in ("\n", "\r\n"):
        text = "$$$$\n".join([*records, ""]).replace("\n", end)
        Path("some.sdf").write_bytes(text.encode())
        same(predicted(smiles, "some.sdf"), smiles, ["CCO", "unreadable record: broken", "Fc1ccccc1"])


def test_structures_are_compositions(compounds: Predictor) -> None:
    Path("halite.cif").write_text(HALITE)
    write("salts.xyz", [bulk("NaCl", "rocksalt", 5.64), Atoms("MgO", [[0, 0, 0], [0, 0, 2]])], format="extxyz")
    Path("bad.cif").write_text("data_x\nnothing")
    broken = HALITE.replace("0.5 0.5 0.5 1", "0.5 0.5")
    Path("three.cif").write_text(f"# of three\n{HALITE}{broken}data_text\n_a\n;\ndata_of_it\n;\n{HALITE}")
    Path("@1.cif").write_text(HALITE)
    write("POSCAR", bulk("MgO", "rocksalt", 4.2), format="vasp")
    assert list(formulas("halite.cif")) == list(formulas("@1.cif")) == ["Cl4K1Na3"]
    assert list(formulas("three.cif")) == ["Cl4K1Na3", "three.cif", "Cl4K1Na3"]
    found = predicted(compounds, "halite.cif", "bad.cif", "salts.xyz", "POSCAR", "KCl")
    same(found, compounds, ["Cl4K1Na3", "bad.cif", "Cl1Na1", "Mg1O1", "Mg1O1", "KCl"])


def test_a_file_that_the_model_cannot_use_is_refused(smiles: Predictor, compounds: Predictor) -> None:
    Path("halite.cif").write_text(HALITE)
    Path("some.sdf").write_text("")
    for model, name, said in ((smiles, "halite.cif", "takes SMILES"), (compounds, "some.sdf", "takes formulas")):
        with pytest.raises(MatliftError, match=said):
            predicted(model, name)
    for name in ("no.csv", "no.parquet", "no.sdf"):
        with pytest.raises(MatliftError, match="is not there"):
            predicted(smiles, name)
    with pytest.raises(MatliftError, match=r"no\.cif is not there"):
        predicted(compounds, "no.cif")
    Path("some.xlsx").write_text("")
    with pytest.raises(MatliftError, match=r"some\.xlsx is of a kind that is not read: name one of \.csv, "):
        predicted(smiles, "some.xlsx")
    with pytest.raises(MatliftError, match=r"neither .csv nor .parquet"):
        predict_files(smiles, Inputs(["C"], "smiles"), Path("out.xlsx"))


def test_what_is_not_complete_has_no_name(smiles: Predictor) -> None:
    with pytest.raises(MatliftError):
        predicted(smiles, "CCO", "no.csv")
    assert list(Path().iterdir()) == []
    with pytest.raises(MatliftError, match="cannot be written"):
        predict_files(smiles, Inputs(["C"], "smiles"), Path("no/folder/out.csv"))


@pytest.mark.parametrize("quoted", [True, False])
def test_parts_of_a_text_are_whole_lines(monkeypatch: pytest.MonkeyPatch, *, quoted: bool) -> None:
    rows = [f'{place},"a\nb {place}"' if quoted else f"{place},{place}" for place in range(300)]
    text = "\n".join(["id,smiles", *rows]).encode()
    for size in (7, 64, 1000):
        monkeypatch.setitem(inputs.TEXT, "smiles", size)
        Path("table.csv").write_bytes(text)
        parts = list(Inputs(["table.csv"], "smiles").parts())
        found = [item for part in parts for item in inputs.items_of(part)]
        assert found == [f"a\nb {place}" if quoted else str(place) for place in range(300)]
        assert len(parts) > 1


def test_a_stray_quotation_mark_costs_neither_rows_nor_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(inputs.TEXT, "smiles", 64)
    monkeypatch.setattr(inputs, "QUOTED", 500)
    rows = [f'5" pipe,{place}' if place == 7 else f'"x",{place}' for place in range(300)]
    Path("table.csv").write_text("\n".join(["note,smiles", *rows]))
    parts = list(Inputs(["table.csv"], "smiles").parts())
    assert [item for part in parts for item in inputs.items_of(part)] == [str(place) for place in range(300)]
    assert max(len(part.content) for part in parts) < 600


def test_a_long_field_is_a_row_and_an_endless_line_is_no_text(
    compounds: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("table.csv").write_text(f"formula,note\nMgO,{'x' * 200_000}\n{'K' * 200_000},y\nNaCl,z\n")
    found = predicted(compounds, "table.csv")
    assert found["value"].notna().tolist() == [True, False, True]
    assert found["reason"][1] == "its formula has 200,000 characters, more than 2,000"
    monkeypatch.setattr(inputs, "LONGEST", 2**19)
    Path("endless.txt").write_bytes(b"C" * 2**20)
    with pytest.raises(MatliftError, match=r"endless\.txt is no text: a line of it has more than 0\.5 MiB"):
        predicted(compounds, "endless.txt")


def test_files_are_read_compressed_and_from_the_store(smiles: Predictor, predict_store: Store) -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    for name, content in (("some.sdf.gz", f"{block}$$$$\n"), ("some.csv.gz", "n,smiles\n1,CCO\n")):
        Path(name).write_bytes(gzip.compress(content.encode()))
        same(predicted(smiles, name), smiles, ["CCO"])
    Path("some.smi.gz").write_bytes(gzip.compress(b"CCO\n" * 1000)[:-9])
    with pytest.raises(MatliftError, match=r"some\.smi\.gz cannot be read"):
        predicted(smiles, "some.smi.gz")
    with fsspec.open(f"{predict_store.url}/some.smi", "wb", **options_of(predict_store.url)) as file:
        file.write(b"CCO\n")
    same(predicted(smiles, f"{predict_store.url}/some.smi"), smiles, ["CCO"])
    with pytest.raises(MatliftError, match=r"none\.smi is not there"):
        predicted(smiles, f"{predict_store.url}/none.smi")


def test_a_large_file_is_worked_on_in_parts_and_in_order(compounds: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(inputs.TEXT, "formula", 2**12)
    items = [f"Mg{1 + place % 7}O{1 + place % 11}" if place % 50 else f"bad {place}" for place in range(5000)]
    Path("many.txt").write_text("\n".join(items))
    same(predicted(compounds, "many.txt"), compounds, items)


def test_a_large_file_is_not_held_in_memory(compositions: Published) -> None:
    """What is not the wanted column makes it large, so that the test is short."""
    Path("small.csv").write_text("note,formula\nx,MgO\n")
    with Path("large.csv").open("w") as file:
        file.write("note,formula\n" + f"{'x' * 20_000},MgO\n" * 2_000)
    peaks = {}
    for name in ("small", "large"):
        order = [sys.executable, "-c", PEAK, str(compositions.folder), f"{name}.csv"]
        ended = subprocess.run(order, check=False, capture_output=True, text=True, env=os.environ)
        assert ended.returncode == 0, ended.stderr
        peaks[name] = int(ended.stdout)
    assert peaks["large"] < peaks["small"] + 20_000  # KiB; the file has 40,000


def command(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    order = [sys.executable, "-m", "flows.cli", *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment
    return subprocess.run(order, check=False, capture_output=True, text=True, input=stdin, env=environment)


def test_the_command_takes_a_folder_and_items(molecules: Published, smiles: Predictor) -> None:
    ended = command("predict", str(molecules.folder), "CCO", "bad item", "C")
    assert (ended.returncode, ended.stderr) == (0, "")
    same(
        pd.read_csv(
            io.StringIO(ended.stdout), keep_default_na=False, na_values={"value": "", "lower": "", "upper": ""}
        ),
        smiles,
        ["CCO", "bad item", "C"],
    )


def test_the_command_takes_a_recipe_and_its_standard_input(
    compositions: Published, predict_store: Store, compounds: Predictor
) -> None:
    recipe = compositions.bundle.recipe
    ended = command("predict", recipe, stdin="formula,n\nMgO,1\nNaCl,2\n", MATLIFT_STORE=predict_store.url)
    assert ended.returncode == 0, ended.stderr
    same(pd.read_csv(io.StringIO(ended.stdout), keep_default_na=False), compounds, ["MgO", "NaCl"])
    ended = command("predict", "nothing-like-it", "MgO", MATLIFT_STORE=predict_store.url)
    assert ended.returncode == 1
    assert ended.stderr.startswith("matlift: the store")
    assert "run `matlift run nothing-like-it`" in ended.stderr


def test_the_command_ends_quietly_when_nobody_reads_on(compositions: Published) -> None:
    Path("many.txt").write_text("MgO\n" * 50_000)
    order = [sys.executable, "-m", "flows.cli", "predict", str(compositions.folder), "many.txt"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipe = subprocess.PIPE
    with subprocess.Popen(order, stdout=pipe, stderr=pipe, env=environment) as running:
        assert running.stdout.readline() == HEADER
        running.stdout.close()
        assert (running.wait(), running.stderr.read()) == (1, b"")


def test_the_command_writes_files_and_onnx(molecules: Published) -> None:
    ended = command("predict", str(molecules.folder), "CCO", "x", "--output", "out.csv")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == "2 rows in out.csv: 1 without a value, 0 out of domain\n"
    assert command("export", str(molecules.folder), "model.onnx").returncode == 0
    assert Path("model.onnx").stat().st_size > 1000


def test_the_champion_comes_before_the_latest(store: Store) -> None:
    store.point("bundles/some/latest.json", {"bundle": "b" * 16, "path": "bundles/some/" + "b" * 16})
    assert locate("some", store).endswith(f"/bundles/some/{'b' * 16}")
    store.point("bundles/some/champion.json", {"bundle": "a" * 16, "path": "bundles/some/" + "a" * 16, "history": []})
    assert locate("some", store).endswith(f"/bundles/some/{'a' * 16}")
