"""Fetch: one table per database, typed, as the database holds it right now."""

from collections.abc import Callable
from typing import Any, NamedTuple

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from tasks.errors import MatliftError
from tasks.fetch import chemicals, qm9
from tasks.handles import Raw, fingerprint
from tasks.recipe import Data
from tasks.store import connect

__all__ = ["DATABASES", "fetch"]


class Database(NamedTuple):
    """How to ask one database.

    Attributes:
        identity: returns what the database holds right now, as a short text that changes with it; cheap.
        read: returns the table of `tasks.fetch.records` as Parquet.
    """

    identity: Callable[[Any], str]
    read: Callable[[Any], bytes]


# By their names in recipes; each is the module of that name.
DATABASES = {
    "chemicals": Database(chemicals.identity, chemicals.read),
    "qm9": Database(qm9.identity, qm9.read),
}


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
def fetch(data: Data) -> Raw:
    """Put the table of a database into the store, unless the store has what the database holds right now.

    Args:
        data: the part of a recipe that names the database.

    Raises:
        MatliftError: the database is not there or is not as expected.
    """
    name = data.data.database
    database = DATABASES[name]
    handle = Raw(fingerprint(f"tasks.fetch.{name}", data.data, database.identity(data.data)))
    return connect().once(handle, lambda: {"rows.parquet": database.read(data.data)})
