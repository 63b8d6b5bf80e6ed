"""Curation keeps one trusted record per molecule and says of every other record why it does not."""

import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.curate.rows import Curated, curate_file, curate_rows
from tasks.fetch.records import Records
from tasks.fetch.records import pack as pack_records
from tasks.recipe import Rules
from tasks.tables import from_parquet, units

AGREE = Rules(per_atom=(-200, 200), duplicates="agree", tolerance=20)
LOWEST = Rules(per_atom=(-200, 200), duplicates="lowest")
ORGANIC = ["C", "F", "H", "N", "O"]
NONE = float("nan")


def records(*rows: tuple[str | None, float] | dict[str, object]) -> pd.DataFrame:
    """A raw table of (SMILES, value), or of any columns, named A:0, A:1 and so on."""
    plain = [row if isinstance(row, dict) else {"smiles": row[0], "value": row[1]} for row in rows]
    frame = pd.DataFrame([{"record": f"A:{index}", "table": "A", **row} for index, row in enumerate(plain)])
    return from_parquet(pack(frame))


def pack(frame: pd.DataFrame) -> bytes:
    return pack_records(Records(frame, "kJ/mol"), "kJ/mol")


def curated(raw: pd.DataFrame, rules: Rules = AGREE, elements: list[str] | None = None) -> Curated:
    return curate_rows(raw, rules, elements, "kJ/mol")


def reasons(result: Curated) -> dict[str, str]:
    return dict(zip(result.rejected["record"], result.rejected["reason"], strict=True))


def test_an_accepted_row_has_its_identity() -> None:
    (row,) = curated(records({"smiles": "OCC", "value": -234.6, "name": "ethanol"})).rows.to_dict("records")
    assert row["smiles"] == "CCO"
    assert row["key"] == "LFQSCWFLJHTTHZ"
    assert row["formula"] == "C2H6O"
    assert (row["record"], row["name"], row["table"], row["value"]) == ("A:0", "ethanol", "A", -234.6)


@pytest.mark.parametrize(
    ("smiles", "reason", "detail"),
    [
        (None, "no SMILES", "No table gives its structure."),
        ("", "no SMILES", "No table gives its structure."),
        ("C(C", "unparsable SMILES", "RDKit cannot read C(C."),
        ("FCl(F)F", "unparsable SMILES", "RDKit cannot read FCl(F)F."),
        ("CC*", "placeholder", "One of its atoms stands for any atom."),
        ("[Na+].[Cl-]", "several components", "It has 2 components."),
        ("[2H]C", "isotope", "It has 2H."),
        ("[13CH4]", "isotope", "It has 13C."),
        ("[OH-]", "charged", "Its charge is -1."),
        ("C[NH3+]", "charged", "Its charge is +1."),
        ("[CH3]", "radical", "Its unpaired or missing electrons: 1."),
        ("C[C]C", "radical", "Its unpaired or missing electrons: 2."),
        ("CCl", "foreign element", "It has Cl, which the source or the features do not have."),
        ("C[Si](C)(C)Cl", "foreign element", "It has Cl, Si, which the source or the features do not have."),
    ],
)
def test_what_is_no_molecule_to_learn_from_is_rejected(smiles: str | None, reason: str, detail: str) -> None:
    result = curated(records((smiles, -80.0)), elements=ORGANIC)
    assert result.rows.empty
    assert result.rejected[["reason", "detail"]].to_numpy().tolist() == [[reason, detail]]


@pytest.mark.parametrize(
    "smiles", ["C[N+](=O)[O-]", "[C-]#[O+]", "[HH]", "[H][H]", "N[C@@H](C)C(=O)O", "O=C=O", "C/C=C/C"]
)
def test_unusual_but_sound_molecules_are_accepted(smiles: str) -> None:
    assert reasons(curated(records((smiles, -80.0)), elements=ORGANIC)) == {}


@pytest.mark.parametrize("value", [NONE, float("inf"), -float("inf")])
def test_a_value_that_is_no_number_is_rejected(value: float) -> None:
    assert reasons(curated(records(("C", value)))) == {"A:0": "no value"}


