"""From handles to a bundle's files: everything needed to predict, to judge and to cite."""

import json
from typing import Any

import yaml

from tasks.handles import Comparison, Lineage, Model
from tasks.publish.about import about
from tasks.publish.card import Facts, write_card
from tasks.publish.figures import learning_curve, parity
from tasks.publish.report import write_report
from tasks.recipe import Recipe
from tasks.store import Store
from tasks.tables import from_parquet

CERTAINTY = ("intervals.json", "domain.json", "domain.safetensors", "rival.json", "rival.safetensors")


def bundle_files(
    store: Store, model: Model, comparison: Comparison, recipe: Recipe, made_from: Lineage
) -> dict[str, bytes]:
    """Return the files of a Bundle.

    Args:
        store: holds all that the bundle is made from.
        model: what is published.
        comparison: what it was judged by.
        recipe: the plan.
        made_from: the objects before model and comparison.
    """
    metrics = json.loads(store.read(comparison, "metrics.json"))
    predictions = store.read(comparison, "predictions.parquet")
    features = store.read(made_from.target_features, "state.json")
    seconds = _seconds(store, model, comparison, made_from)
    facts = Facts(
        recipe=recipe,
        metrics=metrics,
        predictions=from_parquet(predictions),
        reports=_reports(store, made_from),
        history=json.loads(store.read(made_from.checkpoint, "history.json")),
        elements=tuple(json.loads(features)["elements"]),
        model=model,
        comparison=comparison,
        lineage=made_from,
        seconds=seconds["seconds"],
    )
    pictures = {
        "parity.png": parity(facts.predictions, metrics, recipe.property),
        "learning-curve.png": learning_curve(metrics, recipe.property),
    }
    return {
        "weights.safetensors": store.read(model, "weights.safetensors"),
        "model.json": store.read(model, "model.json"),
        "features.json": features,
        "about.json": json.dumps(about(facts), indent=1, ensure_ascii=False).encode(),
        "recipe.yaml": yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode(),
        "lineage.json": json.dumps(origins(model, comparison, made_from), indent=1).encode(),
        "metrics.json": json.dumps({**metrics, **seconds}, indent=1).encode(),
        "predictions.parquet": predictions,
        **{name: store.read(comparison, name) for name in CERTAINTY},
        "trunk.safetensors": store.read(made_from.checkpoint, "weights.safetensors"),
        "trunk.json": store.read(made_from.checkpoint, "model.json"),
        "README.md": write_card(facts, pictures).encode(),
        "report.html": write_report(
            facts, from_parquet(store.read(made_from.target, "rows.parquet")), pictures
        ).encode(),
        **{name: picture.png for name, picture in pictures.items()},
    }


def origins(model: Model, comparison: Comparison, made_from: Lineage) -> dict[str, list[str]]:
    """Return the paths of all that the bundle is made from: what is needed to explain it, and to make the next one."""
    objects = {**made_from.objects(), "comparison": (comparison,), "model": (model,)}
    return {name: [handle.path for handle in handles] for name, handles in objects.items()}


def _reports(store: Store, made_from: Lineage) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what curation says of source and target."""
    source, target = (json.loads(store.read(s, "report.json")) for s in (made_from.source, made_from.target))
    return source, target


def _seconds(store: Store, model: Model, comparison: Comparison, made_from: Lineage) -> dict[str, dict[str, float]]:
    """Return how long each stage took when its object was made, and how long one fit of each method takes."""
    stages = {
        "fetch source": made_from.source_raw,
        "fetch target": made_from.target_raw,
        "curate source": made_from.source,
        "curate target": made_from.target,
        "featurize source": made_from.source_features,
        "featurize target": made_from.target_features,
        "pretrain": made_from.checkpoint,
        "evaluate": comparison,
        "fit": model,
    }
    return {
        "seconds": {stage: store.manifest(handle)["seconds"] for stage, handle in stages.items()},
        "seconds_per_fit": json.loads(store.read(comparison, "seconds_per_fit.json")),
    }
