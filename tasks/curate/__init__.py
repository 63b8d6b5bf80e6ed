"""Curate: keep the rows that can be trusted, and say of every other one why not."""

import json
import logging

from prefect import task

from tasks.curate.molecules import curate_file
from tasks.curate.structure import element_counts
from tasks.dashboard import progress_artifact, show_table
from tasks.handles import Raw, Snapshot, fingerprint
from tasks.recipe import Rules
from tasks.store import Store, connect

__all__ = ["curate", "element_counts"]

log = logging.getLogger(__name__)


@task(task_run_name="curate {raw}")
def curate(raw: Raw, rules: Rules, within: Snapshot | None = None) -> Snapshot:
    """Put the accepted rows of a table, the rejected ones with their reasons, and their counts into the store.

    Args:
        raw: the table.
        rules: what its rows must satisfy.
        within: the source's snapshot, if this is the target: no element may occur that its accepted rows never have.

    Raises:
        MatliftError: the store or a file in it cannot be used.
    """
    store = connect()
    handle = Snapshot(fingerprint("tasks.curate", raw, rules, within, libraries=("rdkit",)))
    with progress_artifact(f"curate {raw}"):
        store.once(handle, lambda: curate_file(store.read(raw, "rows.parquet"), rules, _elements(store, within)))
    _show(store, handle)
    return handle


def _elements(store: Store, within: Snapshot | None) -> list[str] | None:
    """Return the elements that the source has; None allows all."""
    if within is None:
        return None
    elements: list[str] = json.loads(store.read(within, "report.json"))["elements"]
    return elements


def _show(store: Store, handle: Snapshot) -> None:
    """Show how many rows were accepted and rejected, and why, on the dashboard."""
    report = json.loads(store.read(handle, "report.json"))
    counts = {"accepted": report["accepted"], **report["rejected"]}
    log.info("%s", ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()))
    rows = [{"outcome": outcome, "rows": count} for outcome, count in counts.items()]
    show_table(f"curation {handle.fingerprint}", rows, f"The {report['rows']:,} rows of `{handle}` by outcome.")
