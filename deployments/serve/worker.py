"""A process that predicts: it can be ended when a request takes too long, and takes nothing with it when it dies."""

import json
import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tasks.predict import Predictor

FORKING = multiprocessing.get_context("forkserver")  # ours has threads, of which a process forked from it has none
LIBRARIES = ["deployments.serve.worker", "tasks.predict", "threadpoolctl"]  # which the processes load once, together
FIELDS = ("item", "value", "lower", "upper", "in_domain", "reason")


class Part(NamedTuple):
    """What a process made of some items.

    Attributes:
        rows: their predictions as a JSON array.
        inside: how many are in the model's domain.
        outside: how many have a value and are not.
        bad: how many have none.
    """

    rows: bytes
    inside: int
    outside: int
    bad: int


class TooSlowError(Exception):
    """A process took longer than it may, and was ended."""


class DiedError(Exception):
    """A process died before it had answered."""


class Worker:
    """A process with a model; when it has ended, another one takes its place."""

    def __init__(self, predictor: "Predictor") -> None:
        self._predictor = predictor
        self._turn = Lock()
        self._stopped = False
        self._start()
        _running.add(self)

    def ask(self, items: Sequence[str], seconds: float) -> Part:
        """Return what the process predicts.

        Raises:
            TooSlowError: it took longer than so many seconds.
            DiedError: something killed it, the lack of memory perhaps.
        """
        with self._turn:  # an answer never goes to another question
            try:
                self._pipe.send(items)
                part: Part | None = self._pipe.recv() if self._pipe.poll(seconds) else None
            except (EOFError, OSError) as error:
                self._restart()
                raise DiedError from error
            if part is None:
                self._restart()
                raise TooSlowError
            return part

    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.is_alive()

    def stop(self) -> None:
        """End the process, whatever it does, for good."""
        self._stopped = True
        self._end()
        _running.discard(self)

    def _start(self) -> None:
        FORKING.set_forkserver_preload(LIBRARIES)
        pipe, theirs = FORKING.Pipe()
        process = FORKING.Process(target=_work, args=(theirs, self._predictor), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._pipe, self._process = pipe, process

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _restart(self) -> None:
        self._end()
        if not self._stopped:
            with suppress(OSError):  # there is no room for another process: who asks next tries again
                self._start()


_running: set[Worker] = set()


def stop_all() -> None:
    """End all processes, those of models that are on their way in or out, too."""
    for worker in list(_running):
        worker.stop()


def _work(pipe: Connection, predictor: "Predictor") -> None:
    """Answer until nobody can ask any more."""
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 -- who asks does not need it

    # Ctrl-C at a terminal, and the end of a service's control group, reach all processes: we finish what we have begun.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threadpool_limits(1)  # there are as many processes as cores
    with suppress(EOFError, ConnectionError):  # who asks has ended, and with it our pipe
        while True:
            items = pipe.recv()
            pipe.send(_part(items, predictor))


def _part(items: Sequence[str], predictor: "Predictor") -> Part:
    """Return predictions as JSON, in which what is no finite number is null."""
    numbers, in_domain, reasons = predictor.predict_arrays(items)
    finite = numbers.astype(object)
    finite[~np.isfinite(numbers)] = None
    columns = zip(items, *finite, in_domain.tolist(), reasons, strict=True)
    rows = [dict(zip(FIELDS, row, strict=True)) for row in columns]
    bad, inside = sum(row["value"] is None for row in rows), int(in_domain.sum())
    return Part(json.dumps(rows, allow_nan=False).encode(), inside, len(rows) - inside - bad, bad)
