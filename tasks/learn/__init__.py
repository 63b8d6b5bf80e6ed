"""The door of learning: pretraining on the source, and the final fit on the target."""

from collections.abc import Sequence
from dataclasses import replace

from prefect import task

from tasks.dashboard import progress_artifact
from tasks.featurize import load
from tasks.handles import Checkpoint, Features, Model, fingerprint
from tasks.learn.domain import Domain, Near, contents, represent
from tasks.learn.fitted import Fitted, fit_additive
from tasks.learn.pretraining import pretrain_network
from tasks.learn.stacked import fit_weights
from tasks.learn.transfer import Choice, fit_choice
from tasks.recipe import Network, Pretraining, Transfer
from tasks.store import connect

__all__ = [
    "Choice",
    "Domain",
    "Fitted",
    "Near",
    "contents",
    "fit",
    "fit_additive",
    "fit_choice",
    "fit_weights",
    "pretrain",
    "represent",
]

Limits = tuple[float, float] | None

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
        weights, about = (store.read(checkpoint, name) for name in ("weights.safetensors", "model.json"))
        source = replace(Fitted.from_files(weights, about), limits=limits)
        return fit_choice(choice, source, load(store, target), plan, seed=0).files()

    return store.once(handle, make)
