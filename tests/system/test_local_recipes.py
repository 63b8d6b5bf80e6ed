"""The recipes for compositions and dyes run end to end on the tables of the shared folder."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from cores import one_core
from places import Place, bundle, metrics

from tasks.recipe import RECIPES

Places = Callable[[str], Place]

ENOUGH = 2_000  # rows of a large table

# What makes a recipe cheap, beside shorter tables; few values of the target are in these ranges.
BETWEEN = {"formation-energy": [-6, -2], "porphyrin": [0.5, 8]}
CHEAP: dict[str, dict[str, Any]] = {
    "network": {"width": 16, "blocks": 1},
    "pretraining": {"epochs": 1, "batch": 4096},
    "transfer": {"epochs": 2, "scratch_epochs": 2, "freeze": [0, 2]},
    "evaluation": {"folds": 2, "sizes": [50], "draws": 1, "clusters": 2, "elements": 0},
}
FILES = {
    "formation-energy": {
        "source": "oqmd/formation_energy.csv",
        "auxiliary.materials-project": "materials_project/formation_energy.csv",
        "auxiliary.band-gap": "oqmd/band_gap.csv",
        "target": "experiment/formation_energy.csv",
    },
    "porphyrin": {"source": "cmr/dssc-sample.db", "target": "cmr/dssc-sample.db"},
}
WORDS = {
    "formation-energy": ("compositions", "eV/atom", "doi:10.1038/npjcompumats.2015.10"),
    "porphyrin": ("dyes", "eV", "doi:10.1039/C3CP54050B"),
}


def shortened(table: Path, folder: Path) -> Path:
    """Return a table with some of the rows of a large one; a database, or a small one, is what it was."""
    if table.suffix != ".csv":
        return table
    head, *rows = table.read_text(encoding="utf-8").splitlines()
    short = folder / f"{table.parent.name}-{table.name}"
    short.write_text("\n".join([head, *rows[:: -(-len(rows) // ENOUGH)], ""]), encoding="utf-8")
    return short


@pytest.mark.parametrize("name", FILES)
def test_a_recipe_runs_on_local_files_and_its_bundle_says_what_it_was_made_from(
    name: str, shared_data: Path, place: Places, prefect_api: str, tmp_path: Path
) -> None:
    content = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    for section, values in CHEAP.items():
        content[section] |= values
    content["target"]["rules"]["between"] = BETWEEN[name]
    here = place(name)
    here.write(content)
    files = {part: shortened(shared_data / file, tmp_path) for part, file in FILES[name].items()}
    settings = [("--set", f"{part}.data.at={file}") for part, file in files.items()]
    with one_core():
        ended = here.run(*chain.from_iterable(settings), PREFECT_API_URL=prefect_api)
    assert (ended.status, ended.complained) == (0, [])
    of, unit, citation = WORDS[name]
    stored = here.files()
    found = metrics(stored, name)
    assert (found["of"], found["unit"]) == (of, unit)
    assert found["methods"]["fine-tune"]["mae"] < 2 * found["methods"]["mean"]["mae"]
    assert f"held-out {of}" in ended.said
    made = bundle(stored, name)
    assert citation in made["README.md"].decode()
    assert yaml.safe_load(made["recipe.yaml"])["source"]["data"]["at"] == str(files["source"])
