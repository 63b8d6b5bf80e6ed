"""The door of featurization: from a snapshot to a standardised matrix of named features."""

import logging

from tasks.dashboard import progress_artifact, show_table
from tasks.featurize.matrix import Table, featurize_rows, load
from tasks.handles import FORMULAS, PORPHYRINS, Features, Snapshot, fingerprint
from tasks.recipe import FeatureSpec
from tasks.stage import stage
from tasks.store import Store, connect
from tasks.tables import from_parquet

__all__ = ["Table", "featurize", "load"]

log = logging.getLogger(__name__)


@stage(task_run_name="featurize {snapshot}")
def featurize(snapshot: Snapshot, features: FeatureSpec, *, extensive: bool, scale: Features | None = None) -> Features:
    """Compute the features of a snapshot, in the columns and units of `scale`; without it they are fitted here."""
    store = connect()
    inputs = (snapshot, features, extensive, scale)
    modules = (*FORMULAS, *PORPHYRINS)
    handle = Features(
        fingerprint("tasks.featurize", *inputs, libraries=("ase", "chemicals", "numpy", "rdkit"), modules=modules)
    )
    with progress_artifact("featurize"):
        store.once(handle, lambda: featurize_rows(store, snapshot, features, scale, extensive=extensive))
    _show(store, handle)
    return handle


def _show(store: Store, handle: Features) -> None:
    """Show the rows whose features could not be computed, if there are any, on the dashboard."""
    rejected = from_parquet(store.read(handle, "rejected.parquet"))
    if len(rejected):
        said = f"rows without features: {len(rejected):,}, with their reasons in `rejected.parquet` of `{handle}`"
        log.warning("%s", said.replace("`", ""))
        first = [dict(row) for _, row in rejected.head(20).iterrows()]
        show_table(f"rejected {handle.fingerprint}", first, f"{said}; the first {len(first)}.")
