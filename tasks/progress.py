"""Progress of long work: rooms report it, and whoever shows it listens; neither knows the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a piece of work has come.

    Attributes:
        label: what is being done, "curate molecules" say.
        done: how much of it is done, in the work's own measure: rows, epochs, fits.
        total: how much there is to do.
        note: what else to show, the present error of the network say.
    """

    label: str
    done: float
    total: float
    note: str = ""


Listener = Callable[[Progress], None]

# A context variable, not a global: tasks that run at the same time in threads must not hear each other.
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


def report(label: str, done: float, total: float, note: str = "") -> None:
    """Tell every listener of this context how far the work has come.

    Args:
        label: what is being done.
        done: how much of it is done.
        total: how much there is to do.
        note: what else to show.
    """
    for listener in _listeners.get():
        listener(Progress(label, done, total, note))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` hear all that is reported inside the `with` block, beside those that listen already.

    Args:
        listener: called in the thread that works, so it must be quick.
    """
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
