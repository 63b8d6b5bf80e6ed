"""The door of learning: pretraining on the source, and the final fit on the target."""

from collections.abc import Sequence

from prefect import task

from tasks.dashboard import progress_artifact
from tasks.featurize import load
from tasks.handles import Checkpoint, Features, Model, fingerprint
from tasks.learn.domain import Domain, Near, contents, represent
from tasks.learn.fitted import Fitted, fit_additive
from tasks.learn.pretraining import pretrain_network
from tasks.learn.transfer import Choice, fit_choice
from tasks.recipe import Network, Pretraining, Transfer
from tasks.store import Store, connect

__all__ = [
    "Choice",
    "Domain",
    "Fitted",
    "Near",
    "contents",
    "fit",
    "fit_additive",
    "fit_choice",
    "fitted",
    "pretrain",
    "represent",
]

LIBRARIES = ("torch", "numpy", "scikit-learn")


@task(task_run_name="pretrain on {source}")
def pretrain(
    source: Features, network: Network, plan: Pretraining, unit: str, auxiliary: Sequence[Features] = ()
) -> Checkpoint:
    """Train the network on the source, and its trunk on other tables, unless the store holds the same training."""
    store = connect()
    handle = Checkpoint(fingerprint("tasks.learn", "pretrain", source, network, plan, *auxiliary, libraries=LIBRARIES))

    def make() -> dict[str, bytes]:
        return pretrain_network(load(store, source), network, plan, unit, [load(store, one) for one in auxiliary])

    with progress_artifact("pretrain"):
        return store.once(handle, make)


@task(task_run_name="fit {choice.method}")
def fit(checkpoint: Checkpoint, target: Features, choice: Choice, plan: Transfer) -> Model:
    """Fit the chosen method on the whole target: the model that is published."""
    store = connect()
    handle = Model(fingerprint("tasks.learn", "fit", checkpoint, target, choice, plan, libraries=LIBRARIES))
    return store.once(
        handle, lambda: fit_choice(choice, fitted(store, checkpoint), load(store, target), plan, seed=0).files()
    )


def fitted(store: Store, handle: Checkpoint | Model) -> Fitted:
    """Load a fitted model from the store."""
    return Fitted.from_files(store.read(handle, "weights.safetensors"), store.read(handle, "model.json"))
