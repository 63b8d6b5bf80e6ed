"""The door of featurization: from a snapshot to a standardised matrix of named features."""

from prefect import task

from tasks.dashboard import progress_artifact
from tasks.featurize.matrix import Table, featurize_rows, load
from tasks.handles import FORMULAS, PORPHYRINS, Features, Snapshot, fingerprint
from tasks.recipe import FeatureSpec
from tasks.store import connect

__all__ = ["Table", "featurize", "load"]


@task(task_run_name="featurize {snapshot}")
def featurize(snapshot: Snapshot, features: FeatureSpec, *, extensive: bool, scale: Features | None = None) -> Features:
    """Compute the features of a snapshot, in the columns and units of `scale`; without it they are fitted here."""
    store = connect()
    inputs = (snapshot, features, extensive, scale)
    modules = (*FORMULAS, *PORPHYRINS)
    handle = Features(
        fingerprint("tasks.featurize", *inputs, libraries=("ase", "chemicals", "numpy", "rdkit"), modules=modules)
    )
    with progress_artifact("featurize"):
        return store.once(handle, lambda: featurize_rows(store, snapshot, features, scale, extensive=extensive))
