"""What `matlift prune` deletes and what it never does, on the real store; hypothesis tries the choice itself."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.cli import main
from tasks import retention
from tasks.handles import (
    Bundle,
    Candidates,
    Checkpoint,
    Comparison,
    Features,
    Handle,
    Landing,
    Lineage,
    Model,
    Part,
    Raw,
    Screening,
    Shard,
    Snapshot,
)
from tasks.publish.bundle import origins
from tasks.retention import MADE, YOUNG, Folder, chosen, prune, unneeded
from tasks.s3 import Entry
from tasks.store import Store

RECIPES = ("alloys", "dyes")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is young."""
    monkeypatch.setattr(retention, "YOUNG", -timedelta(days=1))


def fill(store: Store) -> dict[str, list[Bundle]]:
    """Publish five bundles of two recipes, which share the source; return them from the oldest to the newest."""
    numbers = count()

    def put(handle: type[Handle]) -> Handle:
        made = handle(f"{next(numbers):016x}")
        store.write(made, {"data": os.urandom(100)}, 0)
        return made

    source = [put(kind) for kind in (Raw, Snapshot, Features, Checkpoint)]
    published: dict[str, list[Bundle]] = {recipe: [] for recipe in RECIPES}
    for _ in range(5):
        for recipe in RECIPES:
            target = [put(kind) for kind in (Raw, Snapshot, Features)]
            lineage = Lineage(*(each for pair in zip(source, target, strict=False) for each in pair), source[3])
            comparison, model = put(Comparison), put(Model)
            bundle = Bundle(f"{next(numbers):016x}", recipe)
            named = json.dumps(origins(model, comparison, lineage)).encode()
            store.write(bundle, {"lineage.json": named, "weights": b"1"}, 0)
            store.point(f"bundles/{recipe}/latest.json", {"bundle": bundle.fingerprint, "path": bundle.path})
            published[recipe].append(bundle)
            store.write(Landing(f"{next(numbers):016x}", recipe), {"rows.parquet": b"rows"}, 0)
    store.files.replace("landing/alloys/inbox/new.csv", b"value\n1\n")
    return published


def made_from(store: Store, bundle: Bundle) -> set[str]:
    lineage = json.loads(store.read(bundle, "lineage.json"))
    return {bundle.path, *(path for paths in lineage.values() for path in paths)}


def read_all(store: Store, paths: set[str]) -> None:
    """Read every file of objects under the eyes of the store, which refuses those that are not whole."""
    handles = {handle.kind: handle for handle in MADE}
    for path in paths:
        kind, *owner, fingerprint = path.split("/")
        handle = handles[kind](fingerprint, *owner)
        for name in store.manifest(handle)["files"]:
            store.read(handle, name)


@pytest.mark.usefixtures("old")
def test_the_newest_bundles_and_the_champion_stay_with_all_they_were_made_from(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    published = fill(store)
    champion, before = published["dyes"][0], published["dyes"][1]
    store.point(
        "bundles/dyes/champion.json", {"bundle": champion.fingerprint, "history": [{"bundle": before.fingerprint}]}
    )
    store.point("bundles/alloys/latest.json", {"bundle": published["alloys"][1].fingerprint})
    everything, landings = set(store.list("")), set(store.list("landings"))
    stay = {*published["alloys"][3:], *published["dyes"][3:], champion, before, published["alloys"][1]}
    needed = set().union(*(made_from(store, bundle) for bundle in stay))

    command = ["prune", "--keep", "2", "--store", store.url]
    assert main([*command, "--dry-run"]) == 0
    assert set(store.list("")) == everything
    said = capsys.readouterr().out
    assert "would be freed; 7 bundles stay" in said
    assert main(command) == 0
    assert set(store.list("")) == needed | landings
    read_all(store, needed)
    assert store.files.get("landing/alloys/inbox/new.csv")
    assert capsys.readouterr().out == said.replace("would be freed", "freed")
    assert all(path.rpartition("/")[0] in needed | landings for path in store.files.find("models"))  # no file is left


def test_what_is_younger_than_a_day_stays(store: Store) -> None:
    store.write(Raw("1" * 16), {"rows.parquet": b"rows"}, 0)
    store.files.replace("models/0123456789abcdef/weights", b"being written")
    before = store.files.find("")
    assert prune(store, 1).freed == []
    assert store.files.find("") == before


@pytest.mark.usefixtures("old")
def test_what_the_watch_has_seen_and_what_is_not_ours_stays_and_what_a_dead_writer_left_goes(store: Store) -> None:
    waiting, unknown = Snapshot("a" * 16), "reports/0123456789abcdef/manifest.json"
    store.write(waiting, {"rows.parquet": b"rows"}, 0)
    store.point("watched/dyes.json", {"snapshot": waiting.path})
    store.files.replace(unknown, b"{}")
    store.files.replace("models/0123456789abcdef/weights", b"half")
    assert [folder.path for folder in prune(store, 1).freed] == ["models/0123456789abcdef"]
    assert store.holds(waiting)
    assert store.files.get(unknown)
    assert not store.files.find("models")


def test_old_shards_of_young_candidates_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "YOUNG", timedelta(seconds=2))
    named, other = Shard("1" * 16), Shard("2" * 16)
    for shard in (named, other):
        store.write(shard, {"items.parquet": b"rows"}, 0)
    time.sleep(2)
    store.write(Candidates("3" * 16), {"shards.json": json.dumps({"shards": [named.path]}).encode()}, 0)
    store.write(Screening("4" * 16), {"best.parquet": b"rows"}, 0)
    assert [folder.path for folder in prune(store, 1).freed] == [other.path]
    monkeypatch.setattr(retention, "YOUNG", -timedelta(days=1))
    assert [folder.kind for folder in prune(store, 1).freed] == ["candidates", "shards"]
    assert store.list("") == ["screenings/" + "4" * 16]


