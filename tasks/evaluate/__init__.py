"""The door of evaluation: every method on the same held-out rows."""

import json

from prefect import task

from tasks.dashboard import progress_artifact
from tasks.evaluate.files import compare
from tasks.handles import Checkpoint, Comparison, Features, fingerprint
from tasks.learn import Choice, Limits
from tasks.recipe import Evaluation, Transfer
from tasks.store import connect

__all__ = ["best", "evaluate"]


@task(task_run_name="compare methods on {target}")
def evaluate(
    checkpoint: Checkpoint, target: Features, transfer: Transfer, evaluation: Evaluation, limits: Limits
) -> Comparison:
    """Compare the methods that use the source with scratch and baselines: nested choice, learning curve, intervals."""
    store = connect()
    inputs = (checkpoint, target, transfer, evaluation, limits)
    handle = Comparison(fingerprint("tasks.evaluate", *inputs, libraries=("torch", "numpy", "scikit-learn", "scipy")))
    with progress_artifact("compare"):
        return store.once(handle, lambda: compare(store, *inputs))


def best(comparison: Comparison) -> Choice:
    """Return the choice that the comparison made inside the training folds."""
    chosen = json.loads(connect().read(comparison, "metrics.json"))["best"]
    parts = tuple((Choice(part["method"], part["frozen"]), part["weight"]) for part in chosen["parts"])
    return Choice(chosen["method"], chosen["frozen"], parts)