def test_a_value_out_of_range_is_rejected_per_atom() -> None:
    result = curated(records(("C", -1000.5), ("CC", -1000.5)))
    assert reasons(result) == {"A:0": "out of range"}
    assert result.rejected["detail"].item() == "-200.1 kJ/mol per atom is not between -200 and 200."


def test_another_formula_in_the_table_is_rejected() -> None:
    raw = records(
        {"smiles": "OOO", "value": -60.9, "formula": "[OOO]-"},
        {"smiles": "CCO", "value": -234.6, "formula": "CH3CH2OH"},
    )
    result = curated(raw)
    assert reasons(result) == {"A:0": "formula differs"}
    assert result.rejected["detail"].item() == "A means [OOO]-, but the structure found for it is H2O3."


@pytest.mark.parametrize(
    ("column", "way"), [("via_liquid", "liquid and its vaporization"), ("via_solid", "solid and its sublimation")]
)
def test_a_cycle_that_does_not_close_is_rejected(column: str, way: str) -> None:
    raw = records({"smiles": "C", "value": -80.0, column: -60.0}, {"smiles": "CC", "value": -80.0, column: -59.9})
    result = curated(raw)
    assert reasons(result) == {"A:1": "cycle does not close"}
    assert result.rejected["detail"].item() == (
        f"A gives -80 kJ/mol, but -59.9 by way of the {way}: 20.1 apart, more than 20."
    )
    assert reasons(curated(raw, LOWEST)) == {}


def test_records_that_agree_leave_the_one_of_the_first_table() -> None:
    raw = records(
        {"table": "WebBook", "smiles": "C", "value": -70.0},
        {"table": "ATcT", "smiles": "C", "value": -74.5},
        {"table": "CRC", "smiles": "[H]C([H])([H])[H]", "value": -74.6},
    )
    result = curated(raw)
    assert result.rows["record"].tolist() == ["A:0"]
    assert reasons(result) == {"A:1": "duplicate", "A:2": "duplicate"}
    assert result.rejected["detail"].iloc[0] == (
        "A:0 is the same molecule; WebBook -70, ATcT -74.5, CRC -74.6 kJ/mol agree, the first one is kept."
    )


def test_records_that_disagree_are_all_rejected() -> None:
    raw = records(
        {"table": "ATcT", "smiles": "C", "value": -74.5},
        {"table": "CRC", "smiles": "C", "value": -90.0},
        {"table": "WebBook", "smiles": "C", "value": -110.0},
        {"table": "WebBook", "smiles": "CC", "value": -84.0},
    )
    result = curated(raw)
    assert set(reasons(result).values()) == {"records disagree"}
    assert result.rows["formula"].tolist() == ["C2H6"]
    assert set(result.rejected["detail"]) == {"ATcT -74.5, CRC -90, WebBook -110 kJ/mol: 35.5 apart, more than 20."}


def test_a_rejected_record_has_no_say_in_whether_the_others_agree() -> None:
    raw = records(("C", -74.5), {"smiles": "C", "value": 30.0, "via_liquid": -70.0})
    assert reasons(curated(raw)) == {"A:1": "cycle does not close"}


def test_measured_stereoisomers_stay_apart_but_share_a_fold_key() -> None:
    rows = curated(records((r"C/C=C\C", -7.1), ("C/C=C/C", -40.0))).rows
    assert len(rows) == 2
    assert set(rows["key"]) == {"IAQRGUVFOMOMEM"}


def test_of_computed_isomers_of_one_skeleton_the_lowest_is_kept() -> None:
    result = curated(records((r"C/C=C\C", -7.1), ("C/C=C/C", -11.4), ("CC=CC", -3.0), ("C=CCC", -0.1)), LOWEST)
    assert sorted(result.rows["record"]) == ["A:1", "A:3"]
    assert result.rejected["detail"].tolist() == [
        "A:1 has the same skeleton and -11.4 kJ/mol, which is not above -7.1.",
        "A:1 has the same skeleton and -11.4 kJ/mol, which is not above -3.",
    ]


