"""Watching: what has come for a recipe's target is landed, and a training started if the target is another."""

from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.land import curated_source
from flows.names import run_name
from tasks.curate import curate
from tasks.fetch import fetch, landings
from tasks.land import inbox, land_files
from tasks.recipe import Recipe, load_recipe
from tasks.settings import settings as environment
from tasks.watch import Memory, arrived, compared, recall, remember, rows_of, settle, start

# A training that new measurements start leaves out what costs most of the time: the learning curve, whole groups held
# out, and choosing anew inside each fold. That of the next night has all of it.
BRIEF = {"evaluation.sizes": [], "evaluation.clusters": 0, "evaluation.elements": 0}


@flow(name="watch", flow_run_name=run_name)
def watch(recipe: str, settings: dict[str, Any] | None = None) -> Memory:
    """Land what lies in the inbox, look at the target's database, and start `retrain` if the target's rows changed.

    However many watch at the same time, and however often they look: one run is started for a change. A run that fails
    is not started again; the next change starts another one, as `prefect flow-run retry` and `matlift run` do. What
    came while the server was down, or while a watch died, is found by the next look. The first look only remembers,
    unless something has been landed.
    """
    plan = load_recipe(recipe, settings)
    while True:
        before = recall(plan.name)
        after = _look(plan, before)
        if remember(plan.name, before, after):  # else another watch was faster: what has it left to do?
            break
    if not after.pending:
        return after
    brief = {**(settings or {}), **BRIEF, "evaluation.choices": compared(plan.name)}
    return start(plan.name, after, {"recipe": recipe, "settings": brief})


def watched_with(recipe: str) -> dict[str, Any] | None:
    """Return the parameters with which Prefect's server watches a recipe; None if it does not."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(f"watch/{recipe}").parameters
        except ObjectNotFound:
            return None


def _look(plan: Recipe, before: Memory | None) -> Memory:
    """Return what is to be remembered, with the decision to start a run if the target has changed."""
    known = before or Memory()
    if arrived(plan.name) != (known.inbox, known.landed):
        settle(plan.name, environment().watch_quiet)
    inbox_then, _ = arrived(plan.name)  # before it is landed: what comes meanwhile is for the next look
    if files := inbox(plan.name) if inbox_then != known.inbox else []:
        land_files(files, plan)
    landed = landings(plan.name)
    table = fetch(plan.target, plan.property.unit, landed)
    after = known.seen(inbox_then, landed, table)
    if after.table == known.table or not (before or landed):
        return after
    source = curated_source(plan)
    if source is None:  # then nothing has ever been trained on it
        return after.decided(table.path, None, None)
    target = curate(table, plan.target.rules, plan.features, within=source)
    digest, rows = rows_of(target)
    return after if digest == known.digest else after.decided(digest, target, rows)
