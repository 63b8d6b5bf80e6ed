"""A dye is known by its free base, whatever its metal and the order of its atoms, and rejected where in doubt."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from porphine import CIS, OTHER_TRANS, TITANYL, TRANS, WATER, ZINC, Atom, porphine, xyz
from rdkit import Chem
from rdkit.Chem.rdinchi import MolToInchiKey

from tasks.curate import dyes
from tasks.curate.dyes import describe
from tasks.curate.identity import Identity
from tasks.curate.rows import curate_rows
from tasks.errors import MatliftError
from tasks.fetch import cmr
from tasks.fetch.records import pack
from tasks.recipe import Rules
from tasks.tables import from_parquet

PORPHINE = "C1=Cc2cc3ccc(cc4nc(cc5ccc(cc1n2)[nH]5)C=C4)[nH]3"


def one(atoms: list[Atom] | str, labels: str = "{}") -> Identity:
    (found,) = describe([(atoms if isinstance(atoms, str) else xyz(atoms), labels)])
    return found


@pytest.fixture(scope="module")
def porphines() -> dict[str, Identity]:
    """Porphine and three of its complexes."""
    centres = {"H2": TRANS, "H2, turned": OTHER_TRANS, "Zn": ZINC, "TiO": TITANYL}
    found = describe([(xyz(porphine(*centre)), json.dumps({"M": name})) for name, centre in centres.items()])
    return dict(zip(centres, found, strict=True))


def test_a_free_base_is_understood(porphines: dict[str, Identity]) -> None:
    found = porphines["H2"]
    assert found.reason is None
    assert found.smiles is not None
    assert Chem.CanonSmiles(found.smiles) == found.smiles == Chem.CanonSmiles(PORPHINE)
    assert found.formula == "C20H14N4"
    assert found.key == MolToInchiKey(Chem.MolFromSmiles(PORPHINE)).partition("-")[0]


def test_a_metal_leaves_the_free_base_and_its_formula(porphines: dict[str, Identity]) -> None:
    assert {found.smiles for found in porphines.values()} == {porphines["H2"].smiles}
    assert {found.key for found in porphines.values()} == {porphines["H2"].key}
    assert porphines["Zn"].formula == "C20H12N4Zn"
    assert porphines["TiO"].formula == "C20H12N4OTi"


def test_which_nitrogens_bear_the_hydrogens_does_not_matter() -> None:
    def lopsided(centre: tuple[Atom, ...]) -> str:
        atoms = porphine(*centre)
        for place in (6, 16):  # a meso and a beta hydrogen
            x, y, z = atoms[place][1]
            atoms[place] = ("F", (1.06 * x, 1.06 * y, z))
        return xyz(atoms)

    found = describe([(lopsided(centre), "{}") for centre in (TRANS, OTHER_TRANS, ZINC)])
    assert len({(dye.smiles, dye.key) for dye in found}) == 1
    assert found[0].formula == "C20H12F2N4"


def test_dyes_are_the_same_if_their_free_bases_and_labels_are(porphines: dict[str, Identity]) -> None:
    assert len({found.material for found in porphines.values()}) == 4
    zinc = porphine(*ZINC)
    spellings = ['{"M": "ZnP", "rotated": ""}', '{"rotated":"","M":"ZnP"}']
    first, second = describe([(xyz(zinc), labels) for labels in spellings])
    assert first == second
    assert first.material == first.computed == 'RKCAIXNGYQCCAL {"M": "ZnP", "rotated": ""}'


def test_the_order_of_the_atoms_does_not_matter(dye_sample: pd.DataFrame) -> None:
    with_sulphur = dye_sample["formula"].str.contains("S")  # where DetermineBonds goes wrong
    sulphur = dye_sample[with_sulphur].groupby("M").head(2)
    assert sulphur["M"].nunique() == 6
    chance = np.random.default_rng(0)
    shuffled = ["\n".join(chance.permutation(text.split("\n"))) for text in sulphur["xyz"]]
    before = describe(list(zip(sulphur["xyz"], sulphur["labels"], strict=True)))
    after = describe(list(zip(shuffled, sulphur["labels"], strict=True)))
    assert before == after
    assert all(found.smiles for found in before)


def test_dyes_of_the_same_parts_have_the_same_free_base(dye_sample: pd.DataFrame) -> None:
    parts = ["A", "R1", "R2", "R3"]
    plain = dye_sample[~dye_sample["M"].str.startswith("F")].copy()
    plain["A"] = plain["A"].str.removeprefix("rot-")
    several = plain[plain.duplicated(parts, keep=False)].sort_values(parts).head(30)
    several["key"] = [found.key for found in describe(list(zip(several["xyz"], several["labels"], strict=True)))]
    assert several["M"].nunique() > 2
    assert several.groupby(parts)["key"].nunique().tolist() == [1] * len(several[parts].drop_duplicates())
    assert several["key"].nunique() == len(several[parts].drop_duplicates())


def without(atoms: list[Atom], place: int) -> list[Atom]:
    return atoms[:place] + atoms[place + 1 :]


@pytest.mark.parametrize(
    ("atoms", "reason", "detail"),
    [
        ("C 0 0", "unreadable positions", "Its atoms cannot be read: "),
        ("C 0 0 zero", "unreadable positions", "Its atoms cannot be read: "),
        ("Xy 0 0 0", "unreadable positions", "Its atoms cannot be read: 'Xy'."),
        ("C 0 0 nan", "impossible positions", "An atom has no finite position."),
        ("C 0 0 0\nH 0 0 0.2", "impossible positions", "C1 and H2 are 0.20 Å apart."),
        ("O 0 0 0\nH 0 0 0.96\nH 0 0.93 -0.24", "no porphyrin", "Its atoms in contact hold no porphyrin core"),
        (porphine(), "no free base", "It has no metal, and 0 hydrogens"),
        (porphine(TRANS[0]), "no free base", "It has no metal, and 1 hydrogens"),
        (porphine(*CIS), "no free base", "It has no metal, and 2 hydrogens that are not on two opposite nitrogens."),
        (porphine(*ZINC, ("Zn", (0, 0, 8))), "several metals", "It has Zn, Zn, and one metal at most is understood."),
        (porphine(("Zn", (0, 0, 4))), "metal outside", "Zn is 4.49 Å from a nitrogen of the porphyrin core."),
        (
            porphine(*ZINC, ("H", (1.7, 0, 0.95))),
            "metal and hydrogen",
            "It has Zn in the core, and 1 hydrogens as well",
        ),
        (porphine(*ZINC, *WATER), "several components", "H2O is bonded neither to the porphyrin nor to a metal."),
        (without(porphine(*TRANS), 6), "unusual valence", "C1 with 2 neighbours has not its usual valence."),
        (porphine(*TRANS, ("H", (2.425, -2.425, 1.0))), "unusual valence", "C"),
    ],
)
def test_what_is_in_doubt_is_rejected(atoms: list[Atom] | str, reason: str, detail: str) -> None:
    found = one(atoms)
    assert found.reason == reason
    assert found.detail is not None
    assert found.detail.startswith(detail)
    assert (found.smiles, found.key, found.material, found.formula) == (None,) * 4


def test_no_positions_are_no_dye() -> None:
    (found,) = describe([(None, None)])
    assert found == Identity(reason="no positions", detail="No table gives its atoms with their positions.")


@pytest.mark.parametrize(
    ("deed", "reason"), [("time.sleep(60)", "perception hangs"), ("os.abort()", "perception crashes")]
)
def test_a_dye_that_the_program_does_not_survive_is_rejected_and_the_next_one_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, deed: str, reason: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os, sys, time\nprint('ready', flush=True)\nfor line in sys.stdin:\n"
        f"    if 'evil' in line: {deed}\n"
        "    print(json.dumps({'smiles': 'C', 'key': json.loads(line), 'formula': 'CH4'}), flush=True)\n"
    )
    monkeypatch.setattr(dyes, "PROGRAM", program)
    monkeypatch.setattr(dyes, "LIMIT", 0.5)
    first, evil, last = describe([("good", "{}"), ("evil", "{}"), ("good, too", "{}")])
    assert (first.key, last.key) == ("good", "good, too")
    assert evil.reason == reason
    assert evil.detail


def test_a_program_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dyes, "PROGRAM", tmp_path / "none.py")
    with pytest.raises(MatliftError, match="the program that perceives bonds does not start: run `"):
        one(porphine(*ZINC))


def test_the_program_ends_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = dyes._Perceiver._start
    monkeypatch.setattr(dyes._Perceiver, "_start", lambda self: started.append(start(self)) or started[-1])
    one(porphine(*ZINC))
    assert started[0].poll() is not None


def test_curation_keeps_one_row_of_each_dye() -> None:
    centres = {"ZnP": ZINC, "H2P": TRANS, "cis": CIS}
    rows = [(name, centre, value) for name, centre in centres.items() for value in (2.0, 2.01)]
    raw = pd.DataFrame(
        {
            "record": [f"dssc:{place}" for place in range(len(rows))],
            "table": "dssc",
            "xyz": [xyz(porphine(*centre)) for _, centre, _ in rows],
            "labels": [json.dumps({"M": name}) for name, _, _ in rows],
            "value": [value for *_, value in rows],
        }
    )
    records = from_parquet(pack(cmr.Records(raw, "eV"), "eV"))
    rules = Rules(of="dyes", between=(0.5, 8), duplicates="agree", tolerance=0.05)
    curated = curate_rows(records, rules, None, "eV")
    assert curated.rows["labels"].tolist() == ['{"M": "ZnP"}', '{"M": "H2P"}']
    assert len(set(curated.rows["key"])) == 1
    assert curated.report["rejected"] == {"duplicate": 2, "no free base": 2}
    assert curated.report["elements"] == ["C", "H", "N", "Zn"]
    assert curated.report["of"] == "dyes"
