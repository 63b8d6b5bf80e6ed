"""What the server does by itself when something happens to a run."""

from datetime import timedelta
from typing import cast

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

SILENCE = timedelta(seconds=180)  # six heartbeats: a server that was away for two minutes lets its runs live


def crashed_runs() -> Automation:
    """Return what marks a run as crashed whose process sends no heartbeats any more: it was killed with its worker."""
    return Automation(
        name="matlift: runs that died",
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


def apply_automations() -> list[str]:
    """Create the automations on the server, or bring those of the same names up to date; return their names."""
    every = [crashed_runs()]
    for automation in every:
        try:
            automation.id = cast("Automation", Automation.read(name=automation.name)).id  # async in async code alone
        except ValueError:  # there is none of that name yet
            automation.create()
        else:
            automation.update()
    return [automation.name for automation in every]
