"""The gate at the end of a real training: a model of shuffled labels does not take over from one of true labels."""

from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import tiny
import yaml

from flows.cli import main
from tasks.promote.champion import current, latest
from tasks.site import PAGE
from tasks.store import Store

# As long as it takes to learn something from a hundred rows.
TRAINING: dict[str, dict[str, Any]] = {
    "pretraining": {"epochs": 40, "rate": 0.01},
    "transfer": {"epochs": 40, "scratch_epochs": 40, "rate": 0.01, "freeze": [0]},
    "evaluation": {"sizes": [], "clusters": 0},
}

pytestmark = pytest.mark.usefixtures("prefect_server", "one_core")


def write(folder: Path, measured: str) -> str:
    """Write the recipe with these measurements and return its path."""
    tiny.write(folder)
    (folder / "measured.csv").write_text(measured)
    content = tiny.recipe(folder)
    for section, values in TRAINING.items():
        content[section] |= values
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return str(path)


def shuffled(table: str) -> str:
    """Return a table with its values in another order."""
    head, *rows = table.split()
    formulas, values = zip(*(row.split(",") for row in rows), strict=True)
    return "\n".join([head, *map(",".join, zip(formulas, Random(0).sample(values, len(values)), strict=True)), ""])


def test_a_model_of_shuffled_labels_is_published_and_not_promoted(
    store: Store, tmp_path: Path, prefect_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    true = tiny.measured()
    assert main(["run", write(tmp_path / "true", true), "--store", store.url]) == 0
    first = latest(store, "tiny")
    champion = current(store, "tiny")
    assert champion["bundle"] == first.fingerprint

    assert b"Formation energies of binary compounds, made up" in (store.files.get(PAGE) or b"")
    store.files.remove([PAGE])
    store.files.replace(f"{PAGE}/x", b"a folder is where the page should be, which is no reason to lose a training")
    capsys.readouterr()
    assert main(["run", write(tmp_path / "shuffled", shuffled(true)), "--store", store.url]) == 0
    assert "the page is not new: " in capsys.readouterr().out
    asked = {"task_runs": {"name": {"any_": ["update page"]}}}
    pages = httpx.post(f"{prefect_server}/task_runs/filter", json=asked).raise_for_status().json()
    assert [run["state_name"] for run in pages].count("Failed") == 1
    second = latest(store, "tiny")
    assert second != first
    assert current(store, "tiny") == champion
    decisions = [store.pointer(path) or {} for path in store.files.find("bundles/tiny/decisions")]
    decision = next(one for one in decisions if one["challenger"]["bundle"] == second.fingerprint)
    assert decision["promote"] is False
    assert decision["verdict"].startswith("The validation failed: better than a constant.")
    assert decision["comparison"] is None or decision["comparison"]["with another value"] > 50
