"""The whole pipeline, from two databases to a published bundle."""

from typing import Any

from prefect import flow

from tasks.curate import curate
from tasks.evaluate import best, evaluate
from tasks.featurize import featurize
from tasks.fetch import fetch, landings
from tasks.handles import Bundle, Lineage
from tasks.learn import fit, pretrain
from tasks.publish import publish
from tasks.recipe import load_recipe


@flow(name="retrain", flow_run_name="{recipe}")
def retrain(recipe: str, settings: dict[str, Any] | None = None) -> Bundle:
    """Fetch, curate, featurize, pretrain, compare, fit and publish."""
    plan = load_recipe(recipe, settings)
    source_raw = fetch(plan.source, plan.property.unit)
    target_raw = fetch(plan.target, plan.property.unit, landings(plan.name))
    source = curate(source_raw, plan.source.rules, plan.features)
    target = curate(target_raw, plan.target.rules, plan.features, within=source)
    extensive = plan.property.extensive
    source_features = featurize(source, plan.features, extensive=extensive)
    target_features = featurize(target, plan.features, extensive=extensive, scale=source_features)
    auxiliary = tuple(
        featurize(
            curate(fetch(part, part.unit), part.rules, plan.features, within=source),
            plan.features,
            extensive=extensive,
            scale=source_features,
        )
        for part in plan.auxiliary.values()
    )
    checkpoint = pretrain(source_features, plan.network, plan.pretraining, plan.property.unit, auxiliary)
    limits = plan.target.rules.between
    comparison = evaluate(checkpoint, target_features, plan.transfer, plan.evaluation, limits)
    model = fit(checkpoint, target_features, best(comparison), plan.transfer, limits)
    lineage = Lineage(source_raw, target_raw, source, target, source_features, target_features, checkpoint, auxiliary)
    return publish(model, comparison, plan, lineage)
