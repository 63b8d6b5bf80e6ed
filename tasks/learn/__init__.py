"""The door of learning: pretraining on the source, and the final fit on the target."""

from collections.abc import Sequence

from prefect import task

from tasks.dashboard import progress_artifact
from tasks.featurize import load
from tasks.handles import Checkpoint, Features, Model, fingerprint
from tasks.learn.domain import Domain, Near, contents, represent
from tasks.learn.fitted import Fitted, fit_additive
from tasks.learn.pretraining import pretrain_network
from tasks.learn.stacked import fit_weights, worth_a_fit
from tasks.learn.transfer import Choice, Limits, fit_choice, fit_files
from tasks.recipe import Network, Pretraining, Transfer
from tasks.store import connect

__all__ = [
    "Choice",
    "Domain",
    "Fitted",
    "Limits",
    "Near",
    "contents",
    "fit",
    "fit_additive",
    "fit_choice",
    "fit_weights",
    "pretrain",
    "represent",
    "worth_a_fit",
]

LIBRARIES = ("torch", "numpy", "scikit-learn", "scipy")


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
def fit(checkpoint: Checkpoint, target: Features, choice: Choice, plan: Transfer, limits: Limits) -> Model:
    """Fit the chosen method on the whole target: the model that is published, which predicts nothing beyond limits."""
    store = connect()
    handle = Model(fingerprint("tasks.learn", "fit", checkpoint, target, choice, plan, limits, libraries=LIBRARIES))

    def make() -> dict[str, bytes]:
        pretrained = {name: store.read(checkpoint, name) for name in ("weights.safetensors", "model.json")}
        return fit_files(choice, pretrained, load(store, target), plan, limits)

    return store.once(handle, make)
