"""Runs whose worker is gone: their processes are ended, and trainings go on after their last finished stage."""

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from deployments.deploy import TRAININGS
from deployments.server import POOL, client

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

TRIES = 3  # of a training whose process is killed each time: it may be what kills the machine


def end_processes() -> None:
    """Kill the processes of all runs of this machine that are not at their end, where no worker is left to do it."""
    with client() as server:
        for run in _unfinished(server):
            _kill(run)


def recover() -> list[str]:
    """Put an end to runs that no worker looks after any more, and let trainings go on where they were; say which.

    Only where the one worker of the pool does not run: nobody else can be at work on them.
    """
    from prefect.states import Cancelled, Crashed, Scheduled  # noqa: PLC0415 -- Prefect takes seconds to load

    said = []
    with client() as server:
        for run in _unfinished(server):
            _kill(run)
            if run.state and run.state.is_cancelling():
                server.set_flow_run_state(run.id, Cancelled(message="Its worker was gone"))
                continue
            server.set_flow_run_state(run.id, Crashed(message="Its worker was killed, or the stack was stopped"))
            if run.work_queue_name == TRAININGS and run.run_count <= TRIES:
                again: State[Any] = Scheduled(message="It goes on after its last finished stage")
                server.set_flow_run_state(run.id, again, force=True)
                said.append(f"{run.name} goes on after its last finished stage")
    return said


def _unfinished(server: "SyncPrefectClient") -> "list[FlowRun]":
    """Return the runs that have been given to a worker and have not ended."""
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter, WorkPoolFilterName  # noqa: PLC0415

    states = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}})
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    return server.read_flow_runs(flow_run_filter=states, work_pool_filter=pool)


def _kill(run: "FlowRun") -> None:
    """Kill the process of a run and those that it has started: it leads a session of its own, and outlives its worker.

    Its number may have been given to another program meanwhile, which is left alone.
    """
    process = (run.infrastructure_pid or "").rpartition(":")[2]
    if not process.isdecimal():  # it has not been started yet
        return
    command = subprocess.run(["ps", "-o", "command=", "-p", process], capture_output=True, text=True, check=False)  # noqa: S607
    if "prefect" in command.stdout:
        with suppress(ProcessLookupError):
            os.killpg(int(process), signal.SIGKILL)
