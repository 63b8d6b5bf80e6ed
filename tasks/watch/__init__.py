"""The door of watching: what has arrived for a recipe, and the run that it leads to."""

import json
import logging
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import httpx
from prefect import task
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound

from tasks.errors import MatliftError
from tasks.fetch import landings
from tasks.handles import Bundle, Comparison, Snapshot
from tasks.store import connect
from tasks.watch import memory
from tasks.watch.memory import Memory, landed_digest
from tasks.watch.quiet import await_quiet

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

__all__ = ["Memory", "arrived", "compared", "recall", "remember", "rows_of", "settle", "start"]

CHANGED = "matlift.target.changed"
TAG = "target changed"

log = logging.getLogger(__name__)


def recall(recipe: str) -> Memory | None:
    """Return what is remembered of a recipe, None before the first look."""
    return memory.recall(connect(), recipe)


def remember(recipe: str, old: Memory | None, new: Memory) -> bool:
    """Remember what follows from `old`; return whether that still held: if not, another watch was faster."""
    return old == new or memory.remember(connect(), recipe, old, new)


def arrived(recipe: str) -> tuple[str, str]:
    """Return the digests of what lies in a recipe's inbox and of what has been landed for it."""
    return memory.inbox_digest(connect(), recipe), landed_digest(landings(recipe))


def rows_of(snapshot: Snapshot) -> tuple[str, int]:
    """Return the digest of what a snapshot's rows say, and how many they are."""
    return memory.rows_of(connect(), snapshot)


def compared(recipe: str) -> str | None:
    """Return the fingerprint of the comparison behind a recipe's latest bundle; None if its choices cannot be kept."""
    store = connect()
    latest = store.pointer(f"bundles/{recipe}/latest.json")
    if latest is None:
        return None
    (path,) = json.loads(store.read(Bundle(latest["bundle"], recipe), "lineage.json"))["comparison"]
    comparison = Comparison(path.rpartition("/")[2])
    has = store.holds(comparison) and "choices.json" in store.manifest(comparison)["files"]
    return comparison.fingerprint if has else None


@task(task_run_name="wait until nothing more arrives for {recipe}")
def settle(recipe: str, seconds: float) -> None:
    """Wait until for so many seconds nothing has come into a recipe's inbox and nothing has been landed for it."""
    await_quiet(lambda: arrived(recipe), seconds)


@task(task_run_name="start retrain/{recipe}")
def start(recipe: str, decision: Memory, parameters: dict[str, Any]) -> Memory:
    """Start the run that was decided on, tell of it, and remember it; who does so at the same time gets the same run.

    Args:
        recipe: its name.
        decision: is pending.
        parameters: of the run.

    Raises:
        MatliftError: the server has no such deployment.
    """
    name = f"retrain/{recipe}"
    try:
        run = run_deployment(
            name,
            parameters=parameters,
            flow_run_name=decision.title(recipe),
            tags=[TAG],
            idempotency_key=f"{recipe} {decision.digest} {decision.key}",
            timeout=0,
            as_subflow=False,
        )
        run_id = str(cast("FlowRun", run).id)  # a coroutine in async code alone
    except ObjectNotFound as error:
        raise MatliftError(f"there is no deployment {name} on Prefect's server: run `matlift up`") from error
    except httpx.HTTPError as error:
        raise MatliftError(f"Prefect's server fails ({error}): the next look for {recipe} starts {name}") from error
    emit_event(
        CHANGED,
        {"prefect.resource.id": f"matlift.recipe.{recipe}", "prefect.resource.name": recipe},
        payload={"snapshot": decision.snapshot, "table": decision.table, "rows": decision.rows, "run": run_id},
        id=UUID(decision.key),  # whoever emits it again says the same
    )
    started = decision.started(run_id)
    remember(recipe, decision, started)
    log.info("started %s: %s", name, run_id)
    return started
