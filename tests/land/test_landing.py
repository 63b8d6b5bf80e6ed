"""A landed file is in the store once, whole, with each of its rows good or rejected, whoever lands it and how often."""

import json
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.curate import curate
from tasks.curate.rows import curate_rows
from tasks.fetch import fetch, landings
from tasks.fetch.landed import read_landing
from tasks.fetch.records import Records, pack
from tasks.handles import Snapshot
from tasks.land.fates import fates
from tasks.land.landing import Landed, land_file, waiting
from tasks.recipe import Recipe
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet

FILES = {"original.csv", "rows.parquet", "rejected.parquet", "report.json"}
BAD = ["n.a.", "<3", "", "1e9"]


@pytest.fixture
def land(store: Store, plan: Recipe, tmp_path: Path) -> Any:
    """Lands a file of this content."""

    def land(content: str | bytes, name: str = "mine.csv") -> Landed:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return land_file(store, str(path), plan)

    return land


def rows(store: Store, landed: Landed, name: str = "rows.parquet") -> pd.DataFrame:
    assert landed.landing, landed.refusal
    return from_parquet(store.read(landed.landing, name))


def everything(store: Store) -> dict[str, bytes | None]:
    return {path: store.files.get(path) for path in store.files.find("landings")}


def test_good_rows_are_records_in_the_unit_of_the_property(store: Store, land: Any) -> None:
    landed = land("compound,H,u,who\nKCl,-436.5,0.5,me\n")
    (row,) = rows(store, landed).dropna(axis=1).to_dict("records")
    title = f"landed:{landed.landing.fingerprint[:8]}"
    assert (row["record"], row["table"], row["formula"]) == (f"{title}:2", title, "KCl")
    assert row["value"] == pytest.approx(-436.5 / 96.48533 / 2)
    assert row["uncertainty"] == pytest.approx(0.5 / 96.48533 / 2)
    assert set(store.manifest(landed.landing)["files"]) == FILES
    assert landed.report["columns not used"] == ["who"]


def test_every_rejected_row_has_its_number_what_stood_there_and_the_reason(store: Store, land: Any) -> None:
    content = "compound;H;u\nKCl;-436,5;\nXy2;-1;\nAl2O3;-1675.7;2\nAl2O3;-1675.7;2\nFeS;-100000;\n;-5;\n"
    landed = land(content)
    found = rows(store, landed, "rejected.parquet").astype("object").where(lambda frame: frame.notna(), None)
    assert found[["file", "row", "formula", "entry", "reason"]].to_numpy().tolist() == [
        ["mine.csv", 2, "KCl", "-436,5", "no value"],
        ["mine.csv", 3, "Xy2", "-1.0 kJ/mol of Xy2", "unreadable formula"],
        ["mine.csv", 5, "Al2O3", None, "repeated row"],
        ["mine.csv", 6, "FeS", None, "out of range"],
        ["mine.csv", 7, None, "-5.0 kJ/mol of no formula", "no formula"],
    ]
    assert found["detail"].tolist()[0] == "“-436,5” cannot be read as a value in eV/atom."
    assert found["detail"].tolist()[2] == "Row 4 says the same."
    assert landed.report["rows"] == landed.report["good"] + sum(landed.report["rejected"].values()) == 6
    assert store.read(landed.landing, "original.csv").decode() == content


def test_the_same_file_twice_changes_nothing_and_says_so(store: Store, land: Any) -> None:
    first = land("compound,H,u\nKCl,-436.5,1\n")
    before = everything(store)
    second = land("compound,H,u\nKCl,-436.5,1\n", "again.csv")
    assert (second.landing, second.report) == (first.landing, first.report)
    assert first.already is None
    assert "as mine.csv" in str(second.already)
    assert everything(store) == before


