"""What doors show on Prefect's dashboard: progress and tables; outside a run, and without a server, nothing at all.

Prefect, which takes seconds to load, is loaded where something is shown.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tasks.progress import Progress, listening

if TYPE_CHECKING:
    from uuid import UUID

INTERVAL = 1.0  # seconds between updates at least: one takes about 14 ms

log = logging.getLogger(__name__)


@contextmanager
def progress_artifact(label: str) -> Iterator[None]:
    """Show what is reported inside the `with` block as a progress artifact of the run.

    The artifact appears with the first report, so a stage that finds its object in the store shows none.

    Args:
        label: what is being done; the artifact's key is made from it.
    """
    with listening(_Bar(label)):
        yield


def show_table(label: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Show a table as an artifact of the run.

    Args:
        label: what it is; the artifact's key is made from it.
        rows: one mapping from column to value per row.
        description: one sentence of Markdown above it.
    """

    def create() -> object:
        from prefect.artifacts import create_table_artifact  # noqa: PLC0415

        return create_table_artifact([dict(row) for row in rows], key=_key(label), description=description)

    _show(label, create)


def show_markdown(label: str, text: str, description: str) -> None:
    """Show a page of Markdown as an artifact of the run.

    Args:
        label: what it is; the artifact's key is made from it.
        text: the page; pictures are inside, as data URLs.
        description: one sentence above it.
    """

    def create() -> object:
        from prefect.artifacts import create_markdown_artifact  # noqa: PLC0415

        return create_markdown_artifact(text, key=_key(label), description=description)

    _show(label, create)


def _show(label: str, create: Callable[[], object]) -> None:
    """Create an artifact if this is part of a run; the dashboard must never stop the work."""
    if _in_run():
        import httpx  # noqa: PLC0415

        try:
            create()
        except httpx.HTTPError as error:
            log.warning("the dashboard does not show “%s”: %s", label, error)


class _Bar:
    """A listener that shows progress as one artifact, updated once a second at most."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._artifact: UUID | None = None
        self._shown = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Show the progress, unless the last update was a moment ago."""
        finished = progress.done >= progress.total
        if not _in_run() or (time.monotonic() < self._shown + INTERVAL and not finished):
            return
        import httpx  # noqa: PLC0415
        from prefect.artifacts import create_progress_artifact, update_progress_artifact  # noqa: PLC0415

        self._shown = time.monotonic()
        percent = 100 * progress.done / progress.total if progress.total else 100.0
        text = f"{progress.label}: {progress.done:,.10g} of {progress.total:,.10g} {progress.note}".strip()
        try:
            if self._artifact is None:
                artifact = create_progress_artifact(percent, key=_key(self._label), description=text)
                self._artifact = cast("UUID", artifact)  # a coroutine only in async code, of which there is none
            else:
                update_progress_artifact(self._artifact, percent, description=text)
        except httpx.HTTPError as error:  # the dashboard must never stop the work
            log.warning("the dashboard does not show the progress of “%s”: %s", self._label, error)


def _in_run() -> bool:
    """Tell whether this is part of a flow run or task run, so that there is a dashboard."""
    if "prefect.context" not in sys.modules:  # a run has loaded it
        return False
    from prefect.context import FlowRunContext, TaskRunContext  # noqa: PLC0415

    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def _key(label: str) -> str:
    """Return the label as Prefect wants keys: lower case, digits and dashes."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in label.lower()).split())
