"""The whole pipeline through its command line, on the real tables, the real store and real Prefect servers."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import tiny
from cores import one_core
from distributed import Client
from places import Ended, Files, Place, bundle, metrics, objects, refused
from safetensors.numpy import load

from tasks.publish import sentences
from tasks.publish.words import number

Places = Callable[[str], Place]

WITH_SOURCE = {"direct", "featurizer", "difference", "fine-tune", "stack", "transfer"}
METHODS = {*WITH_SOURCE, "scratch", "mean", "ridge", "boosted trees"}
BEFORE = {"raw": 2, "snapshots": 2, "features": 2, "checkpoints": 1}  # objects up to the pretraining
ALL = {**BEFORE, "comparisons": 1, "models": 1, "bundles": 1}
LATEST = "bundles/tiny/latest.json"


class Outcome(NamedTuple):
    """What a run said, and what is in the store after it."""

    place: Place
    ended: Ended
    files: Files


class Dashboard(NamedTuple):
    """What a Prefect server knows of a run."""

    run: dict[str, Any]
    tasks: list[dict[str, Any]]
    artifacts: list[dict[str, Any]]


def kinds(paths: set[str]) -> dict[str, int]:
    """Count objects by kind."""
    found = [path.partition("/")[0] for path in paths]
    return {kind: found.count(kind) for kind in found}


@pytest.fixture(scope="module")
def molecules(place: Places) -> Outcome:
    """A run of the shipped recipe, made cheap, with a Prefect server of its own."""
    here = place("molecules")
    return Outcome(here, here.run(), here.files())


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The recipe `tiny`, whose tables are not in the folder of a run."""
    tables = tmp_path_factory.mktemp("tables")
    tiny.write(tables)
    return tiny.recipe(tables)


@pytest.fixture(scope="module")
def killed(place: Places, recipe: dict[str, Any], prefect_api: str) -> Outcome:
    """A first run that was killed while it compared the methods."""
    first = place("first")
    first.write(recipe)
    with one_core(), first.running(PREFECT_API_URL=prefect_api) as run:
        run.until("made checkpoints/")
        run.kill()
        return Outcome(first, run.ended(), first.files())


@pytest.fixture(scope="module")
def finished(killed: Outcome, prefect_api: str) -> Outcome:
    """The run after the one that was killed."""
    with one_core():
        ended = killed.place.run(PREFECT_API_URL=prefect_api)
    return Outcome(killed.place, ended, killed.place.files())


@pytest.fixture(scope="module")
def elsewhere(place: Places, recipe: dict[str, Any], prefect_api: str, scheduler: str) -> tuple[Outcome, int]:
    """A run of the same recipe with another store, spread over a Dask cluster, and how busy that was."""
    other = place("other")
    other.write(recipe)
    with Client(scheduler, set_as_default=False) as dask:
        ended = other.run(PREFECT_API_URL=prefect_api, MATLIFT_DASK=scheduler)
        steps = dask.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
    return Outcome(other, ended, other.files()), steps


@pytest.fixture(scope="module")
def repeated(finished: Outcome, prefect_api: str) -> tuple[Outcome, Dashboard]:
    """A run with nothing left to do, and what its Prefect server saw of it."""
    with one_core():
        ended = finished.place.run(PREFECT_API_URL=prefect_api)
    outcome = Outcome(finished.place, ended, finished.place.files())

    (run,) = filtered(prefect_api, "flow_runs", sort="START_TIME_DESC", limit=1)
    this = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    return outcome, Dashboard(run, *(filtered(prefect_api, what, **this) for what in ("task_runs", "artifacts")))


