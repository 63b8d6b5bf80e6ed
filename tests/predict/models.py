"""Models that cost seconds, one of compositions and one of molecules, published by the stages themselves."""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from cores import one_core

from tasks.curate import curate
from tasks.evaluate import best, evaluate
from tasks.featurize import Table, featurize
from tasks.featurize import load as load_table
from tasks.fetch import fetch
from tasks.handles import Bundle, Lineage
from tasks.learn import fit, pretrain
from tasks.learn.stacked import model_from_files
from tasks.publish import publish
from tasks.recipe import RECIPES, Recipe, load_recipe
from tasks.store import Store
from tasks.tables import from_parquet

# Chains and rings of up to seven heavy atoms, with or without a group at one end, and what each part adds in kJ/mol.
CARBONS = {"C" * size: -42 - 21 * size for size in range(1, 6)} | {
    "C1CC1": 53,
    "C1CCCC1": -77,
    "c1ccccc1": 83,
    "C=C": 52,
}
GROUPS = {"": 0, "O": -150, "N": 20, "F": -180, "C(=O)O": -380, "C#N": 130, "C=O": -125, "OC": -130, "N(C)C": 30}

# Compounds AB, AB2 and AB3, and what each part contributes to their energies of formation.
METALS = {"Li": 1.2, "Na": 1.1, "K": 1.0, "Mg": 1.6, "Ca": 1.5, "Sr": 1.4, "Al": 1.8, "Sc": 1.7, "Ti": 1.3, "Zn": 0.7}
OTHERS = {"O": 1.5, "S": 0.9, "Se": 0.8, "F": 2.0, "Cl": 1.2, "Br": 1.0, "N": 0.6}

Rows = dict[str, float]


class Published(NamedTuple):
    """A bundle, and what it was made from.

    Attributes:
        folder: a copy of its files.
        bundle: its name in the store.
        items: of the target: SMILES or formulas.
        table: the features of the same rows.
        values: what the model predicted of them when it had been fitted.
    """

    folder: Path
    bundle: Bundle
    items: list[str]
    table: Table
    values: np.ndarray


def molecules(folder: Path) -> Recipe:
    """Return a recipe of molecules, whose tables are written into a folder."""
    rows = {
        f"{carbons}{group}": float(value + more)
        for (carbons, value), (group, more) in product(CARBONS.items(), GROUPS.items())
    }
    content = _shipped("qm9-webbook")
    content["network"] = {"kind": "residual", "width": 16, "blocks": 2}
    content["transfer"]["members"] = 2
    return _recipe(content, rows, "smiles", folder)


def compositions(folder: Path) -> Recipe:
    """Return a recipe of compositions, whose tables are written into a folder."""
    rows = {
        f"{metal}{other}{count}": -METALS[metal] * OTHERS[other] / count
        for metal, other, count in product(METALS, OTHERS, (1, 2, 3))
    }
    content = _shipped("formation-energy") | {"auxiliary": {}}
    content["network"] = {"kind": "residual", "width": 16, "blocks": 1}
    content["transfer"]["members"] = 1
    return _recipe(content, rows, "formula", folder)


def _shipped(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def _recipe(content: dict[str, Any], rows: Rows, column: str, folder: Path) -> Recipe:
    """Return a recipe, made cheap, whose source has these rows and whose target has every other one, measured."""
    name, unit = f"few-{column}", content["property"]["unit"]
    content |= {"name": name, "title": "A property, made up"}
    for part, scale, every in (("source", 1.0, 1), ("target", 1.05, 2)):
        lines = [f"{item},{scale * value:.4f}" for item, value in rows.items()][::every]
        (folder / f"{part}.csv").write_text("\n".join([f"{column},value", *lines, ""]))
        columns = {column: column, "value": "value"}
        data = {"database": "table", "at": str(folder / f"{part}.csv"), "columns": columns, "unit": unit}
        rules = {"of": content[part]["rules"].get("of", "molecules"), "between": [-1000, 1000], "duplicates": "median"}
        content[part] = {"data": data, "rules": rules}
    content["pretraining"] |= {"epochs": 20, "batch": 32, "validation": 0.2}
    content["transfer"] |= {"epochs": 5, "scratch_epochs": 5, "freeze": [0, 2]}
    content["evaluation"] |= {"folds": 2, "sizes": [20], "draws": 1, "clusters": 0, "elements": 0, "repeats": 1}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load_recipe(str(folder / f"{name}.yaml"))


def publish_model(store: Store, plan: Recipe, folder: Path) -> Published:
    """Publish the model of a recipe, without a flow, and copy the bundle into a folder."""
    with one_core():
        return _publish(store, plan, folder)


def _publish(store: Store, plan: Recipe, folder: Path) -> Published:
    raws = fetch.fn(plan.source, plan.property.unit), fetch.fn(plan.target, plan.property.unit)
    source = curate.fn(raws[0], plan.source.rules, plan.features)
    target = curate.fn(raws[1], plan.target.rules, plan.features, within=source)
    extensive, limits = plan.property.extensive, plan.target.rules.between
    first = featurize.fn(source, plan.features, extensive=extensive)
    second = featurize.fn(target, plan.features, extensive=extensive, scale=first)
    checkpoint = pretrain.fn(first, plan.network, plan.pretraining, plan.property.unit)
    comparison = evaluate.fn(checkpoint, second, plan.transfer, plan.evaluation, limits)
    model = fit.fn(checkpoint, second, best(comparison), plan.transfer, limits)
    bundle = publish.fn(model, comparison, plan, Lineage(*raws, source, target, first, second, checkpoint))
    for name in (*store.manifest(bundle)["files"], "manifest.json"):
        (folder / name).write_bytes(store.files.get(f"{bundle.path}/{name}") or b"")
    table, rows = load_table(store, second), from_parquet(store.read(target, "rows.parquet"))
    fitted = model_from_files(*(store.read(model, name) for name in ("weights.safetensors", "model.json")))
    items = rows["formula" if plan.source.rules.of == "compositions" else "smiles"].tolist()
    return Published(folder, bundle, items, table, fitted.predict(table))
