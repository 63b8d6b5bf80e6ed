"""The programs that a stack is made of: started with a log and a lock, found again, and ended with all they started."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 15


class Child:
    """A program that runs in a session of its own, so that Ctrl-C at the terminal does not reach it.

    It holds a lock for as long as it lives, so that one whose parent was killed is known for certain.

    Attributes:
        name: what it is called; its files in the folder are NAME.log, NAME.lock and NAME.pid.
        log: what it says.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._environment = environment
        self._lock = folder / f"{name}.lock"
        self._pid = folder / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, after the end of one that is left from before."""
        self.stop()
        with self._lock.open("ab") as lock, self.log.open("wb") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,
            )
            self._pid.write_text(str(self._process.pid))

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and not self._ended(self._process.pid)

    def stop(self) -> None:
        """End it, and whatever is left of what it started; the same of one from before, whose parent was killed."""
        if self._process is not None:
            leader = self._process.pid
            self._end(leader, lambda: self._ended(leader))
            self._process.wait()  # only now may another process get its number
            self._process = None
        elif self._held():
            self._end(int(self._pid.read_text()), lambda: not self._held())

    def _end(self, leader: int, gone: Callable[[], bool]) -> None:
        """Ask the leader of a session to end, wait until it has, and kill what is left."""
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while not gone() and time.monotonic() < deadline:
            time.sleep(0.05)
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)

    def _ended(self, leader: int) -> bool:
        """Tell whether a child of ours has ended; it keeps its number until it is waited for."""
        return os.waitid(os.P_PID, leader, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def gist(self) -> str:
        """Return the last line that it said."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        telling = [line.strip() for line in lines if line.strip()]
        return telling[-1][:300] if telling else "nothing"

    def _held(self) -> bool:
        """Tell whether it, of this start or an earlier one, holds its lock."""
        with self._lock.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False
