"""Compositions are one however they are written, and several values of one are settled by the recipe's rule."""

import hashlib

import pandas as pd
import pytest

from tasks.curate import curate
from tasks.curate import curated as curated_before
from tasks.curate.rows import Curated, curate_rows
from tasks.errors import MatliftError
from tasks.fetch.records import Records, pack
from tasks.handles import Raw
from tasks.recipe import FeatureSpec, Fractions, Rules, Statistics
from tasks.store import Store
from tasks.tables import from_parquet


def rules(**said: object) -> Rules:
    return Rules.model_validate({"of": "compositions", "between": (-1e6, 1e6), "duplicates": "lowest", **said})


def curated(
    rows: list[tuple[str | None, float] | tuple[str | None, float, float]], by: Rules, more: str = "uncertainty"
) -> Curated:
    frame = pd.DataFrame(
        [
            {"record": f"A:{place}", "table": "A", **dict(zip(("formula", "value", more), row, strict=False))}
            for place, row in enumerate(rows)
        ]
    )
    return curate_rows(from_parquet(pack(Records(frame, "eV/atom"), "eV/atom")), by, ["Al", "Fe", "O", "Zn"], "eV/atom")


def reasons(result: Curated) -> dict[str, str]:
    return dict(zip(result.rejected["record"], result.rejected["reason"], strict=True))


def test_an_accepted_row_has_the_reduced_formula_as_its_key() -> None:
    (row,) = curated([("Fe4O6", -1.7)], rules()).rows.to_dict("records")
    assert (row["key"], row["formula"], row["value"]) == ("Fe2O3", "Fe2O3", -1.7)


def test_what_cannot_be_read_or_used_is_rejected_with_the_formula_as_it_came() -> None:
    result = curated([(None, -1.0), ("FexO", -1.0), ("FeCl2", -1.0), ("FeO", float("nan"))], rules())
    assert reasons(result) == {
        "A:0": "no formula",
        "A:1": "unreadable formula",
        "A:2": "foreign element",
        "A:3": "no value",
    }
    assert result.rejected["stated"].tolist()[1:] == ["FexO", "FeCl2", "FeO"]
    assert result.rejected["detail"].iloc[1] == "“FexO” is not a chemical formula: “xO” makes no sense there."


def test_a_sentinel_is_no_value() -> None:
    result = curated([("FeO", -99999.0), ("Fe2O3", -1.7)], rules(sentinels=[-99999]))
    assert reasons(result) == {"A:0": "no value"}
    assert result.rejected["detail"].item() == "Its value is -99999, by which the database means none."


def test_values_out_of_range_are_rejected() -> None:
    result = curated([("FeO", 43.4), ("Fe2O3", -1.7), ("Fe3O4", -6.5)], rules(between=[-6, 6]))
    assert reasons(result) == {"A:0": "out of range", "A:2": "out of range"}
    assert result.rejected["detail"].iloc[0] == "43.4 eV/atom is not between -6 and 6."


def test_the_lowest_of_polymorphs_is_kept() -> None:
    result = curated([("Al2O3", -3.3), ("O3Al2", -3.4), ("Al4O6", -3.2), ("FeO", -1.4)], rules())
    assert dict(zip(result.rows["key"], result.rows["value"], strict=True)) == {"Al2O3": -3.4, "FeO": -1.4}
    assert result.rejected["detail"].iloc[0] == (
        "A:1 has the same composition and -3.4 eV/atom, which is not above -3.3."
    )


def test_of_polymorphs_with_energies_the_most_stable_one_is_kept_whatever_its_value() -> None:
    rows = [("ZnO", 0.7, -1.8), ("OZn", 3.4, -1.9), ("Zn2O2", 0.1, float("nan")), ("Fe2O3", 2.2, float("nan"))]
    result = curated(rows, rules(), more="energy")
    assert dict(zip(result.rows["key"], result.rows["value"], strict=True)) == {"OZn": 3.4, "Fe2O3": 2.2}
    assert result.rejected["detail"].tolist() == [
        "A:1 has the same composition and the energy -1.9 eV/atom, which is not above -1.8.",
        "A:1 has the same composition and the energy -1.9 eV/atom, none is known for this one.",
    ]


