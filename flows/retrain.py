"""The whole pipeline, from two databases to a published bundle."""

from typing import Any

from prefect import flow

from flows.names import run_name
from tasks.curate import curate
from tasks.evaluate import best, evaluate
from tasks.featurize import featurize
from tasks.fetch import fetch, landings
from tasks.handles import Bundle, Lineage
from tasks.learn import fit, pretrain
from tasks.parallel import load_ahead
from tasks.promote import promote
from tasks.publish import publish
from tasks.recipe import load_recipe
from tasks.settings import settings as environment
from tasks.site import update_page


@flow(name="retrain", flow_run_name=run_name, timeout_seconds=environment().time_limit)
def retrain(recipe: str, settings: dict[str, Any] | None = None) -> Bundle:
    """Fetch, curate, featurize, pretrain, compare, fit, publish and promote."""
    plan = load_recipe(recipe, settings)
    load_ahead()
    source_raw = fetch(plan.source, plan.property.unit)
    target_raw = fetch(plan.target, plan.property.unit, landings(plan.name))
    source = curate(source_raw, plan.source.rules, plan.features)
    target = curate(target_raw, plan.target.rules, plan.features, within=source)
    extensive = plan.property.extensive
    source_features = featurize(source, plan.features, extensive=extensive)
    target_features = featurize(target, plan.features, extensive=extensive, scale=source_features)
    parts = plan.auxiliary.values()
    raws = tuple(fetch(part, part.unit) for part in parts)
    snapshots = tuple(
        curate(raw, part.rules, plan.features, within=source) for raw, part in zip(raws, parts, strict=True)
    )
    auxiliary = tuple(
        featurize(snapshot, plan.features, extensive=extensive, scale=source_features) for snapshot in snapshots
    )
    checkpoint = pretrain(source_features, plan.network, plan.pretraining, plan.property.unit, auxiliary)
    limits = plan.target.rules.between
    comparison = evaluate(checkpoint, target_features, plan.transfer, plan.evaluation, limits)
    model = fit(checkpoint, target_features, best(comparison), plan.transfer, limits)
    data = (source_raw, target_raw, source, target, source_features, target_features)
    lineage = Lineage(*data, checkpoint, auxiliary, (*raws, *snapshots))
    bundle = publish(model, comparison, plan, lineage)
    promote(bundle, plan.gate)
    update_page()
    return bundle
