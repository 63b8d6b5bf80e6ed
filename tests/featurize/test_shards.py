"""Features are computed once for each item, wherever the work is done, and one bad item stops no other."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from snapshots import snapshot

from tasks.errors import MatliftError
from tasks.featurize import featurize, shards
from tasks.featurize.matrix import featurize_rows
from tasks.handles import Features, Snapshot
from tasks.parallel import cores
from tasks.progress import Progress, listening
from tasks.recipe import Estate
from tasks.store import Store
from tasks.tables import from_parquet, to_parquet

ALKANES = tuple("C" * length for length in range(1, 61))
ALCOHOLS = tuple(alkane + "O" for alkane in ALKANES[:10])
KIND = Estate(kind="estate", topology=True)


EVERY = os.sched_getaffinity(0)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small parts, and no other processes but where they are what is tested: each takes seconds to start."""
    monkeypatch.setattr(shards, "PART", 10)
    monkeypatch.setattr(shards, "BATCH", 4)
    os.sched_setaffinity(0, {min(EVERY)})
    yield
    os.sched_setaffinity(0, EVERY)


def files(store: Store, handle: Snapshot, kind: Estate = KIND) -> dict[str, bytes]:
    return featurize_rows(store, handle, kind, None, extensive=True)


def computed(store: Store, handle: Snapshot, kind: Estate = KIND) -> list[float]:
    """How many items are computed, as the progress tells."""
    heard: list[Progress] = []
    with listening(heard.append):
        files(store, handle, kind)
    return [progress.total for progress in heard if progress.done == progress.total]


