"""Features of dyes: the published sums of their free bases, labels as columns, and a scale without metals."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from tasks.curate.dyes import describe
from tasks.errors import MatliftError
from tasks.featurize.atom_types import TYPES
from tasks.featurize.estate import estate_names, estate_rows
from tasks.featurize.labels import label_columns, label_rows
from tasks.featurize.matrix import featurize_rows, load_scale
from tasks.fetch import cmr
from tasks.handles import Features, Snapshot
from tasks.porphyrins import core, with_aromatic_core
from tasks.recipe import Cmr, Estate
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet

PORPHINE = "C1=Cc2cc3ccc(cc4nc(cc5ccc(cc1n2)[nH]5)C=C4)[nH]3"
PARTS = ["A", "R1", "R2", "R3"]


@pytest.fixture(scope="module")
def published(shared_data: Path) -> pd.DataFrame:
    """The published E-state sums of free bases by their parts."""
    table = pd.read_csv(shared_data / "cmr" / "porphyrin_estate_sums.csv")
    assert set(table["M"]) == {"H2P"}
    return table.set_index(PARTS).sort_index()


def differences(smiles: list[str], published: pd.DataFrame) -> np.ndarray:
    """The greatest difference of each molecule's sums from the published ones, of which those left out are 0."""
    rows = estate_rows(smiles, topological=False, dyes=True)
    sums = pd.DataFrame(rows[:, len(TYPES) :], columns=list(TYPES))
    expected = published.reindex(columns=list(TYPES), fill_value=0.0)
    return np.abs(sums.to_numpy() - expected.to_numpy()).max(axis=1)


def perceived(dyes: pd.DataFrame) -> list[str]:
    found = describe(list(zip(dyes["xyz"], dyes["labels"], strict=True)))
    assert [dye.reason for dye in found] == [None] * len(dyes)
    return [str(dye.smiles) for dye in found]


def test_the_positions_of_free_bases_give_the_published_sums(dye_sample: pd.DataFrame, published: pd.DataFrame) -> None:
    dyes = dye_sample[dye_sample["M"] == "H2P"].join(published[["sCH3"]], on=PARTS, how="inner")
    assert len(dyes) == 75
    missed = differences(perceived(dyes), published.loc[list(dyes[PARTS].itertuples(index=False, name=None))])
    assert missed.max() < 1e-3


def test_the_positions_of_the_whole_database_give_all_published_sums(published: pd.DataFrame) -> None:
    """All 1,329 of them, none left out: no free base of the whole database is ambiguous."""
    whole = os.environ.get("MATLIFT_DSSC")
    if not whole:
        pytest.skip("MATLIFT_DSSC names no whole dssc.db: tools/make_cmr_standin.py of the shared folder makes one")
    data = Cmr(database="cmr", file="dssc", at=whole, key="E_gap", unit="eV", where={"M": ("H2P",)})
    rows = cmr.read(data, cmr.identity(data)).rows
    labels = pd.DataFrame(map(json.loads, rows["labels"]))
    dyes = rows.join(labels).join(published[["sCH3"]], on=PARTS, how="inner")
    assert len(dyes) == len(published) == 1329
    missed = differences(perceived(dyes), published.loc[list(dyes[PARTS].itertuples(index=False, name=None))])
    assert missed.max() < 1e-3


def test_the_positions_of_complexes_give_the_sums_of_their_free_bases(
    dye_sample: pd.DataFrame, published: pd.DataFrame
) -> None:
    complexes = dye_sample[dye_sample["M"].isin(["ZnP", "TiOP", "TiO2RP"])].join(
        published[["sCH3"]], on=PARTS, how="inner"
    )
    dyes = complexes.groupby("M").head(6)
    assert dyes["M"].nunique() == 3
    missed = differences(perceived(dyes), published.loc[list(dyes[PARTS].itertuples(index=False, name=None))])
    assert missed.max() < 1e-3


def test_smiles_give_the_published_sums(shared_data: Path, published: pd.DataFrame) -> None:
    sys.path.insert(0, str(shared_data.parent / "tools"))
    try:
        from make_cmr_standin import free_base  # noqa: PLC0415 -- of the shared tools
    finally:
        sys.path.pop(0)
    some = published.sample(60, random_state=0)
    smiles = [Chem.MolToSmiles(free_base(*parts)) for parts in some.index]
    assert differences(smiles, some).max() < 1e-3


