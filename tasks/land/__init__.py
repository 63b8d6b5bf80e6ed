"""Land: a laboratory's own measurements enter a recipe's target, and what is wrong with a row is told at once."""

import logging
from collections.abc import Sequence

from prefect import task

from tasks.dashboard import show_table
from tasks.fetch.files import file_name
from tasks.handles import Snapshot
from tasks.land.fates import Fates, fates
from tasks.land.landing import Landed, land_file, waiting
from tasks.recipe import Recipe
from tasks.store import connect

__all__ = ["Fates", "Landed", "inbox", "land_files", "trace"]

log = logging.getLogger(__name__)


@task(task_run_name="land for {plan.name}")
def land_files(locations: Sequence[str], plan: Recipe) -> list[Landed]:
    """Put the good rows of files, and beside them the rejected ones with their reasons, into the store.

    Args:
        locations: paths, URLs, or s3:// URLs; a file that cannot be used at all does not stop the others.
        plan: the recipe for whose target they are.
    """
    landed = [land_file(connect(), location, plan) for location in locations]
    for file in landed:
        if file.refusal:
            log.warning("not landed: %s", file.refusal)
    rows = [
        {"file": file_name(file.location), "rows": file.report.get("rows"), "good": file.report.get("good")}
        | {"rejected": sum(file.report.get("rejected", {}).values()), "remark": file.refusal or file.already or ""}
        for file in landed
    ]
    show_table(f"landed {plan.name}", rows, f"What became of {len(rows)} files landed for {plan.name}.")
    return landed


def inbox(recipe: str) -> list[str]:
    """Return the URLs of the files that lie in a recipe's inbox, where they stay when they have been landed."""
    return waiting(connect(), recipe)


@task(task_run_name="trace landed rows in {snapshot}")
def trace(landed: Sequence[Landed], snapshot: Snapshot) -> list[Fates]:
    """Return what became of the good rows of landed files in a snapshot."""
    return fates(connect(), landed, snapshot)
