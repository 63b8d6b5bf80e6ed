"""The best of all candidates are those that row-by-row prediction finds, to the digit, also after a run was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from models import Published

from flows.cli import main
from tasks.errors import MatliftError
from tasks.handles import Screening
from tasks.predict import Predictor, load
from tasks.screen import OfElements, OfTable, find_model, gather, scoring, screen_candidates, screened, shards, sources
from tasks.screen.ranking import By, ranked
from tasks.store import Store
from tasks.tables import to_parquet

ELEMENTS = OfElements(elements=("Na", "Mg", "Fe", "O", "S", "Cl"), atoms=9)
ORDERS: tuple[By, ...] = get_args(By)

# Screens on all cores, or on one, where the log of this process says what was made and what was re-used.
PROGRAM = """
import logging, os, sys
from tasks.screen import OfElements, find_model, gather, screen_candidates, sources
sources.SHARD = 150
if sys.argv[3] == "one":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    logging.getLogger("tasks.store").setLevel("INFO")
    logging.getLogger("tasks.store").addHandler(logging.StreamHandler(sys.stdout))
if __name__ == "__main__":
    model, source = find_model(sys.argv[1]), OfElements.model_validate_json(sys.argv[2])
    print("found", screen_candidates.fn(model, gather.fn(source, model.takes), 30, "lowest").fingerprint)
"""


@pytest.fixture(scope="module")
def predictor(published: Published) -> Predictor:
    return load(str(published.folder))


@pytest.fixture(scope="module")
def row_by_row(predictor: Predictor) -> pd.DataFrame:
    """What the model says of each candidate, asked for one after the other."""
    return alone(predictor, items_of(ELEMENTS))


def items_of(source: sources.Source) -> list[str]:
    return [str(item) for batch in sources.batches(source, "formula", "") for item in batch]


def alone(predictor: Predictor, items: list[str]) -> pd.DataFrame:
    return pd.concat([predictor.predict([item]) for item in items], ignore_index=True)


def best(rows: pd.DataFrame, by: By, count: int) -> list[dict[Any, Any]]:
    """Return the best of all rows."""
    found = ranked(rows.assign(place=range(len(rows))), by).head(count)
    return found.drop(columns="place").to_dict("records")


@pytest.mark.parametrize("by", ORDERS)
def test_the_best_are_those_of_row_by_row_prediction(published: Published, row_by_row: pd.DataFrame, by: By) -> None:
    model = find_model("few-formula")
    assert model.fingerprint == published.bundle.fingerprint
    found, about = screened(screen_candidates.fn(model, gather.fn(ELEMENTS, model.takes), 25, by))
    assert found.to_dict("records") == best(row_by_row, by, 25)
    assert about["candidates"] == len(row_by_row)
    assert about["not in the domain"] == (~row_by_row["in_domain"] & row_by_row["value"].notna()).sum()
    assert about["source"] == {"elements": list(ELEMENTS.elements), "atoms": 9}


def test_each_order_has_its_best_first(row_by_row: pd.DataFrame) -> None:
    inside = row_by_row[row_by_row["in_domain"]]
    width = inside["upper"] - inside["lower"]
    first = {
        "lowest": inside["value"].idxmin(),
        "highest": inside["value"].idxmax(),
        "surely-lowest": inside["upper"].idxmin(),
        "surely-highest": inside["lower"].idxmax(),
        "surest": width.idxmin(),
        "least-sure": width.idxmax(),
    }
    assert set(first) == set(ORDERS)
    for by in ORDERS:
        assert best(row_by_row, by, 1)[0]["item"] == row_by_row.loc[first[by], "item"]


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("by", ["lowest", "surest"])
def test_near_ties_at_the_last_rank_are_as_one_by_one(
    published: Published,
    predictor: Predictor,
    shared_store: Store,
    by: By,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is written in five ways is equally good; among others, rounding may move it by some millionths."""
    items = [way for item in published.items[:12] for way in (item, f"({item})", f"({item})2", f"[{item}]3", item * 2)]
    (tmp_path / "ways.csv").write_text("\n".join(["formula", *items]))
    monkeypatch.setattr(sources, "SHARD", 7)
    monkeypatch.setattr(scoring, "SPARE", 10)
    model = find_model("few-formula")
    candidates = gather.fn(OfTable(table=str(tmp_path / "ways.csv")), "formula")
    drawn = np.random.default_rng(7)
    for shard in shards.shards_of(shared_store, candidates):
        rows = predictor.predict([str(item) for item in shards.items_of(shared_store, shard)])
        rows[list(scoring.NUMBERS)] *= 1 + 3e-6 * drawn.uniform(-1, 1, (len(rows), 3))
        shared_store.write(scoring._scores(model, shard), {"scores.parquet": to_parquet(rows, model.units)}, 0)
    found, _ = screened(screen_candidates.fn(model, candidates, 18, by))
    assert found.to_dict("records") == best(alone(predictor, items), by, 18)


