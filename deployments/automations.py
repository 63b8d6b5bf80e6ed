"""What the server does by itself when something happens: to a run, or to the measurements of a recipe."""

from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags, FlowFilter, FlowFilterName
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.utilities.urls import url_for

from deployments.notices import addressee

OURS = "matlift: "  # begins the names of all automations that are here
SILENCE = timedelta(seconds=180)  # six heartbeats: a server that was away for two minutes lets its runs live


def crashed_runs() -> AutomationCore:
    """Return what marks a run as crashed whose process sends no heartbeats any more: it was killed with its worker."""
    return AutomationCore(
        name=f"{OURS}runs that died",
        description="A run without heartbeats is dead, with its worker, and gives up its place in the queue. "
        "`prefect flow-run retry ID` goes on after its last finished stage.",
        trigger=EventTrigger(
            match=ResourceSpecification.model_validate({"prefect.resource.id": ["prefect.flow-run.*"]}),
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat"}
            | {f"prefect.flow-run.{end}" for end in ("Completed", "Failed", "Cancelled", "Crashed", "AwaitingRetry")},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"No sign of life for {SILENCE.seconds} s: its process or its machine is gone. "
                "`prefect flow-run retry` goes on after the last finished stage.",
                force=False,
            )
        ],
    )


def landed(watch: DeploymentResponse) -> AutomationCore:
    """Return what looks for new measurements as soon as somebody says that some have landed for a recipe.

    Anybody may say so who can reach the server: a bucket's notifications, an instrument, a script. Said twice, or of
    nothing new, it starts no training: the watch decides.
    """
    recipe = watch.name
    return AutomationCore(
        name=f"{OURS}measurements for {recipe}",
        description=f"The event matlift.landed of matlift.recipe.{recipe} makes the watch look at once.",
        trigger=EventTrigger(
            match=ResourceSpecification.model_validate({"prefect.resource.id": f"matlift.recipe.{recipe}"}),
            expect={"matlift.landed"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[RunDeployment(source="selected", deployment_id=watch.id, parameters=None, job_variables=None)],
    )


def failures(flow: str, block: UUID, *, times: int) -> AutomationCore:
    """Return what tells people of runs of a flow that fail.

    Args:
        flow: its name.
        block: through which they are told.
        times: how often one deployment must fail within a quarter of an hour: a look is soon followed by another.
    """
    run = "{{ flow_run.id }}"
    body = (
        "{{ flow_run.state.message }}\n"
        f"{url_for('flow-run', obj_id=run)}\n"  # the server itself need not know where people find it
        f"What was finished is kept: `prefect flow-run retry {run}` goes on there."
    )
    subject = "{{ flow.name }} {{ flow_run.name }}: {{ flow_run.state.name }}"
    return AutomationCore(
        name=f"{OURS}failures of {flow}",
        description="Tells whom MATLIFT_NOTIFY names.",
        trigger=EventTrigger(
            match=ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=[
                {"prefect.resource.role": "flow", "prefect.resource.name": flow},
                {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.matlift"},
            ],
            expect={f"prefect.flow-run.{end}" for end in ("Failed", "Crashed", "TimedOut")},
            for_each={"related:deployment:prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=times,
            within=timedelta(minutes=15) if times > 1 else timedelta(0),
        ),
        actions=[SendNotification(block_document_id=block, subject=subject, body=body)],
    )


def apply_automations() -> list[str]:
    """Put the automations on the server, over those of the same names, and remove ours of old; return their names.

    Raises:
        MatliftError: MATLIFT_NOTIFY is wrong.
    """
    with get_client(sync_client=True) as server:
        ours = DeploymentFilter(tags=DeploymentFilterTags(all_=["matlift"]))
        watch = FlowFilter(name=FlowFilterName(any_=["watch"]))
        watches = server.read_deployments(flow_filter=watch, deployment_filter=ours)
        block = addressee(server)
        told = [failures("retrain", block, times=1), failures("watch", block, times=3)] if block else []
        every = [crashed_runs(), *map(landed, watches), *told]
        known = {found.name: found.id for found in server.read_automations() if found.name.startswith(OURS)}
        for automation in every:
            if automation.name in known:
                server.update_automation(known.pop(automation.name), automation)
            else:
                server.create_automation(automation)
        for number in known.values():
            server.delete_automation(number)
    return [automation.name for automation in every]
