"""The door of promotion: a bundle takes over only if it is better, and the decision is published."""

import logging

from prefect import task

from tasks.dashboard import show_markdown
from tasks.handles import Bundle
from tasks.promote.account import account, headline
from tasks.promote.champion import Outcome, challenge
from tasks.recipe import Gate
from tasks.store import connect

__all__ = ["promote"]

log = logging.getLogger(__name__)


@task(task_run_name="promote {bundle.recipe}")
def promote(bundle: Bundle, gate: Gate) -> Outcome:
    """Make a bundle its recipe's champion if the gate lets it, and show the decision on the dashboard."""
    outcome = challenge(connect(), bundle, gate.confidence)
    if outcome.decision is None:
        log.info("%s is the champion already", bundle)
    else:
        log.info(headline(outcome.decision))
        show_markdown(f"promotion {bundle.recipe}", account(outcome.decision), headline(outcome.decision))
    return outcome
