"""The door of the store's page."""

import logging

from prefect import task

from tasks.site.update import PAGE, rebuild
from tasks.store import connect

__all__ = ["PAGE", "rebuild", "update_page"]

log = logging.getLogger(__name__)


def update_page() -> None:
    """Write the page in a task of its own: if that fails, it is said, and what was published stays published."""
    state = _write(return_state=True)
    if not state.is_completed():
        log.warning("the page is not new: %s", state.message)


@task(name="update page", task_run_name="update page")
def _write() -> None:
    """Write the page that shows the recipes, their champions and how they came about, if it says anything new."""
    rebuild(connect())
