"""What is up, and what each deployment did last, as two tables on the terminal."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from deployments.local import running
from deployments.server import POOL, address, client

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

BEGUN = ["PENDING", "RUNNING", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED", "PAUSED"]


def show() -> None:
    """Show the parts of the stack, and the deployments with their last and next runs.

    Raises:
        MatliftError: no server is up.
    """
    console = Console(highlight=False)
    with client() as server:
        console.print(_parts(server))
        console.print(_deployments(server))


def _parts(server: "SyncPrefectClient") -> Table:
    """Return the table of the parts."""
    table = Table("part", "state", "where", title="Stack", title_justify="left")
    stack = running()
    table.add_row("server", f"up, Prefect {server.api_version()}", stack.dashboard if stack else address())
    if stack:
        table.add_row("store", "up", f"{stack.store} at {stack.endpoint}")
        table.add_row("page", "up", stack.page)
    for worker in server.read_workers_for_work_pool(POOL):
        heard = f", heard of {_ago(worker.last_heartbeat_time)}" if worker.last_heartbeat_time else ""
        table.add_row("worker", f"{worker.status.value.lower() if worker.status else 'unknown'}{heard}", worker.name)
    for queue in server.read_work_queues(work_pool_name=POOL):
        limit = f", {queue.concurrency_limit} at once" if queue.concurrency_limit else ""
        table.add_row("queue", f"{'paused' if queue.is_paused else 'open'}{limit}", f"{POOL}/{queue.name}")
    return table


def _deployments(server: "SyncPrefectClient") -> Table:
    """Return the table of the deployments."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags  # noqa: PLC0415

    columns = ("deployment", "last run", "began", "took", "next run")
    table = Table(*columns, title="Deployments", title_justify="left")
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[POOL]))
    flows = {flow.id: flow.name for flow in server.read_flows(deployment_filter=ours)}
    for deployment in server.read_deployments(deployment_filter=ours):
        last = _run(server, deployment.id, BEGUN, "EXPECTED_START_TIME_DESC")
        coming = _run(server, deployment.id, ["SCHEDULED"], "NEXT_SCHEDULED_START_TIME_ASC")
        table.add_row(f"{flows[deployment.flow_id]}/{deployment.name}", *_told(last), _when(coming))
    return table


def _run(server: "SyncPrefectClient", deployment: Any, states: list[str], order: str) -> "FlowRun | None":
    """Return a deployment's first run in one of these states, in this order."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter  # noqa: PLC0415
    from prefect.client.schemas.sorting import FlowRunSort  # noqa: PLC0415

    runs = server.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": states}}}),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        sort=FlowRunSort(order),
        limit=1,
    )
    return runs[0] if runs else None


def _told(run: "FlowRun | None") -> tuple[str, str, str]:
    """Return how a run ended, when it began, and how long it took."""
    if run is None:
        return "none yet", "", ""
    began = _ago(run.start_time) if run.start_time else ""
    took = f"{run.total_run_time.total_seconds():.0f} s" if run.start_time else ""
    return f"{run.state_name}", began, took


def _when(run: "FlowRun | None") -> str:
    """Return when a run is due."""
    due = run.next_scheduled_start_time if run else None
    if due is None:
        return "no schedule"
    late = "waiting since " if due < datetime.now(UTC) else ""
    return f"{late}{due.astimezone():%a %H:%M}"


def _ago(then: datetime) -> str:
    """Return how long ago something was."""
    seconds = (datetime.now(UTC) - then).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