def test_a_file_judged_by_rules_that_have_changed_says_what_to_do(
    store: Store, land: Any, plan: Recipe, tmp_path: Path
) -> None:
    landed = land("compound,H,u\nKCl,-436.5,1\n")
    rules = plan.target.rules.model_copy(update={"between": (-1.0, 1.0)})
    changed = plan.model_copy(update={"target": plan.target.model_copy(update={"rules": rules})})
    again = land_file(store, str(tmp_path / "mine.csv"), changed)
    assert f"delete {store.url}/{landed.landing.path} and land it again" in str(again.already)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "mine.csv is empty"),
        (b"compound,H,u\n", "mine.csv has no rows"),
        (b"compound,value\nKCl,-436.5\n", "mine.csv has no column H, u; its columns are compound, value"),
        (b"\xff\xfe\x00", "mine.csv is neither UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_nothing_behind(store: Store, land: Any, content: bytes, reason: str) -> None:
    landed = land(content)
    assert landed.landing is None
    assert reason in str(landed.refusal)
    assert everything(store) == {}


@pytest.mark.parametrize("name", ["semicolons", "byte-order mark", "Excel", "Parquet"])
def test_every_kind_of_file_is_landed(store: Store, land: Any, tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"compound": ["KCl", "FeS"], "H": [-436.5, -100.0], "u": [1.0, 2.0]})
    if name == "semicolons":
        content = frame.to_csv(sep=";", index=False).encode()
    elif name == "byte-order mark":
        content = frame.to_csv(index=False).encode("utf-8-sig")
    elif name == "Excel":
        frame.to_excel(tmp_path / "x.xlsx", index=False)
        content = (tmp_path / "x.xlsx").read_bytes()
    else:
        content = to_parquet(frame, {"H": "kJ/mol", "u": "kJ/mol"})
    assert rows(store, land(content, "mine"))["formula"].tolist() == ["KCl", "FeS"]


def test_without_a_table_in_the_recipe_columns_are_called_by_their_meaning(
    store: Store, recipe: dict[str, Any], tmp_path: Path
) -> None:
    recipe["target"]["data"] = {"database": "chemicals", "tables": ["CRC"]}
    plan = Recipe.model_validate(recipe)
    path = tmp_path / "mine.csv"
    path.write_text(
        "Formula,Value,Unit,note\nKCl,-436.5,kJ/mol,\nFeS,-0.5,,\nMgO,-1,furlong,\nCaO,-3,eV/atom,\nNaCl,9,K,\n"
    )
    landed = land_file(store, str(path), plan)
    found = rows(store, landed)
    assert found["formula"].tolist() == ["KCl", "FeS", "CaO"]
    assert found["value"].tolist() == pytest.approx([-436.5 / 96.48533 / 2, -0.5, -3])
    wrong = rows(store, landed, "rejected.parquet")[["row", "entry", "reason"]].to_numpy().tolist()
    assert wrong == [[4, "-1.0 furlong", "no value"], [6, "9.0 K", "no value"]]
    assert landed.report["columns not used"] == ["note"]
    path.write_text("compound,Value\nKCl,-1\n")
    assert "mine.csv has no column formula; its columns are compound, Value" in str(
        land_file(store, str(path), plan).refusal
    )


def test_what_lies_in_the_inbox_is_landed_from_there(store: Store, plan: Recipe) -> None:
    store.files.replace("landing/salts/inbox/b/two.csv", b"compound,H,u\nFeS,-100,1\n")
    store.files.replace("landing/salts/inbox/one.csv", b"compound,H,u\nKCl,-436.5,1\n")
    store.files.replace("landing/salts-of-others/inbox/three.csv", b"compound,H,u\nKBr,-394,1\n")
    places = waiting(store, "salts")
    assert places == [f"{store.url}/landing/salts/inbox/{name}" for name in ("b/two.csv", "one.csv")]
    landed = [land_file(store, place, plan) for place in places]
    assert sorted(chain.from_iterable(rows(store, each)["formula"] for each in landed)) == ["FeS", "KCl"]
    assert waiting(store, "salts") == places
    assert all(land_file(store, place, plan).already for place in places)


def test_the_fate_of_each_row_is_told(store: Store, land: Any, plan: Recipe) -> None:
    landed = [land("compound,H,u\nKCl,-436.5,1\nNaCl,-411.15,1\nXeF2,-164,1\n"), Landed("none", refusal="none")]
    raw = from_parquet(pack(read_landing(store, landed[0].landing), "eV/atom"))
    curated = curate_rows(raw, plan.target.rules, ["K", "Cl", "Na"], "eV/atom")
    snapshot = Snapshot("0" * 16)
    files = {
        "rows.parquet": to_parquet(curated.rows, {"value": "eV/atom", "uncertainty": "eV/atom"}),
        "rejected.parquet": to_parquet(curated.rejected, {"value": "eV/atom"}),
    }
    store.write(snapshot, files, 0)
    assert fates(store, landed, snapshot) == [(2, 0, {"foreign element": 1}), (0, 0, {})]


