"""The command `matlift land`: the flow, the new snapshot, and what is shown."""

from pathlib import Path

import pytest

from flows.cli import main
from tasks.curate import curate
from tasks.fetch import fetch
from tasks.recipe import Recipe
from tasks.store import Store

NEW = "compound,H,u\nKCl,-436.5,1\nMgO,-601.6,2\nXeF2,-164,1\nFeS,n.a.,1\nFeS,-100,3\n"


pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which no line breaks."""
    monkeypatch.setenv("COLUMNS", "300")


@pytest.mark.usefixtures("wide")
def test_landing_makes_a_new_snapshot_and_leaves_the_old_one(
    store: Store, plan: Recipe, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.csv").write_text(NEW)
    command = ["land", str(tmp_path / "new.csv"), "--recipe", str(recipe_file), "--store", store.url]

    source = curate.fn(fetch.fn(plan.source, "eV/atom"), plan.source.rules, plan.features)
    curate.fn(fetch.fn(plan.target, "eV/atom"), plan.target.rules, plan.features, source)
    before = {path: store.files.get(path) for path in store.files.find("") if "/" in path}

    assert main(command) == 0
    said = capsys.readouterr().out
    assert [
        cell.strip() for cell in next(line for line in said.splitlines() if "│ new.csv" in line).split("│")[1:-1]
    ] == [
        *("new.csv", "5", "4", "1"),
        *("2", "1", "1"),
    ]
    assert "new.csv row 5: no value. “n.a. ± 1” cannot be read as a value in eV/atom." in said
    assert "Target of salts: 3 rows before, 5 now: snapshots/" in said
    assert {path: store.files.get(path) for path in before} == before

    after = store.list("")
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "new.csv: landed already on " in said
    assert "Target of salts: 5 rows before, 5 now" in said
    assert store.list("") == after


@pytest.mark.usefixtures("wide")
def test_without_the_sources_snapshot_the_inbox_is_landed_all_the_same(
    store: Store, recipe_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["land", "--recipe", str(recipe_file), "--store", store.url]
    assert main(command) == 1
    assert f"matlift: nothing lies in {store.url}/landing/salts/inbox" in capsys.readouterr().err

    store.files.replace("landing/salts/inbox/bad.csv", b"compound\nKCl\n")
    assert main(command) == 1
    assert capsys.readouterr().err == "matlift: bad.csv has no column H, u; its columns are compound\n"

    store.files.replace("landing/salts/inbox/new.csv", NEW.encode())
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "bad.csv was not landed: bad.csv has no column H, u" in said
    assert "There is no new snapshot: the source has not been curated yet" in said
    assert len(store.list("landings/salts")) == 1
