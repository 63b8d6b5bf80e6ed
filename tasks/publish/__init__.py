"""The door of publishing: a model becomes a bundle with metrics, figures and a card."""

import json

from prefect import task

from tasks.dashboard import show_markdown, show_table
from tasks.handles import Bundle, Comparison, Lineage, Model, fingerprint
from tasks.publish.bundle import bundle_files
from tasks.publish.card import for_dashboard
from tasks.publish.grids import method_rows
from tasks.publish.words import headline, sentences
from tasks.recipe import Recipe
from tasks.store import Store, connect

__all__ = ["headline", "publish", "sentences"]


@task(task_run_name="publish {recipe.name}")
def publish(model: Model, comparison: Comparison, recipe: Recipe, made_from: Lineage) -> Bundle:
    """Write the bundle, point to it as the recipe's latest, and show its metrics and its card on the dashboard."""
    store = connect()
    inputs = (model, comparison, recipe)
    handle = Bundle(fingerprint("tasks.publish", *inputs, libraries=("matplotlib", "numpy")), recipe.name)
    store.once(handle, lambda: bundle_files(store, *inputs, made_from))
    store.point(f"bundles/{recipe.name}/latest.json", {"bundle": handle.fingerprint, "path": handle.path})
    _show(store, handle)
    return handle


def _show(store: Store, bundle: Bundle) -> None:
    """Show the metrics and the card of a bundle on the dashboard."""
    metrics = json.loads(store.read(bundle, "metrics.json"))
    show_table(f"metrics {bundle.recipe}", method_rows(metrics["methods"], metrics["unit"]), headline(metrics))
    pictures = {name: store.read(bundle, name) for name in ("parity.png", "learning-curve.png")}
    card = for_dashboard(store.read(bundle, "README.md").decode(), pictures)
    more = f"More, and where transfer lost: the page `report.html` in the bundle `{bundle}`.\n\n"
    show_markdown(f"report {bundle.recipe}", f"{more}{card}", headline(metrics))