def kept(store: Store) -> int:
    """How many items the store keeps."""
    digests = [store.files.get(f"{path}/digests") for path in store.list("parts")]
    return sum(len(held or b"") // shards.DIGEST for held in digests)


def elsewhere(store: Store, name: str) -> Store:
    """A store that keeps nothing yet."""
    return Store(f"{store.url}/{name}")


@pytest.mark.skipif(len(EVERY) < 2, reason="needs two cores")
def test_processes_and_a_dask_cluster_make_the_same_bytes(
    store: Store, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, dask = (elsewhere(store, name) for name in ("one", "two", "dask"))
    assert cores() == 1
    expected = files(one, snapshot(one, ALKANES, "alkanes"))
    os.sched_setaffinity(0, EVERY)
    assert files(two, snapshot(two, ALKANES, "alkanes")) == expected
    monkeypatch.setenv("MATLIFT_DASK", scheduler)
    assert files(dask, snapshot(dask, ALKANES, "alkanes")) == expected
    assert kept(one) == kept(two) == kept(dask) == 60


def test_only_new_rows_are_computed_and_the_result_is_as_without_the_store(store: Store) -> None:
    assert computed(store, snapshot(store, ALKANES[:30], "few")) == [30]
    mixed = [molecule for pair in zip(ALCOHOLS, ALKANES[20:30], strict=True) for molecule in pair]
    more = snapshot(store, mixed, "more")
    assert computed(store, more) == [10]
    assert kept(store) == 40
    assert computed(store, more) == [0]
    fresh = elsewhere(store, "fresh")
    assert files(store, more) == files(fresh, snapshot(fresh, mixed, "more"))


def test_other_parameters_compute_anew(store: Store) -> None:
    handle = snapshot(store, ALCOHOLS, "alcohols")
    assert computed(store, handle) == [10]
    assert computed(store, handle, Estate(kind="estate", topology=False)) == [10]
    assert kept(store) == 20


def test_a_killed_run_goes_on_where_it_stopped(store: Store) -> None:
    handle = snapshot(store, ALKANES, "alkanes")
    script = f"""
import os, signal
from tasks.featurize import featurize, shards
from tasks.featurize.matrix import featurize_rows
from tasks.handles import Features, Snapshot
from tasks.recipe import Estate
from tasks.store import Store, connect
shards.PART = 10
write = Store.write
def fatal(self, *arguments):
    write(self, *arguments)
    if len(self.list("parts")) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
Store.write = fatal
featurize_rows(connect(), Snapshot("{handle.fingerprint}"), Estate(kind="estate", topology=True), None, extensive=True)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert kept(store) == 40
    assert computed(store, handle) == [20]
    fresh = elsewhere(store, "fresh")
    assert files(store, handle) == files(fresh, snapshot(fresh, ALKANES, "alkanes"))


def test_runs_at_the_same_time_do_not_harm_each_other(store: Store) -> None:
    handle = snapshot(store, ALCOHOLS, "alcohols")
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: files(Store(store.url), handle), range(2))
    assert one == other
    assert kept(store) == 10


def with_bad(store: Store, name: str, *bad: str) -> Snapshot:
    """Alkanes, and between them what has no features, which gets a formula all the same."""
    good = snapshot(store, ALKANES[:7] + ("CC",) * len(bad), f"good-{name}")
    rows = from_parquet(store.read(good, "rows.parquet"))
    rows.loc[7:, "smiles"] = bad
    handle = Snapshot(name)
    changed = to_parquet(rows.iloc[::-1], {"value": "kJ/mol"})
    store.write(handle, {"rows.parquet": changed, "report.json": store.read(good, "report.json")}, 0)
    return handle


def test_a_bad_row_is_rejected_with_its_reason_and_all_others_are_kept(store: Store) -> None:
    found = files(store, with_bad(store, "bad", "CC(", "C[N](C)(C)(C)C"))
    rejected, rows = (from_parquet(found[name]) for name in ("rejected.parquet", "rows.parquet"))
    assert rejected[["record", "item"]].to_numpy().tolist() == [["good-bad:8", "C[N](C)(C)(C)C"], ["good-bad:7", "CC("]]
    assert rejected["reason"].str.endswith("cannot be read as a molecule (SMILES)").all()
    assert rows["record"].tolist() == [f"good-bad:{place}" for place in reversed(range(7))]
    assert len(from_parquet(found["matrix.parquet"])) == 7
    without = files(store, with_bad(store, "none"))
    assert without["matrix.parquet"] == found["matrix.parquet"]


def test_the_log_counts_the_rejected_rows(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        handle = featurize.fn(with_bad(store, "bad", "CC(", "CC("), KIND, extensive=True)
    assert f"rows without features: 2, with their reasons in rejected.parquet of {handle}" in caplog.text


def test_a_table_of_bad_rows_is_refused(store: Store) -> None:
    handle = with_bad(store, "bad", "CC(")
    rows = from_parquet(store.read(handle, "rows.parquet"))
    content = to_parquet(rows[rows["smiles"] == "CC("], {"value": "kJ/mol"})
    store.write(Snapshot("worse"), {"rows.parquet": content, "report.json": store.read(handle, "report.json")}, 0)
    with pytest.raises(MatliftError, match="no row of snapshots/worse has features; of the first one, “CC"):
        files(store, Snapshot("worse"))


def test_a_row_with_an_element_that_the_source_lacks_is_rejected(store: Store) -> None:
    source = Features("source")
    store.write(source, files(store, snapshot(store, ALKANES[:5], "source")), 0)
    target = snapshot(store, ["CCC", "CCO", "CC"], "target")
    found = featurize_rows(store, target, KIND, source, extensive=True)
    rejected = from_parquet(found["rejected.parquet"]).to_numpy().tolist()
    why = "C2H6O has O, which no row of the source has: take it out, or add some to the source"
    assert rejected == [["target:1", "CCO", why]]
    assert from_parquet(found["rows.parquet"])["atoms_C"].tolist() == [3, 2]


def reciprocals(items: Sequence[str]) -> np.ndarray:
    numbers = np.array([[float(item)] for item in items])
    with np.errstate(divide="ignore"):
        return 1 / numbers


def test_attempts_name_each_item_that_fails() -> None:
    rows, reasons = shards.attempts(partial(reciprocals), ["1", "2", "4", "5", "1", "x", "0", "4"])
    assert rows.tolist() == [[1], [0.5], [0.25], [0.2], [1], [0.25]]
    assert reasons == [
        *5 * [None],
        "its features cannot be computed: could not convert string to float: 'x'",
        "one of its features is not a finite number",
        None,
    ]


def test_the_name_of_kept_features_covers_all_code_that_makes_them() -> None:
    """What raises errors and what validates recipes aside, which make no number."""
    imports = re.compile(r"^from (tasks[.\w]*) import", re.MULTILINE)
    files = [importlib.util.find_spec(module) for module in shards.MOLECULES]
    used = {name for file in files if file and file.origin for name in imports.findall(Path(file.origin).read_text())}
    assert used - {"tasks.errors", "tasks.recipe"} <= set(shards.MOLECULES)
    assert "tasks.featurize.graphs" in used