def test_the_median_of_measurements_is_taken_and_what_it_was_made_of_is_told() -> None:
    result = curated([("ZnO", -1.8, 0.1), ("OZn", -1.6, 0.1), ("Zn2O2", -1.7, 0.1)], rules(duplicates="median"))
    (row,) = result.rows.to_dict("records")
    assert (row["record"], row["value"]) == ("A:0", -1.7)
    assert pd.isna(row["uncertainty"])
    assert result.rejected["value"].tolist() == [-1.6, -1.7]
    assert result.rejected["detail"].iloc[0] == (
        "A:0 is the same composition; A -1.8, A -1.6, A -1.7 eV/atom: their median is taken."
    )


def test_the_mean_is_weighted_by_the_inverse_of_the_variances() -> None:
    result = curated([("ZnO", -1.8, 0.1), ("OZn", -1.6, 0.2), ("FeO", -1.4)], rules(duplicates="weighted"))
    rows = result.rows.set_index("key")
    assert rows.loc["OZn", "value"] == pytest.approx((-1.8 * 100 - 1.6 * 25) / 125)
    assert rows.loc["OZn", "uncertainty"] == pytest.approx(125**-0.5)
    assert rows.loc["FeO", "value"] == -1.4
    assert reasons(result) == {"A:1": "duplicate"}


def test_a_record_that_cannot_be_weighed_has_no_say() -> None:
    result = curated([("ZnO", -1.8, 0.1), ("OZn", -1.0), ("ZnO", -1.6, 0.1)], rules(duplicates="weighted"))
    assert reasons(result) == {"A:1": "no uncertainty", "A:2": "duplicate"}
    assert result.rows["value"].item() == pytest.approx(-1.7)


def test_what_is_far_from_the_median_is_an_outlier() -> None:
    rows = [(f"Fe{place + 2}O", -1 - place / 100) for place in range(20)]
    result = curated([*rows, ("FeO", 15.8)], rules(outliers=8))
    assert reasons(result) == {"A:20": "outlier"}
    assert "robust standard deviations from the median -1.09, more than 8." in result.rejected["detail"].item()
    assert reasons(curated([*rows, ("FeO", 15.8)], rules())) == {}


def test_a_rule_for_outliers_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(MatliftError, match="half of the values are 0 eV/atom"):
        curated([("FeO", 0.0), ("Fe2O3", 0.0), ("Fe3O4", 0.0), ("ZnO", 3.4)], rules(outliers=8))


def landed(store: Store, rows: list[tuple[str, float]]) -> Raw:
    frame = pd.DataFrame(rows, columns=["formula", "value"]).assign(table="A")
    frame["record"] = "A:" + frame["formula"]
    content = pack(Records(frame, "eV/atom"), "eV/atom")
    handle = Raw(hashlib.sha256(content).hexdigest()[:16])
    store.write(handle, {"rows.parquet": content}, 0)
    return handle


@pytest.mark.parametrize(
    ("features", "rejected"),
    [
        (Fractions(kind="fractions"), {"A:RbBr", "A:HeO"}),
        (Fractions(kind="fractions", elements=Statistics.elements), {"A:RbBr", "A:HeO"}),
        (Statistics(kind="statistics"), {"A:HeO"}),
    ],
)
def test_statistics_describe_elements_that_the_source_lacks(
    store: Store, features: FeatureSpec, rejected: set[str]
) -> None:
    source = curate.fn(landed(store, [("FeO", -1.0), ("NaCl", -2.0)]), rules(), features)
    raw = landed(store, [("FeCl2", -1.0), ("RbBr", -2.0), ("HeO", 1.0)])
    target = curate.fn(raw, rules(), features, within=source)
    assert set(from_parquet(store.read(target, "rejected.parquet"))["record"]) == rejected
    assert curated_before(raw, rules(), features, within=source) == target