def test_what_is_in_the_domain_comes_first_and_each_candidate_once(published: Published, tmp_path: Path) -> None:
    predicted = load(str(published.folder)).predict(published.items)
    first, second = predicted.loc[predicted["in_domain"], "item"].head(2)
    items = [first, "XeF6", "Fe(", first, second, "Qq", ""]
    (tmp_path / "some.csv").write_text("formula,n\n" + "".join(f"{item},1\n" for item in items))
    model = find_model(str(published.folder))
    candidates = gather.fn(OfTable(table=str(tmp_path / "some.csv")), "formula")
    rows, about = screened(screen_candidates.fn(model, candidates, 10, "lowest"))
    assert set(rows["item"].head(2)) == {first, second}
    assert rows["item"].tolist()[2:] == ["XeF6"]
    assert "Xe" in rows["reason"].iloc[-1]
    assert (about["candidates"], about["without value"], about["not in the domain"]) == (7, 3, 1)


@pytest.mark.usefixtures("published")
def test_candidates_without_any_value_are_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("formula\nQq\n")
    candidates = gather.fn(OfTable(table=str(tmp_path / "bad.csv")), "formula")
    rows, about = screened(screen_candidates.fn(find_model("few-formula"), candidates, 10, "lowest"))
    assert (len(rows), about["candidates"], about["without value"]) == (0, 1, 1)


def test_a_model_that_is_replaced_meanwhile_is_not_taken_for_the_one_before(published: Published) -> None:
    model = find_model(str(published.folder))
    other = scoring.Published(model.location, "0" * 16, model.takes, model.what, model.unit, model.title)
    with pytest.raises(MatliftError, match="has been replaced meanwhile: run again"):
        screen_candidates.fn(other, gather.fn(ELEMENTS, "formula"), 3, "lowest")


@pytest.mark.usefixtures("prefect_server", "published")
def test_the_command_shows_the_best_and_writes_them(
    shared_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    order = ["screen", "few-formula", "--elements", "Na,Mg,O,S", "--atoms", "7", "--best", "5", "--by", "surest"]
    assert main([*order, "--store", shared_store.url, "--output", str(tmp_path / "best.parquet")]) == 0
    said, rows = capsys.readouterr().out, pd.read_parquet(tmp_path / "best.parquet")
    assert len(rows) == 5
    assert all(f"│ {item} " in said for item in rows["item"])
    assert "eV/atom: surest" in said


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (["some.csv", "--atoms", "3"], "--atoms is not for these candidates"),
        (["--elements", "Li"], "--elements is wrong"),
        (["--elements", "Li,O", "--atoms", "1"], "--atoms is wrong"),
        (["--elements", "Li,O", "--best", "1000000"], "at most 100,000 candidates can be kept"),
    ],
)
def test_a_wrong_command_is_refused_in_one_sentence(
    order: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["screen", "few-formula", *order]) == 1
    complained = capsys.readouterr().err
    assert said in complained
    assert complained.count("\n") == 1


def test_a_run_that_was_killed_goes_on_behind_its_last_shard(
    shared_store: Store, predictor: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    source = OfElements(elements=ELEMENTS.elements, atoms=11)
    order = [sys.executable, str(tmp_path / "program.py"), "few-formula", source.model_dump_json()]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    before = set(shared_store.list("scores"))
    first = subprocess.Popen([*order, "all"], env=environment, start_new_session=True)
    while len(set(shared_store.list("scores")) - before) < 2:
        assert first.poll() is None
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(0.5)  # what was on its way arrives
    done = set(shared_store.list("scores")) - before
    second = subprocess.run([*order, "one"], env=environment, check=True, capture_output=True, text=True)
    after = set(shared_store.list("scores")) - before
    assert 2 <= len(done) < len(after)  # it was killed in the middle
    assert second.stdout.count("re-used scores/") == len(done)
    assert second.stdout.count("made scores/") == len(after) - len(done)
    found, about = screened(Screening(second.stdout.split()[-1]))
    assert about["candidates"] == len(items := items_of(source))
    assert len(after) == -(-len(items) // 150)
    assert found["item"].tolist() == [row["item"] for row in best(predictor.predict(items), "lowest", 30)]