@pytest.fixture(scope="module")
def deserted(
    finished: Outcome, recipe: dict[str, Any], prefect_api: str, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    """A run with another seed, whose store died while it compared the methods."""
    other = finished.place.copy_to(tmp_path_factory.mktemp("deserted"))
    other.write(recipe | {"transfer": recipe["transfer"] | {"seed": 1}})
    with one_core(), other.running(PREFECT_API_URL=prefect_api, MATLIFT_STORE_PATIENCE="0") as run:
        run.until("re-used checkpoints/")
        other.kill_store()
        return Outcome(other, run.ended(), other.files())


@pytest.fixture(scope="module")
def another_seed(deserted: Outcome, prefect_api: str) -> Outcome:
    """The same again, with a store that lives."""
    with one_core():
        ended = deserted.place.run(PREFECT_API_URL=prefect_api)
    return Outcome(deserted.place, ended, deserted.place.files())


def filtered(api: str, what: str, **question: Any) -> list[dict[str, Any]]:
    """Return what a Prefect server knows, flow runs or artifacts say."""
    answer = httpx.post(f"{api}/{what}/filter", json=question, timeout=60).raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def fill(disk: Path) -> Path:
    """Fill a disk; return the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(100_000))
        except OSError:
            return ballast


def test_a_run_shows_the_methods_the_findings_and_the_bundle(molecules: Outcome) -> None:
    _, ended, files = molecules
    assert (ended.status, ended.complained) == (0, [])
    found = metrics(files)
    for name in METHODS:
        assert f"│ {name} │ {number(found['methods'][name]['mae'])} ± " in ended.said
    for sentence in sentences(found):
        assert f"• {sentence}" in ended.said
    assert ended.said.endswith(f"Bundle: s3://matlift/{json.loads(files['bundles/cheap/latest.json'].data)['path']}")


def test_a_bundle_is_what_its_manifest_says(molecules: Outcome) -> None:
    files = bundle(molecules.files)
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["files"] == {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    assert kinds(objects(molecules.files)) == ALL


def test_the_weights_of_a_bundle_are_numbers_by_name(molecules: Outcome) -> None:
    weights = load(bundle(molecules.files)["weights.safetensors"])
    assert weights
    assert all(np.isfinite(values).all() for values in weights.values())


def test_the_metrics_of_a_bundle_keep_the_contract(molecules: Outcome) -> None:
    found = metrics(molecules.files)
    assert found["unit"] == "kJ/mol"
    assert set(found["methods"]) == METHODS
    for method in found["methods"].values():
        assert 0 < method["mae"] <= method["rmse"]
        assert method["r2"] < 1
        assert len(method["mae_per_fold"]) == 2
    difference = found["differences"]["transfer - scratch"]
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert [point["size"] for point in found["learning_curve"]] == [50, 52]
    assert found["seconds"]["pretrain"] > 0


def test_a_killed_run_leaves_no_bundle_and_the_next_resumes_after_pretraining(
    killed: Outcome, finished: Outcome
) -> None:
    assert killed.ended.status == -9
    assert kinds(objects(killed.files)) == BEFORE
    assert not any(path.startswith("bundles/") for path in killed.files)
    assert finished.ended.status == 0
    assert "Re-used 7 of 10: " in finished.ended.said
    assert "re-used checkpoints/" in finished.ended.said
    assert "made comparisons/" in finished.ended.said


def test_a_second_run_reuses_every_stage_and_leaves_the_objects_untouched(
    finished: Outcome, repeated: tuple[Outcome, Dashboard]
) -> None:
    (_, ended, files), _ = repeated
    assert (ended.status, ended.complained) == (0, [])
    named = re.findall(r"[a-z/]+/[0-9a-f]{16}", ended.said.partition("Re-used 10 of 10: ")[2].partition(" Bundle: ")[0])
    assert set(named) == objects(finished.files)
    assert files.pop(LATEST).data == finished.files[LATEST].data
    assert files == {path: file for path, file in finished.files.items() if path != LATEST}


def test_the_dashboard_shows_the_run_its_tasks_and_its_results(repeated: tuple[Outcome, Dashboard]) -> None:
    _, (run, tasks, artifacts) = repeated
    assert Path(run["name"]).stem == "recipe"
    assert run["state"]["name"] == "Completed"
    assert sorted(task["name"].rpartition(" ")[0] for task in tasks) == sorted(
        [
            *["fetch", "curate", "featurize"] * 2,
            "pretrain on",
            "compare methods on",
            "fit",
            "publish",
            "promote",
            "update",
        ]
    )
    assert {"fetch table", "publish tiny"} < {task["name"] for task in tasks}
    kind = {artifact["key"]: artifact["type"] for artifact in artifacts}
    assert (kind["metrics-tiny"], kind["report-tiny"]) == ("table", "markdown")
    table = next(artifact["data"] for artifact in artifacts if artifact["key"] == "metrics-tiny")
    assert all(method in table for method in METHODS)


def test_another_seed_compares_anew_and_reuses_what_comes_before(finished: Outcome, another_seed: Outcome) -> None:
    assert another_seed.ended.status == 0
    assert "Re-used 7 of 10: " in another_seed.ended.said
    new = objects(another_seed.files) - objects(finished.files)
    assert kinds(new) == {"comparisons": 1, "models": 1, "bundles": 1}
    assert json.loads(another_seed.files[LATEST].data)["path"] in new


def test_the_same_recipe_in_another_store_and_on_a_dask_cluster_gives_the_same_bits(
    finished: Outcome, elsewhere: tuple[Outcome, int], scheduler: str
) -> None:
    (_, _, other), steps = elsewhere
    assert steps > 0
    with finished.place.doing("doctor", MATLIFT_DASK=scheduler) as doctor:
        assert f"ok dask {scheduler} has 2 worker(s)" in doctor.ended().said
    one = finished.files
    assert objects(one) == objects(other)
    ours, theirs = (bundle(files, "tiny") for files in (one, other))
    for name in ("weights.safetensors", "predictions.parquet", "model.json", "features.json"):
        assert ours[name] == theirs[name], name
    clock = dict.fromkeys(("seconds", "seconds_per_fit"))
    assert metrics(one, "tiny") | clock == metrics(other, "tiny") | clock


def test_a_store_that_dies_ends_the_run_in_one_sentence(finished: Outcome, deserted: Outcome) -> None:
    sentence = refused(deserted.ended)
    assert sentence.startswith("matlift: the store s3://matlift does not answer at http://127.0.0.1:")
    assert objects(deserted.files) == objects(finished.files)
    assert deserted.files[LATEST].data == finished.files[LATEST].data


def test_a_run_over_the_time_limit_ends_with_that_reason(finished: Outcome, prefect_api: str) -> None:
    sentence = refused(finished.place.run(PREFECT_API_URL=prefect_api, MATLIFT_TIME_LIMIT="1"))
    assert sentence.startswith("matlift: the run took longer than MATLIFT_TIME_LIMIT allows, 1 s")
    (run,) = filtered(prefect_api, "flow_runs", sort="START_TIME_DESC", limit=1)
    assert (run["state"]["type"], run["state"]["name"]) == ("FAILED", "TimedOut")


def test_a_full_disk_ends_the_run_in_one_sentence_and_nothing_is_half_published(
    finished: Outcome, recipe: dict[str, Any], prefect_api: str, small_disk: Path
) -> None:
    small = finished.place.copy_to(small_disk)
    small.write(recipe | {"title": "Only the bundle is made anew"})
    with one_core(), small.running(PREFECT_API_URL=prefect_api) as run:
        run.until("re-used checkpoints/")
        ballast = fill(small_disk)
        sentence = refused(run.ended())
    assert f"the disk of {small_disk}/.matlift is full" in sentence
    ballast.unlink()
    files = small.files()
    assert objects(files) == objects(finished.files)
    assert files[LATEST].data == finished.files[LATEST].data
