"""Porphyrin dyes by their atoms: the free base of each, or why it is none to learn from."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tasks.curate.identity import Identity
from tasks.errors import MatliftError

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("perceive.py")

LIMIT = 20.0  # seconds for one dye, which takes about 0.02
START = 120.0  # seconds for the program to start, which takes about 1


def describe(records: Sequence[tuple[str | None, str | None]]) -> list[Identity]:
    """Return the dye of each record: the graph of its free base, its metal's place taken by two hydrogens.

    Bonds are perceived in a process that is killed if it hangs: its dye is rejected, and a new process takes the next.

    Args:
        records: xyz text (Å) and labels (a JSON object of text). Rows of the same free base are near-copies; the same
            free base under the same labels is the same dye.

    Raises:
        MatliftError: the process does not start.
    """
    with _Perceiver() as perceiver:
        return [_describe(perceiver, xyz, labels) for xyz, labels in records]


def _describe(perceiver: "_Perceiver", xyz: str | None, labels: str | None) -> Identity:
    """Return the dye of one record."""
    if not xyz:
        return Identity(reason="no positions", detail="No table gives its atoms with their positions.")
    found = perceiver.ask(xyz)
    if "reason" in found:
        return Identity(**found)
    said = json.dumps(json.loads(labels or "{}"), sort_keys=True, ensure_ascii=False)
    dye = f"{found['key']} {said}"
    return Identity(dye, dye, **found)


class _Perceiver:
    """The process that perceives bonds; started at the first question, and again after one that it did not survive."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def ask(self, xyz: str) -> dict[str, Any]:
        """Return what the atoms are, or a reason why that is not known."""
        process = self._process or self._start()
        assert process.stdin  # noqa: S101 -- for mypy: it is a pipe
        try:
            process.stdin.write(json.dumps(xyz).encode() + b"\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(_line(process, LIMIT))
        except TimeoutError:
            self._stop()
            return {"reason": "perception hangs", "detail": f"Its bonds were not perceived within {LIMIT:g} s."}
        except (EOFError, BrokenPipeError):
            self._stop()
            return {"reason": "perception crashes", "detail": "The program that perceives its bonds crashed on it."}
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the process and wait until it is ready."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM)],  # -P: the modules beside the program are not to be imported as such
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            _line(self._process, START)
        except (EOFError, TimeoutError) as error:
            self._stop()
            raise MatliftError(
                f"the program that perceives bonds does not start: run `{sys.executable} -P {PROGRAM}` with "
                f"PYTHONPATH={ROOT} to see why"
            ) from error
        return self._process

    def _stop(self) -> None:
        """Kill the process, if there is one."""
        if self._process is None:
            return
        self._process.kill()
        with suppress(BrokenPipeError):  # what it had not read
            self._process.communicate()
        self._process = None


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Return the next line that a process writes.

    Raises:
        TimeoutError: it took too long.
        EOFError: the process ended.
    """
    assert process.stdout  # noqa: S101 -- for mypy: it is a pipe
    end = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(process.stdout.fileno(), 1 << 16)
        if not part:
            raise EOFError
        line += part
    return line