@pytest.mark.usefixtures("old")
def test_a_bundle_of_an_older_version_says_in_its_card_what_it_was_made_from(store: Store) -> None:
    named, other = Checkpoint("1" * 16), Checkpoint("2" * 16)
    for handle in (named, other):
        store.write(handle, {"weights": b"1"}, 0)
    store.write(Bundle("3" * 16, "dyes"), {"README.md": f"| checkpoint | `{named}` |".encode()}, 0)
    prune(store, 1)
    assert store.list("checkpoints") == [named.path]


def die_pruning(deletion: int) -> None:
    """Prune in another process, which is killed in the middle of a deletion: of manifests or of other files."""
    script = f"""
import os, signal
from datetime import timedelta
from itertools import count
from tasks import retention
from tasks.s3 import Prefix
from tasks.store import connect
remove, calls = Prefix.remove, count(1)
def fatal(self, paths):
    if next(calls) < {deletion}:
        return remove(self, paths)
    remove(self, paths[:len(paths) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
Prefix.remove = fatal
retention.YOUNG = -timedelta(days=1)
retention.prune(connect(), 2)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL


def test_a_prune_that_dies_leaves_every_kept_bundle_whole_and_no_object_half(store: Store) -> None:
    published = fill(store)
    kept = [bundle for recipe in RECIPES for bundle in published[recipe][3:]]
    before = set(store.list(""))
    for deletion in (1, 2):
        die_pruning(deletion)
        visible = {path for path in store.list("") if not path.startswith("landings/")}
        assert before - visible
        assert set().union(*(made_from(store, bundle) for bundle in kept)) <= visible
        read_all(store, visible)
        for path in store.list("bundles"):
            assert made_from(store, Bundle(path.rpartition("/")[2], path.split("/")[1])) <= visible


@pytest.mark.usefixtures("old")
def test_an_object_that_is_made_anew_while_it_goes_is_whole_or_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, files = Model("4" * 16), {"weights": b"the same", "kind": b"the same"}
    store.write(handle, files, 0)
    remove = store.files.remove

    def meanwhile(paths: list[str]) -> None:
        """Another run makes the object when its manifest has gone and its files have not."""
        if f"{handle.path}/weights" in paths:
            store.write(handle, files, 0)
        remove(paths)

    monkeypatch.setattr(store.files, "remove", meanwhile)
    prune(store, 1)
    assert not store.holds(handle)
    store.write(handle, files, 0)
    read_all(store, {handle.path})


ages = st.integers(0, 200)  # hours


@st.composite
def stores(draw: st.DrawFn) -> tuple[list[Folder], set[str]]:
    """Objects of all kinds, with and without a manifest, and some of the bundles."""
    folders = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(MADE), max_size=30))):
        owner = draw(st.sampled_from(RECIPES)) + "/" if kind in (Bundle, Part) else ""
        path = f"{kind.kind}/{owner}{number:016x}"
        names = draw(st.sets(st.sampled_from(["manifest.json", "a", "b"]), min_size=1))
        age = NOW - timedelta(hours=draw(ages))
        folders.append(Folder(path, {f"{path}/{name}": Entry(1, "", age) for name in names}))
    bundles = [folder.path for folder in folders if folder.kind == "bundles"]
    return folders, set(draw(st.lists(st.sampled_from(bundles), max_size=3))) if bundles else set()


@settings(max_examples=50, deadline=None)
@given(stores(), st.integers(1, 4), st.data())
def test_whatever_lies_in_the_store_what_is_kept_never_goes(
    held: tuple[list[Folder], set[str]], keep: int, data: st.DataObject
) -> None:
    folders, pointed = held
    young = NOW - YOUNG
    stay = chosen(folders, pointed, keep, young)
    every = [folder.path for folder in folders]
    needed = stay | set(data.draw(st.lists(st.sampled_from(every)))) if every else set()
    doomed = unneeded(folders, needed, young)
    gone = {folder.path for folder in doomed}

    assert not gone & needed
    assert all(folder.modified <= young for folder in doomed)
    for recipe in RECIPES:
        bundles = [folder for folder in folders if folder.path.startswith(f"bundles/{recipe}/") and folder.complete]
        left = [folder for folder in bundles if folder.path not in gone]
        for one in bundles:
            assert one in left or sum(other.modified >= one.modified for other in left) >= keep
    order = [[kind.kind for kind in MADE].index(folder.kind) for folder in doomed]
    assert order == sorted(order)  # no object goes before those that were made from it
    assert unneeded([folder for folder in folders if folder.path not in gone], needed, young) == []