def test_the_core_is_aromatic_in_all_its_atoms() -> None:
    molecule = Chem.MolFromSmiles(PORPHINE)
    assert sum(atom.GetIsAromatic() for atom in molecule.GetAtoms()) == 20
    assert sum(atom.GetIsAromatic() for atom in with_aromatic_core(molecule).GetAtoms()) == 24
    counts = dict(zip(estate_names(), estate_rows([PORPHINE], topological=False, dyes=True)[0], strict=True))
    found = {
        name.removeprefix("count_"): int(count) for name, count in counts.items() if name.startswith("c") and count
    }
    assert found == {"aaCH": 12, "aaaC": 8, "aaN": 2, "aaNH": 2}


def test_what_is_no_porphyrin_stays_as_it_is() -> None:
    molecules = ["CCO", "c1ccccc1", "C1=CC=CC=C1"]
    np.testing.assert_array_equal(
        estate_rows(molecules, topological=True, dyes=True), estate_rows(molecules, topological=True)
    )
    assert core(Chem.MolFromSmiles("c1ccccc1")) == ()


def test_labels_become_one_column_for_each_value_of_the_source() -> None:
    source = ['{"M": "ZnP", "rotated": ""}', '{"M": "TiOP", "rotated": "rot"}', '{"M": "ZnP", "A": "x"}']
    columns = label_columns(source, ("M", "rotated"))
    assert columns == ("label_M=TiOP", "label_M=ZnP", "label_rotated=", "label_rotated=rot")
    assert label_rows(source, columns).tolist() == [[0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0]]
    assert label_rows(['{"M": "H2P", "rotated": ""}', "{}"], columns).tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]


def test_a_label_that_the_source_does_not_have_is_named() -> None:
    with pytest.raises(MatliftError, match=r"^no row of the source has the label N: leave it out of features\.labels$"):
        label_columns(['{"M": "ZnP"}'], ("M", "N"))


def snapshot(store: Store, name: str, metals: list[str], of: str = "dyes") -> Snapshot:
    """Curated rows: porphine, with fluorine on every second, under several labels."""
    smiles = [PORPHINE if place % 2 else PORPHINE.replace("C1=C", "C1=C(F)") for place in range(len(metals))]
    rows = pd.DataFrame(
        {
            "record": [f"{name}:{place}" for place in range(len(metals))],
            "key": smiles,
            "smiles": smiles,
            "formula": ["C20H12N4Zn" if metal == "ZnP" else "C20H14N4" for metal in metals],
            "labels": [json.dumps({"M": metal}) for metal in metals],
            "value": np.arange(len(metals), dtype=float),
        }
    )
    files = {
        "rows.parquet": to_parquet(rows, {"value": "eV"}),
        "report.json": json.dumps({"of": of, "elements": ["C", "F", "H", "N", "Zn"]}).encode(),
    }
    handle = Snapshot(name)
    store.write(handle, files, 0)
    return handle


def test_the_target_has_the_columns_of_the_source_and_no_metal(store: Store) -> None:
    features = Estate(kind="estate", topology=False, labels=("M",))
    source = Features("source")
    metals = ["ZnP", "ZnP", "TiOP", "TiOP", "ZnP"]
    store.write(source, featurize_rows(store, snapshot(store, "s", metals), features, None, extensive=False), 0)
    rows = featurize_rows(store, snapshot(store, "t", ["H2P", "ZnP"]), features, source, extensive=False)
    scale = load_scale(store, source)
    assert scale.starting("label_") == ("label_M=TiOP", "label_M=ZnP")
    matrix = from_parquet(rows["matrix.parquet"])
    assert tuple(matrix.columns) == scale.names
    zinc = matrix["label_M=ZnP"] * scale.spread[scale.names.index("label_M=ZnP")] + 0.6
    np.testing.assert_allclose(zinc, [0, 1], atol=1e-6)
    atoms = from_parquet(rows["rows.parquet"]).filter(regex="^atoms_")
    assert atoms.columns.tolist() == ["atoms_C", "atoms_F", "atoms_H", "atoms_N"]  # of the free bases
    np.testing.assert_allclose(atoms.sum(axis=1), 1)
    assert json.loads(rows["state.json"])["of"] == "dyes"
