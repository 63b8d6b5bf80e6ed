"""Which model answers: a bundle for good, or a recipe's champion, looked for again and again as the service runs."""

import asyncio
import logging
from collections.abc import Callable

from deployments.serve.model import Model, open_model
from tasks.errors import MatliftError

PAUSE = 6  # times as long until the next look after one that failed: what was refused is downloaded again

log = logging.getLogger(__name__)


class Champion:
    """The model in service, and what stands in the way of the one that should be.

    Attributes:
        model: it answers.
        trouble: why the bundle that should answer does not, or why nobody knows which one should, or None.
        changes: how often another bundle took over.
        failures: how often none could, though it should, or nobody could tell.
    """

    def __init__(self, find: Callable[[], str]) -> None:
        """Load the model.

        Args:
            find: tells where the bundle is that should answer.

        Raises:
            MatliftError: there is none, or it is refused.
        """
        self._find = find
        self._leaving: set[asyncio.Task[None]] = set()  # or nobody would remember them
        self.trouble: str | None = None
        self.changes = self.failures = 0
        self._at = find()
        self.model: Model = open_model(self._at)

    async def follow(self, seconds: float) -> None:
        """Look every so many seconds which bundle should answer, until cancelled."""
        while True:
            await asyncio.sleep(seconds * (PAUSE if self.trouble else 1))
            await self._look()

    async def _look(self) -> None:
        """Let the bundle take over that should answer; if it cannot, all stays as it is."""
        try:
            at = await asyncio.to_thread(self._find)
            model = None if at == self._at else await asyncio.to_thread(open_model, at)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with another bundle, this one goes on answering
            self._complain(error)
            return
        self.trouble = None
        if model:
            self._replace(model, at)

    def _replace(self, model: Model, at: str) -> None:
        """Let a model answer from now on; the other one answers what it has been asked."""
        log.info("the bundle %s takes over from %s", model.bundle, self.model.bundle)
        leaving = asyncio.create_task(self.model.retire())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        self.model, self._at = model, at
        self.changes += 1

    def _complain(self, error: Exception) -> None:
        """Say once what stands in the way; of what nobody expected, where it happened, too."""
        self.failures += 1
        expected = isinstance(error, MatliftError)
        trouble = str(error) if expected else f"the champion cannot be loaded ({error!r}): see the log"
        if trouble != self.trouble:
            log.warning("%s; the bundle %s goes on answering", trouble, self.model.bundle, exc_info=not expected)
        self.trouble = trouble