@pytest.mark.parametrize(("rule", "expected"), [("median", -2.0), ("weighted", -2.0)])
def test_a_measurement_that_was_handed_on_counts_once(plan: Recipe, rule: str, expected: float) -> None:
    measured = [("CRC:1", "CRC", -1), ("landed:a:2", "landed:a", -1), ("landed:b:2", "landed:b", -3)]
    frame = pd.DataFrame(measured, columns=["record", "table", "value"]).assign(formula="KCl", uncertainty=0.5)
    raw = from_parquet(pack(Records(frame, "eV/atom"), "eV/atom"))
    rules = plan.target.rules.model_copy(update={"duplicates": rule})
    curated = curate_rows(raw, rules, None, "eV/atom")
    assert curated.rows[["record", "value"]].to_numpy().tolist() == [["CRC:1", pytest.approx(expected)]]
    assert curated.rejected[["record", "reason"]].to_numpy().tolist() == [
        ["landed:a:2", "repeated"],
        ["landed:b:2", "duplicate"],
    ]


def contents() -> list[list[tuple[str, str, str]]]:
    """20 files of 50 rows: three are copies of others, compositions come in several files, every tenth row is bad."""
    tables = []
    for file in range(17):
        table = []
        for row in range(50):
            number = 13 * file + row
            value = BAD[number % len(BAD)] if number % 10 == 0 else f"{-100 - number}"
            table.append((f"Na{1 + number % 40}Cl{1 + number % 7}", value, "1"))
        tables.append(table)
    return [*tables, tables[0], tables[5], tables[16]]


def test_two_people_who_land_at_once_lose_nothing_and_double_nothing(
    store: Store, plan: Recipe, recipe_file: Path, tmp_path: Path
) -> None:
    for place, table in enumerate(contents()):
        lines = [",".join(row) for row in [("compound", "H", "u"), *table]]
        (tmp_path / f"lab-{place:02}.csv").write_text("\n".join(lines))
    script = """
import sys
from tasks.land.landing import land_file
from tasks.recipe import load_recipe
from tasks.store import connect
plan = load_recipe(sys.argv[1])
assert all(land_file(connect(), file, plan).landing for file in sys.argv[2:])
"""
    files = sorted(map(str, tmp_path.glob("lab-*.csv")))
    orders = (files, [*files[10:], *files[:10]])
    people = [subprocess.Popen([sys.executable, "-c", script, str(recipe_file), *order]) for order in orders]
    assert [person.wait(300) for person in people] == [0, 0]

    landed = landings("salts")
    assert len(landed) == 17  # of 20 files three are copies
    good = pd.concat([from_parquet(store.read(each, "rows.parquet")) for each in landed])
    rejected = pd.concat([from_parquet(store.read(each, "rejected.parquet")) for each in landed])
    reports = [json.loads(store.read(each, "report.json")) for each in landed]
    assert good["record"].is_unique
    assert len(good) + len(rejected) == sum(report["rows"] for report in reports) == 17 * 50

    wanted = Counter(row for table in contents()[:17] for row in table)
    assert Counter(good["formula"]) + Counter(rejected["formula"]) == Counter(
        formula for formula, _, _ in wanted.elements()
    )
    bad = sum(count for (_, value, _), count in wanted.items() if value in BAD)
    assert rejected["reason"].value_counts().to_dict() == Counter(
        chain.from_iterable([reason] * count for report in reports for reason, count in report["rejected"].items())
    )
    assert len(rejected[rejected["reason"].isin(["no value", "out of range"])]) == bad

    raw = fetch.fn(plan.target, "eV/atom", landed)
    snapshot = curate.fn(raw, plan.target.rules, plan.features)
    accepted, others = (from_parquet(store.read(snapshot, f"{name}.parquet")) for name in ("rows", "rejected"))
    assert accepted["key"].is_unique
    assert len(accepted) + len(others) == len(good) + 3  # with those of the target's own table
    assert set(others["reason"]) <= {"duplicate", "repeated"}
    assert fetch.fn(plan.target, "eV/atom", landed) == raw
