"""A bundle is complete, visible only then, and the latest one is pointed to; on the real store."""

import dataclasses
import hashlib
import json
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
import yaml

from tasks.handles import Bundle, Checkpoint, Comparison, Features, Handle, Lineage, Model, Raw, Snapshot
from tasks.publish import publish
from tasks.publish.bundle import bundle_files, origins
from tasks.recipe import Recipe
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet

H = TypeVar("H", bound=Handle)

CERTAINTY = {"intervals.json", "domain.json", "domain.safetensors", "rival.json", "rival.safetensors"}
CONTRACT = CERTAINTY | {
    "README.md",
    "about.json",
    "features.json",
    "learning-curve.png",
    "lineage.json",
    "metrics.json",
    "model.json",
    "parity.png",
    "predictions.parquet",
    "recipe.yaml",
    "report.html",
    "trunk.json",
    "trunk.safetensors",
    "weights.safetensors",
}
REPORT = {
    "rows": 700,
    "accepted": 600,
    "rejected": {"duplicate": 100},
    "tables": {"QM9": 600},
    "elements": ["C", "F", "H", "N", "O"],
}
INTERVALS = {
    "level": 0.9,
    "coverage": 0.9,
    "width": 120.0,
    "rank_correlation": 0.5,
    "calibration": [{"level": 0.9, "coverage": 0.9}],
}
HISTORY = {"unit": "kJ/mol", "training_rows": 1140, "validation_rows": 60, "validation_mae": 11.2, "auxiliary_rows": []}


class Stored(NamedTuple):
    model: Model
    comparison: Comparison
    recipe: Recipe
    made_from: Lineage


@pytest.fixture(scope="module")
def store(shared_store: Store) -> Store:
    return shared_store


@pytest.fixture(scope="module")
def stored(store: Store, compared: Any, recipe: Recipe) -> Stored:
    """What the stages before have left in the store."""
    metrics = {**compared.metrics, "intervals": INTERVALS}
    predictions = compared.predictions.assign(distance=np.linspace(0.5, 2.5, len(compared.predictions)))
    molecules = predictions[["record", "key"]].assign(name="pentane", smiles="CCCCC", formula="C5H12")
    units = dict.fromkeys(("value", *metrics["methods"]), "kJ/mol") | {"in_source": "1", "fold": "1", "distance": "1"}

    def put(handle: H, files: dict[str, bytes], seconds: float) -> H:
        store.write(handle, files, seconds)
        return handle

    def dump(value: Any) -> bytes:
        return json.dumps(value).encode()

    lineage = Lineage(
        put(Raw("00"), {"rows.parquet": b"rows"}, 1),
        put(Raw("01"), {"rows.parquet": b"rows"}, 2),
        put(Snapshot("02"), {"report.json": dump(REPORT)}, 3),
        put(Snapshot("03"), {"report.json": dump(REPORT), "rows.parquet": to_parquet(molecules, {})}, 4),
        put(Features("04"), {"state.json": b"{}"}, 5),
        put(Features("05"), {"state.json": dump({"elements": REPORT["elements"], "names": ["count_sCH3"]})}, 6),
        put(
            Checkpoint("06"),
            {"history.json": dump(HISTORY), "weights.safetensors": b"pretrained", "model.json": b"{}"},
            7,
        ),
    )
    judged = {
        "metrics.json": dump(metrics),
        "predictions.parquet": to_parquet(predictions, units),
        "seconds_per_fit.json": dump({"fine-tune": 5.5, "scratch": 8.5}),
        **{name: name.encode() for name in CERTAINTY},
    }
    comparison = put(Comparison("07"), judged, 8)
    model = put(Model("08"), {"weights.safetensors": b"weights", "model.json": b'{"members": 1}'}, 9)
    return Stored(model, comparison, recipe, lineage)


@pytest.fixture(scope="module")
def bundle(stored: Stored) -> Bundle:
    published: Bundle = publish.fn(*stored)
    return published


def test_every_file_of_the_contract_is_there_and_whole(store: Store, bundle: Bundle) -> None:
    manifest = store.manifest(bundle)
    assert set(manifest["files"]) == CONTRACT
    for name, entry in manifest["files"].items():
        content = store.read(bundle, name)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"])
    assert store.list(f"bundles/{bundle.recipe}") == [bundle.path]


