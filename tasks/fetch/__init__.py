"""Fetch: one table per database, typed, as the database holds it right now, with the rows landed for the recipe."""

from collections.abc import Sequence
from typing import Any

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from tasks.dashboard import progress_artifact
from tasks.errors import MatliftError
from tasks.fetch.databases import DATABASES
from tasks.fetch.landed import list_landings, read_landing
from tasks.fetch.records import pack
from tasks.handles import FORMULAS, Landing, Raw, fingerprint
from tasks.recipe import Data, Unit
from tasks.store import connect

__all__ = ["fetch", "fetched", "landings"]

CONTRACT = ("tasks.fetch.records", "tasks.fetch.units", "tasks.fetch.landed", *FORMULAS)  # for every database


def _may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether trying again can help: not against an error that the user has to mend."""
    return not isinstance(state.data, MatliftError)


@task(
    task_run_name="fetch {data.data.database}",
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=5),
    retry_jitter_factor=0.5,
    retry_condition_fn=_may_pass,
)
def fetch(data: Data, unit: Unit, landed: Sequence[Landing] = ()) -> Raw:
    """Put the table of a database into the store, unless the store has what the database holds right now.

    Args:
        data: the part of a recipe that names the database.
        unit: to which the values are brought.
        landed: whose rows follow those of the database, as `landings` lists them.

    Raises:
        MatliftError: the database is not there or is not as expected.
    """
    store = connect()
    identity, handle = _named(data, unit, landed)

    def make() -> dict[str, bytes]:
        records = DATABASES[data.data.database].read(data.data, identity)
        return {"rows.parquet": pack(records, unit, [read_landing(store, landing) for landing in landed])}

    with progress_artifact(f"fetch {data.data.database}"):
        return store.once(handle, make)


def landings(recipe: str) -> list[Landing]:
    """Return what has been landed for a recipe up to now, in the order of the fingerprints."""
    return list_landings(connect(), recipe)


def fetched(data: Data, unit: Unit) -> Raw | None:
    """Return what `fetch` gives if it is in the store; nothing is made.

    Raises:
        MatliftError: the database is not there.
    """
    handle = _named(data, unit, ())[1]
    return handle if connect().holds(handle) else None


def _named(data: Data, unit: Unit, landed: Sequence[Landing]) -> tuple[str, Raw]:
    """Return what identifies the database right now, and the object made of it and of landings."""
    name = data.data.database
    database = DATABASES[name]
    identity = database.identity(data.data)
    inputs = (data.data, unit, identity, *(landing.fingerprint for landing in landed))
    modules = (*database.modules, *CONTRACT)
    return identity, Raw(fingerprint(f"tasks.fetch.{name}", *inputs, libraries=database.libraries, modules=modules))
