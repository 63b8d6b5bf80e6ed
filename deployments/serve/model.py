"""A published model in service: its processes, whose turn it is, and how it leaves without dropping a request."""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import time

from deployments.serve.worker import DiedError, Part, TooSlowError, Worker
from tasks.errors import MatliftError
from tasks.parallel import cores
from tasks.predict import Predictor, load

START_SECONDS = 60  # of a process, on a machine that has other things to do
WAITING = 200  # requests at most, whose items wait in memory


class BusyError(Exception):
    """More is asked than can be answered now."""


class Model:
    """A model that answers in as many processes as there are cores.

    Attributes:
        predictor: the model.
        since: when it was loaded, in seconds since 1970.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.since = time()
        self._workers: list[Worker] = []
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._asking = 0
        self._done = asyncio.Event()
        try:
            for _ in range(cores()):
                self._workers.append(Worker(predictor))
            for worker in self._workers:
                worker.ask([], START_SECONDS)
                self._idle.put_nowait(worker)
        except (TooSlowError, DiedError, OSError) as error:
            self.stop()
            raise MatliftError(
                f"the processes that predict with the bundle {predictor.fingerprint} do not come up: see that there is "
                "memory for them"
            ) from error
        self._threads = ThreadPoolExecutor(len(self._workers))  # one waits for each process

    async def predict(self, items: Sequence[str], seconds: float) -> Part:
        """Return what the model predicts.

        Args:
            items: SMILES or formulas.
            seconds: for which the request waits for its turn at most, and for which it is worked on.

        Raises:
            BusyError: its turn did not come, or too many wait already.
            TooSlowError, DiedError: as the process says.
        """
        if self._asking >= WAITING:
            raise BusyError
        self._asking += 1
        try:
            worker = await self._turn(seconds)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, worker.ask, items, seconds)
            finally:
                self._idle.put_nowait(worker)
        finally:
            self._asking -= 1
            if not self._asking:
                self._done.set()

    def asking(self) -> int:
        """Return how many requests are waiting or being answered."""
        return self._asking

    def alive(self) -> bool:
        """Tell whether any process can answer."""
        return any(worker.alive() for worker in self._workers)

    async def retire(self) -> None:
        """Answer what has been asked, then end; nobody asks any more."""
        self._done.clear()
        if self._asking:
            await self._done.wait()
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.stop()

    async def _turn(self, seconds: float) -> Worker:
        try:
            async with asyncio.timeout(seconds):
                return await self._idle.get()
        except TimeoutError as error:
            raise BusyError from error

    @property
    def bundle(self) -> str:
        """The fingerprint of the bundle."""
        return self.predictor.fingerprint

    @property
    def about(self) -> dict[str, str | float]:
        """What an answer says of the model."""
        about = self.predictor.about
        return {
            "bundle": self.bundle,
            "recipe": about["recipe"],
            "property": self.predictor.property,
            "unit": self.predictor.unit,
            "level": about["level"],
            "takes": self.predictor.takes,
        }

    def answer(self, part: Part) -> bytes:
        """Return the JSON of an answer."""
        return b'%s, "predictions": %s}' % (json.dumps(self.about).encode()[:-1], part.rows)


def open_model(location: str) -> Model:
    """Load a bundle and start its processes: it is checked before anybody is answered by it.

    Raises:
        MatliftError: the bundle is refused, or its processes do not come up.
    """
    return Model(load(location))