def test_the_latest_bundle_is_pointed_to(store: Store, bundle: Bundle) -> None:
    latest = store.pointer(f"bundles/{bundle.recipe}/latest.json")
    assert latest == {"bundle": bundle.fingerprint, "path": bundle.path}


def test_metrics_are_the_comparisons_and_the_seconds(store: Store, stored: Stored, bundle: Bundle) -> None:
    metrics = json.loads(store.read(bundle, "metrics.json"))
    compared = json.loads(store.read(stored.comparison, "metrics.json"))
    assert {name: metrics[name] for name in compared} == compared
    assert metrics["unit"] == "kJ/mol"
    for errors in metrics["methods"].values():
        assert {"mae", "median", "rmse", "r2", "mae_per_fold"} <= set(errors)
    assert set(metrics["differences"]["transfer - scratch"]) == {"mean", "low", "high"}
    assert [point["size"] for point in metrics["learning_curve"]] == [50, 100, 200, 480]
    assert metrics["seconds"] == {
        "fetch source": 1,
        "fetch target": 2,
        "curate source": 3,
        "curate target": 4,
        "featurize source": 5,
        "featurize target": 6,
        "pretrain": 7,
        "evaluate": 8,
        "fit": 9,
    }
    assert metrics["seconds_per_fit"] == {"fine-tune": 5.5, "scratch": 8.5}


def test_it_holds_what_prediction_needs(store: Store, stored: Stored, bundle: Bundle) -> None:
    assert store.read(bundle, "weights.safetensors") == b"weights"
    assert store.read(bundle, "model.json") == store.read(stored.model, "model.json")
    assert store.read(bundle, "features.json") == store.read(stored.made_from.target_features, "state.json")
    assert Recipe.model_validate(yaml.safe_load(store.read(bundle, "recipe.yaml"))) == stored.recipe
    assert len(from_parquet(store.read(bundle, "predictions.parquet"))) == 600
    assert store.read(bundle, "trunk.safetensors") == b"pretrained"
    for name in CERTAINTY:
        assert store.read(bundle, name) == store.read(stored.comparison, name)


def test_it_says_for_programs_what_it_predicts_and_where_its_domain_ends(store: Store, bundle: Bundle) -> None:
    about = json.loads(store.read(bundle, "about.json"))
    assert about["property"]["unit"] == "kJ/mol"
    assert about["reach"] == pytest.approx(2.4)  # of one in twenty held-out rows the distance is greater
    assert about["rows"] == {"source": 600, "target": 600}
    assert about["data"]["source"]["licence"]
    assert store.manifest(bundle)["format"] == 1


def test_the_same_inputs_give_the_same_bytes(store: Store, stored: Stored, bundle: Bundle) -> None:
    again = bundle_files(store, *stored)
    assert again == {name: store.read(bundle, name) for name in CONTRACT}


def test_publishing_again_changes_nothing(store: Store, stored: Stored, bundle: Bundle) -> None:
    before = store.manifest(bundle)
    assert publish.fn(*stored) == bundle
    assert store.manifest(bundle) == before
    assert store.list("bundles") == [bundle.path]


def test_without_a_manifest_there_is_no_bundle(store: Store, stored: Stored, bundle: Bundle) -> None:
    store.files._fs.rm_file(store.files.key(f"{bundle.path}/manifest.json"))
    assert not store.holds(bundle)
    assert store.list("bundles") == []
    assert publish.fn(*stored) == bundle  # the run after a death completes it
    assert store.holds(bundle)


def test_it_names_all_that_it_was_made_from(store: Store, stored: Stored, bundle: Bundle) -> None:
    named = json.loads(store.read(bundle, "lineage.json"))
    assert named["source_raw"] == ["raw/00"]
    assert (named["model"], named["comparison"]) == ([stored.model.path], [stored.comparison.path])
    beside = {"auxiliary": (Features("09"),), "auxiliary_tables": (Raw("0a"), Snapshot("0b"))}
    named = origins(stored.model, stored.comparison, dataclasses.replace(stored.made_from, **beside))
    assert named["auxiliary"] + named["auxiliary_tables"] == ["features/09", "raw/0a", "snapshots/0b"]
