"""Landing: measurements enter a recipe's target, and the target gets a new snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect import flow

from flows.names import run_name
from tasks.curate import curate, curated
from tasks.errors import MatliftError
from tasks.fetch import fetch, fetched, landings
from tasks.handles import Snapshot
from tasks.land import Fates, Landed, inbox, land_files, trace
from tasks.recipe import Recipe, load_recipe

UNMADE = "the source has not been curated yet, or it or matlift has changed since: run the recipe"


@dataclass(frozen=True)
class Arrival:
    """What a landing led to.

    Attributes:
        files: what became of each file.
        before: the target's snapshot without what is new in them, if it could be made.
        after: the target's snapshot with them, if it could be made.
        fates: what became of each file's good rows in it.
        obstacle: why it could not be made, as a sentence.
    """

    files: list[Landed]
    before: Snapshot | None = None
    after: Snapshot | None = None
    fates: list[Fates] | None = None
    obstacle: str | None = None


@flow(name="land", flow_run_name=run_name)
def land(recipe: str, files: Sequence[str] = (), settings: dict[str, Any] | None = None) -> Arrival:
    """Land files, or else what lies in the recipe's inbox; then fetch and curate the target without and with them."""
    plan = load_recipe(recipe, settings)
    earlier = landings(plan.name)
    landed = land_files(files or inbox(plan.name), plan)
    if not any(file.landing for file in landed):
        return Arrival(landed)
    try:
        source = curated_source(plan)
        if source is None:
            return Arrival(landed, obstacle=UNMADE)
        before, after = (
            curate(fetch(plan.target, plan.property.unit, these), plan.target.rules, plan.features, within=source)
            for these in (earlier, landings(plan.name))
        )
        return Arrival(landed, before, after, trace(landed, after))
    except MatliftError as error:  # what has landed stays landed, and must be told
        return Arrival(landed, obstacle=str(error))


def curated_source(plan: Recipe) -> Snapshot | None:
    """Return the source's snapshot if it has been made."""
    raw = fetched(plan.source, plan.property.unit)
    return curated(raw, plan.source.rules, plan.features) if raw else None
