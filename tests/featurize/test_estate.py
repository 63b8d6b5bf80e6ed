"""E-state indices are RDKit's, ring counts are those that a chemist would count, and neither depends on the drawing."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem.EState import AtomTypes, EStateIndices, Fingerprinter

from tasks.errors import MatliftError
from tasks.featurize.atom_types import TYPES
from tasks.featurize.estate import estate, estate_names, estate_rows
from tasks.featurize.topology import TOPOLOGY, topology
from tasks.fetch import chemicals, qm9
from tasks.recipe import Chemicals, Qm9

MOLECULES = (
    "C",
    "O",
    "N",
    "CCO",
    "C#N",
    "C=C=C",
    "CC(C)(C)C",
    "C[N+](=O)[O-]",
    "[C-]#[O+]",
    "FC(F)(F)F",
    "CC(=O)O[C@@H](C)C(=O)O",
    "C/C=C/C=O",
    "O=C1NC(=O)c2ccccc12",
    "c1ccc2ncccc2c1",
    "C12C3C4C1C5C2C3C45",
    "C1C2CC3CC1CC(C2)C3",
    "N12CCN(CC1)CC2",
    "C1CC12CC2",
    "OCC1OC(O)C(O)C(O)C1O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "c1cc2ccc3ccc4ccc5ccc6ccc1c7c2c3c4c5c67",
)
ORDINARY = ("CCO", "C=C=C", "CC(C)(C)C", "CC(=O)OC", "C/C=C/C=O", "C1CC12CC2", "c1ccc2ncccc2c1", "C12C3C4C1C5C2C3C45")
molecules = st.sampled_from(MOLECULES)
seeds = st.integers(1, 2**20)  # RDKit takes negative ones for none at all
unhurried = settings(max_examples=60, deadline=None)


def parsed(smiles: str) -> Chem.Mol:
    molecule = Chem.MolFromSmiles(smiles)
    assert molecule is not None
    return molecule


def features(molecule: Chem.Mol) -> npt.NDArray[np.float64]:
    return np.concatenate([estate([molecule])[0], topology(molecule)])


def estate_of(smiles: str) -> dict[str, float]:
    (values,) = estate([parsed(smiles)]).tolist()
    return {name: value for name, value in zip(estate_names(), values, strict=True) if value}


def topology_of(smiles: str) -> dict[str, int]:
    return {name: int(value) for name, value in zip(TOPOLOGY, topology(parsed(smiles)), strict=True) if value}


def test_columns_are_79_counts_then_79_sums_then_12_counts() -> None:
    assert len(TYPES) == len(set(TYPES)) == 79
    names = estate_names()
    assert (*(f"count_{name}" for name in TYPES), *(f"sum_{name}" for name in TYPES)) == names
    assert len(set(names + TOPOLOGY)) == len(names + TOPOLOGY) == 158 + 12
    assert estate_rows(["CCO", "C"], topological=True).shape == (2, 158 + 12)


@pytest.fixture(scope="module")
def measured() -> list[str]:
    """The SMILES of all molecules whose enthalpy of formation was measured and that RDKit can read."""
    rows = chemicals.read(Chemicals(database="chemicals", tables=("ATcT", "CRC", "WebBook")), "").rows
    with rdBase.BlockLogs():
        return [smiles for smiles in rows["smiles"].dropna().unique() if Chem.MolFromSmiles(smiles)]


@pytest.fixture(scope="module")
def computed() -> list[str]:
    """The SMILES of some molecules of QM9, half of them with the rings of three in which RDKit merges atoms."""
    rows = qm9.read(Qm9(database="qm9"), "").rows["smiles"].dropna()
    ringed = rows[rows.str.contains(r"C1CC1|C1CN1|C1CO1|C1=CC1|C12CC1")]
    return pd.concat([rows.sample(1000, random_state=0), ringed.sample(1000, random_state=0)]).tolist()


# Bonds that are neither single, aromatic, double nor triple; metals; radicals; parts; hydrogens as atoms; no element.
STRANGE = (
    *("[Fe]", "[Na+].[Cl-]", "[H][H]", "[2H]C([2H])[2H]", "N->[Pt](Cl)(Cl)<-N", "C~C", "C$C", "*C*", "[CH3]"),
    *("[O][O]", "C[Hg]C", "CC[Pb](CC)(CC)CC", "O=[N+]([O-])[O-]", "CS(=O)(=O)C", "C[N+](=O)[O-]", "[SeH]C"),
    *("[Li]CCCC", "P12P3P1P23", "c1ccccc1->[Cr]", "[C-]#[N+]C", "[NH4+]", "F[P](F)(F)(F)F", "[Si]1([Si][Si]1)"),
    *("c1cc[se]c1", "O=c1cc[nH]cc1", "n1onnc1"),
)


def test_counts_and_sums_are_those_of_rdkit_s_fingerprinter(measured: list[str], computed: list[str]) -> None:
    molecules = [*measured, *computed, *STRANGE]
    with rdBase.BlockLogs():
        prints = [Fingerprinter.FingerprintMol(parsed(smiles)) for smiles in molecules]
    ours = estate_rows(molecules, topological=False, merged=True)
    np.testing.assert_array_equal(ours[:, :79], [counts for counts, _ in prints])
    np.testing.assert_allclose(ours[:, 79:], [sums for _, sums in prints], rtol=0, atol=1e-9)


def test_types_and_indices_are_those_of_rdkit(measured: list[str], computed: list[str]) -> None:
    with rdBase.BlockLogs():
        molecules = [parsed(smiles) for smiles in (*measured[::5], *computed[::20], *STRANGE)]
    for molecule, values in zip(molecules, estate(molecules, ("count", "sum", "minimum", "maximum")), strict=True):
        indices, types = EStateIndices(molecule), AtomTypes.TypeAtoms(molecule)
        expected = np.zeros((4, 79))
        for column, name in enumerate(TYPES):
            if found := [indices[atom] for atom, names in enumerate(types) if name in names]:
                expected[:, column] = len(found), sum(found), min(found), max(found)
        np.testing.assert_allclose(values, expected.ravel(), atol=1e-9)


def test_reading_without_stereochemistry_changes_nothing(measured: list[str], computed: list[str]) -> None:
    some = [*measured[::3], *computed[::10], *STRANGE]
    with rdBase.BlockLogs():
        molecules = [parsed(smiles) for smiles in some]
    whole = np.hstack([estate(molecules), [topology(molecule) for molecule in molecules]])
    np.testing.assert_array_equal(estate_rows(some, topological=True), whole)


def test_a_molecule_has_the_same_bits_among_others_as_alone(measured: list[str]) -> None:
    some = measured[::25]
    together = estate_rows(some, topological=True)
    for smiles, row in zip(some, together, strict=True):
        np.testing.assert_array_equal(estate_rows([smiles], topological=True)[0], row)


def test_what_is_no_molecule_is_named() -> None:
    with rdBase.BlockLogs(), pytest.raises(MatliftError, match=r"^“C1CC” cannot be read as a molecule"):
        estate_rows(["CC", "C1CC"], topological=False)


@pytest.mark.parametrize(
    ("smiles", "counted"),
    [
        ("CC", {"count_sCH3": 2}),
        ("C=C", {"count_dCH2": 2}),
        ("OO", {"count_sOH": 2}),
        ("C1CC1", {"count_ssCH2": 3}),
        ("C1CO1", {"count_ssCH2": 2, "count_ssO": 1}),
        ("C1CC12CC2", {"count_ssCH2": 4, "count_ssssC": 1}),
    ],
)
def test_every_atom_counts_also_where_types_match_on_the_same_atoms(smiles: str, counted: dict[str, int]) -> None:
    assert {name: value for name, value in estate_of(smiles).items() if name.startswith("count")} == counted


@pytest.mark.parametrize("smiles", ORDINARY)
def test_every_atom_is_of_one_type_and_its_index_in_one_sum(smiles: str) -> None:
    molecule = parsed(smiles)
    (values,) = estate([molecule])
    assert values[:79].sum() == molecule.GetNumHeavyAtoms()
    assert values[79:].sum() == pytest.approx(EStateIndices(molecule).sum())


def test_methane_has_no_type() -> None:
    assert estate_of("C") == {}


def test_ethanol_has_the_indices_of_the_paper() -> None:
    assert estate_of("CCO") == pytest.approx(  # L. B. Kier, L. H. Hall, Pharm. Res. 7 (1990) 801
        {"count_sCH3": 1, "count_ssCH2": 1, "count_sOH": 1, "sum_sCH3": 1.681, "sum_ssCH2": 0.25, "sum_sOH": 7.569},
        abs=5e-4,
    )


@pytest.mark.parametrize(
    ("smiles", "counted"),
    [
        pytest.param("C", {}, id="methane"),
        pytest.param("C=CC=C", {"bonds_conjugated": 3}, id="butadiene"),
        pytest.param("C=CCC=C", {}, id="1,4-pentadiene"),
        pytest.param("C1CC1", {"rings_3": 1}, id="cyclopropane"),
        pytest.param("C1CCCCCC1", {"rings_7": 1}, id="cycloheptane"),
        pytest.param("C1CCCCCCC1", {"rings_8_or_more": 1}, id="cyclooctane"),
        pytest.param("C1CCCCCCCCCCC1", {"rings_8_or_more": 1}, id="cyclododecane"),
        pytest.param("c1ccccc1", {"rings_6": 1, "rings_aromatic": 1}, id="benzene"),
        pytest.param("C1=CC=CC=C1", {"rings_6": 1, "rings_aromatic": 1}, id="benzene, Kekulé's"),
        pytest.param("C=Cc1ccccc1", {"rings_6": 1, "rings_aromatic": 1, "bonds_conjugated": 2}, id="styrene"),
        pytest.param("C1CC12CC2", {"rings_3": 2, "atoms_spiro": 1, "atoms_in_2_rings": 1}, id="spiropentane"),
        pytest.param("C1CC2CCC1C2", {"rings_5": 2, "atoms_bridgehead": 2, "atoms_in_2_rings": 3}, id="norbornane"),
        pytest.param("c1ccc2ccccc2c1", {"rings_6": 2, "rings_aromatic": 2, "atoms_in_2_rings": 2}, id="naphthalene"),
        pytest.param(
            "c1cc2ccc3ccc4ccc5ccc6ccc1c7c2c3c4c5c67",
            {"rings_6": 7, "rings_aromatic": 7, "atoms_in_2_rings": 6, "atoms_in_3_or_more_rings": 6},
            id="coronene",
        ),
        pytest.param("C12C3C4C1C5C2C3C45", {"rings_4": 6, "atoms_in_3_or_more_rings": 8}, id="cubane"),
    ],
)
def test_rings_are_counted_as_a_chemist_would(smiles: str, counted: dict[str, int]) -> None:
    assert topology_of(smiles) == counted


def test_ring_counts_tell_apart_what_atom_types_cannot() -> None:
    cyclohexane, prolonged = "C1CCCCC1", "C1CCCCCCC1"
    per_atom = [estate([parsed(smiles)])[0] / parsed(smiles).GetNumAtoms() for smiles in (cyclohexane, prolonged)]
    np.testing.assert_allclose(per_atom[0], per_atom[1])
    assert topology_of(cyclohexane) != topology_of(prolonged)


@unhurried
@given(st.data(), seeds)
def test_features_do_not_depend_on_the_order_of_the_atoms(measured: list[str], data: st.DataObject, seed: int) -> None:
    molecule = parsed(data.draw(molecules | st.sampled_from(measured)))
    (drawn,) = Chem.MolToRandomSmilesVect(molecule, 1, seed)
    other = Chem.MolFromSmiles(drawn)
    assume(other)  # RDKit cannot read some of its own
    np.testing.assert_allclose(features(other), features(molecule), atol=1e-9)


@unhurried
@given(molecules, molecules)
def test_features_of_two_molecules_apart_add_up(one: str, other: str) -> None:
    together = features(parsed(f"{one}.{other}"))
    np.testing.assert_allclose(together, features(parsed(one)) + features(parsed(other)), atol=1e-9)


@unhurried
@given(molecules)
def test_hydrogens_may_be_written_out_or_not(smiles: str) -> None:
    written = Chem.MolToSmiles(Chem.AddHs(parsed(smiles)))
    with rdBase.BlockLogs():
        np.testing.assert_allclose(features(parsed(written)), features(parsed(smiles)), atol=1e-9)
