"""Curate: keep the rows that can be trusted, and say of every other one why not."""

import json
import logging

from tasks.curate.rows import curate_file
from tasks.dashboard import progress_artifact, show_table
from tasks.handles import FORMULAS, PORPHYRINS, Raw, Snapshot, fingerprint
from tasks.recipe import Estate, FeatureSpec, Rules, Statistics
from tasks.stage import stage
from tasks.store import Store, connect

__all__ = ["curate", "curated"]

log = logging.getLogger(__name__)


@stage(task_run_name="curate {raw}")
def curate(raw: Raw, rules: Rules, features: FeatureSpec, within: Snapshot | None = None) -> Snapshot:
    """Put the accepted rows of a table, the rejected ones with their reasons, and their counts into the store.

    Args:
        raw: the table.
        rules: what its rows must satisfy.
        features: what will be computed of them: those of compositions know a list of elements; no other may occur.
        within: the source's snapshot, if this is the target: no element may occur that its accepted rows never have,
            unless the features are statistics, which describe such elements.

    Raises:
        MatliftError: the store or a file in it cannot be used.
    """
    store = connect()
    within = _bounds(features, within)
    handle = _named(raw, rules, features, within)
    elements = _known(features) if within is None else _elements(store, within)
    with progress_artifact(f"curate {raw}"):
        store.once(handle, lambda: curate_file(store.read(raw, "rows.parquet"), rules, elements))
    _show(store, handle)
    return handle


def curated(raw: Raw, rules: Rules, features: FeatureSpec, within: Snapshot | None = None) -> Snapshot | None:
    """Return what `curate` gives if it is in the store; nothing is made."""
    handle = _named(raw, rules, features, _bounds(features, within))
    return handle if connect().holds(handle) else None


def _named(raw: Raw, rules: Rules, features: FeatureSpec, within: Snapshot | None) -> Snapshot:
    """Return the object that is made of these."""
    inputs = (raw, rules, _known(features), within)
    dyes = rules.of == "dyes"
    libraries = ("rdkit", "openbabel-wheel") if dyes else ("rdkit",)
    modules = (*FORMULAS, *PORPHYRINS) if dyes else FORMULAS
    return Snapshot(fingerprint("tasks.curate", *inputs, libraries=libraries, modules=modules))


def _bounds(features: FeatureSpec, source: Snapshot | None) -> Snapshot | None:
    """Return the source if the target may have its elements alone."""
    return None if isinstance(features, Statistics) else source


def _known(features: FeatureSpec) -> list[str] | None:
    """Return the only elements that the features know; None if they know all."""
    return None if isinstance(features, Estate) else list(features.elements)


def _elements(store: Store, source: Snapshot) -> list[str]:
    """Return the elements that the source has."""
    elements: list[str] = json.loads(store.read(source, "report.json"))["elements"]
    return elements


def _show(store: Store, handle: Snapshot) -> None:
    """Show how many rows were accepted and rejected, and why, on the dashboard."""
    report = json.loads(store.read(handle, "report.json"))
    counts = {"accepted": report["accepted"], **report["rejected"]}
    log.info("%s", ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()))
    rows = [{"outcome": outcome, "rows": count} for outcome, count in counts.items()]
    show_table(f"curation {handle.fingerprint}", rows, f"The {report['rows']:,} rows of `{handle}` by outcome.")