def test_an_inchi_that_is_given_decides_on_the_identity() -> None:
    raw = records({"smiles": "CCO", "value": -234.6, "inchi": "InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3"}, ("OCC", -235.0))
    assert reasons(curated(raw)) == {"A:1": "duplicate"}
    assert reasons(curated(records({"smiles": "C", "value": -74.5, "inchi": "methane"}))) == {"A:0": "no InChI"}


def test_the_files_of_a_snapshot_carry_units_and_counts() -> None:
    files = curate_file(pack(records(("CCO", -234.6), ("N", -45.6), ("[OH-]", -139.0))), AGREE, ORGANIC)
    assert units(files["rows.parquet"]) == {"value": "kJ/mol", "uncertainty": "kJ/mol"}
    assert units(files["rejected.parquet"]) == {"value": "kJ/mol"}
    report = pd.read_json(pd.io.common.BytesIO(files["report.json"]), typ="series").to_dict()
    assert report == {
        "of": "molecules",
        "rows": 3,
        "accepted": 2,
        "tables": {"A": 2},
        "rejected": {"charged": 1},
        "elements": ["C", "H", "N", "O"],
    }


def test_nothing_but_rejected_rows_is_a_snapshot_too() -> None:
    files = curate_file(pack(records(("[OH-]", -139.0))), AGREE, ORGANIC)
    assert from_parquet(files["rows.parquet"]).empty
    assert len(from_parquet(files["rejected.parquet"])) == 1


def test_rdkit_does_not_print_what_the_detail_says(capfd: pytest.CaptureFixture[str]) -> None:
    curated(records(("C(C", -80.0)))
    assert capfd.readouterr().err == ""


SMILES = [None, "C", "CC", "[H]C", "C(C", "[Na+].[Cl-]", "[CH3]", "CCl", r"C/C=C\C", "C/C=C/C", "CC=CC", "CCO", "OCC"]
row = st.fixed_dictionaries(
    {
        "smiles": st.sampled_from(SMILES),
        "value": st.sampled_from([NONE, -5000.0, -80.0, -75.0, -60.0, -50.0]),
        "table": st.sampled_from(["ATcT", "CRC", "WebBook"]),
        "via_liquid": st.sampled_from([NONE, -80.0, 0.0]),
    }
)
rules = st.sampled_from([AGREE, LOWEST])
unhurried = settings(deadline=None, max_examples=50)  # the machine may be busy


@unhurried
@given(st.lists(row, min_size=1, max_size=12), rules)
def test_every_record_is_either_accepted_or_rejected_once(rows: list[dict[str, object]], rules: Rules) -> None:
    raw = records(*rows)
    result = curated(raw, rules, ORGANIC)
    assert sorted([*result.rows["record"], *result.rejected["record"]]) == sorted(raw["record"])
    assert result.report["rows"] == result.report["accepted"] + sum(result.report["rejected"].values())
    assert result.rejected[["reason", "detail"]].notna().all(axis=None)
    assert result.rows[["smiles", "key", "formula", "value"]].notna().all(axis=None)


@unhurried
@given(st.lists(row, min_size=1, max_size=12), rules)
def test_a_molecule_is_accepted_once_at_most(rows: list[dict[str, object]], rules: Rules) -> None:
    accepted = curated(records(*rows), rules, ORGANIC).rows
    assert accepted["smiles" if rules.duplicates == "agree" else "key"].is_unique


@unhurried
@given(st.lists(row, min_size=1, max_size=12), rules, st.randoms(use_true_random=False))
def test_the_order_of_rows_within_the_tables_does_not_matter(
    rows: list[dict[str, object]], rules: Rules, chance: random.Random
) -> None:
    raw = records(*rows).sort_values("table", kind="stable")
    order = list(range(len(raw)))
    chance.shuffle(order)
    shuffled = raw.iloc[order].sort_values("table", kind="stable")
    one, other = curated(raw, rules, ORGANIC), curated(shuffled, rules, ORGANIC)
    pd.testing.assert_frame_equal(one.rows, other.rows)
    pd.testing.assert_frame_equal(one.rejected, other.rejected)
    assert one.report == other.report
