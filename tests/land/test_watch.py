"""The watch starts one training for each change of a target, and none for anything else; on a real server and store."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed

from flows.cli import main
from flows.watch import watch
from tasks.curate import curate
from tasks.errors import MatliftError
from tasks.fetch import fetch
from tasks.land.landing import land_file
from tasks.recipe import Recipe, load_recipe
from tasks.store import Store
from tasks.watch import memory

HEAD = "compound,H,u\n"

pytestmark = pytest.mark.usefixtures("prefect_server")


@dataclass(frozen=True)
class Watched:
    """A recipe whose source is curated, and whose two deployments are on the server; no worker runs them."""

    store: Store
    folder: Path
    plan: Recipe

    @property
    def file(self) -> str:
        return str(self.folder / "recipe.yaml")

    def put(self, name: str, rows: str) -> None:
        """Put a file into the inbox, as anybody may."""
        self.store.files.replace(f"landing/{self.plan.name}/inbox/{name}", f"{HEAD}{rows}".encode())

    def look(self) -> memory.Memory:
        found: memory.Memory = watch(self.file)
        return found

    def runs(self) -> list[FlowRun]:
        """Return the trainings that were started."""
        only = {"name": {"any_": [self.plan.name]}}
        question = {"deployments": only, "flows": {"name": {"any_": ["retrain"]}}}
        with get_client(sync_client=True) as client:
            answer = client.request("POST", "/flow_runs/filter", json=question)
        return [FlowRun.model_validate(run) for run in answer.json()]

    def events(self) -> list[dict[str, Any]]:
        """Return what was told of the target."""
        wanted = {
            "event": {"name": ["matlift.target.changed"]},
            "resource": {"id": [f"matlift.recipe.{self.plan.name}"]},
            "occurred": {"since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"},
        }
        deadline = time.monotonic() + 30
        with get_client(sync_client=True) as client:
            while time.monotonic() < deadline:  # they are sent, and stored, a moment later
                found: list[dict[str, Any]] = client.request("POST", "/events/filter", json={"filter": wanted}).json()[
                    "events"
                ]
                if found:
                    return found
                time.sleep(0.2)
        return []


@pytest.fixture
def watched(store: Store, recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setenv("MATLIFT_WATCH_QUIET", "0")
    monkeypatch.setenv("COLUMNS", "300")
    recipe["name"] = f"salts-{uuid.uuid4().hex[:8]}"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    plan = load_recipe(str(tmp_path / "recipe.yaml"))
    curate.fn(fetch.fn(plan.source, "eV/atom"), plan.source.rules, plan.features)
    with get_client(sync_client=True) as client:
        for flow in ("retrain", "watch"):
            client.create_deployment(
                client.create_flow_from_name(flow),
                plan.name,
                parameters={"recipe": str(tmp_path / "recipe.yaml")},
                tags=["matlift", plan.name],
            )
    return Watched(store, tmp_path, plan)


def test_the_first_look_starts_nothing_and_a_new_row_of_the_database_starts_one_training(watched: Watched) -> None:
    assert watched.look().run is None
    assert watched.runs() == []
    with (watched.folder / "measured.csv").open("a") as file:
        file.write("KCl,-436.5,1\n")
    found = watched.look()
    (run,) = watched.runs()
    assert (found.run, found.rows) == (str(run.id), 4)
    assert run.name == f"{watched.plan.name} with 4 rows"
    assert {"matlift", watched.plan.name, "target changed"} == set(run.tags)
    assert run.parameters["recipe"] == watched.file
    (event,) = watched.events()
    assert event["payload"] == {"snapshot": found.snapshot, "table": found.table, "rows": 4, "run": found.run}
    assert watched.look() == found
    assert len(watched.runs()) == 1


def test_twenty_files_in_ten_seconds_make_one_training(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_WATCH_QUIET", "3")
    with ThreadPoolExecutor() as pool:
        watched.put("0.csv", "Na20Cl1,-100,1\n")
        looks = [pool.submit(copy_context().run, watched.look)]
        for number in range(1, 20):
            time.sleep(0.5)
            watched.put(f"{number}.csv", f"Na{20 + number}Cl1,-{100 + number},1\n")
        looks.append(pool.submit(copy_context().run, watched.look))
    (run,) = watched.runs()
    assert {look.result().run for look in looks} == {str(run.id)}
    assert looks[0].result().rows == 23
    assert len(watched.events()) == 1


def test_what_changes_no_row_of_the_target_trains_nothing(watched: Watched) -> None:
    watched.put("one.csv", "KCl,-436.5,1\n")
    first = watched.look()
    watched.put("again.csv", "KCl,-436.5,1\n")  # the same bytes
    watched.put("handed-on.csv", "NaCl,-411.15,1\nKCl,-436.5,1\n")  # the same measurements
    watched.put("bad.csv", "Xx,-1,1\nKCl,n.a.,1\nXeF2,-164,1\n")  # xenon is not in the source
    watched.put("broken.csv", '"')
    again = watched.look()
    assert (again.run, again.digest) == (first.run, first.digest)
    assert again.table != first.table
    assert len(watched.runs()) == 1


def test_a_landing_that_is_taken_back_leads_to_a_training_without_it(watched: Watched) -> None:
    watched.put("one.csv", "KCl,-436.5,1\n")
    first, kept = watched.look(), set(watched.store.list("landings"))
    watched.put("two.csv", "FeS,-100,1\n")
    second = watched.look()
    watched.store.files.remove([f"landing/{watched.plan.name}/inbox/two.csv"])
    watched.store.files.remove(
        [path for path in watched.store.files.find("landings") if path.rpartition("/")[0] not in kept]
    )
    third = watched.look()
    assert (third.digest, third.rows) == (first.digest, first.rows)
    assert len({first.run, second.run, third.run}) == len(watched.runs()) == 3


def test_what_landed_while_the_server_was_down_is_trained_on_once_it_is_back(watched: Watched) -> None:
    before = watched.look()
    (watched.folder / "new.csv").write_text(f"{HEAD}KCl,-436.5,1\n")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(RuntimeError):
        watched.look()
    land_file(watched.store, str(watched.folder / "new.csv"), watched.plan)
    assert memory.recall(watched.store, watched.plan.name) == before
    found = watched.look()
    watched.look()
    assert [str(run.id) for run in watched.runs()] == [found.run]


def test_a_watch_that_dies_between_decision_and_start_is_made_up_for_by_the_next(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.put("one.csv", "KCl,-436.5,1\n")
    with monkeypatch.context() as dying:
        dying.setattr("tasks.watch.run_deployment", lambda *_, **__: (_ for _ in ()).throw(httpx.ConnectError("gone")))
        with pytest.raises(MatliftError, match=r"the next look for salts-.* starts retrain/salts-"):
            watched.look()
    decided = memory.recall(watched.store, watched.plan.name)
    assert decided
    assert decided.pending
    with monkeypatch.context() as dying:  # this one has started the training and dies before it says so
        dying.setattr("tasks.watch.remember", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            watched.look()
    found = watched.look()
    (run,) = watched.runs()
    assert (found.run, found.key) == (str(run.id), decided.key)
    assert len(watched.events()) == 1


def test_two_watches_at_once_start_one_training(watched: Watched) -> None:
    watched.put("one.csv", "KCl,-436.5,1\n")
    with ThreadPoolExecutor() as pool:
        looks = [pool.submit(copy_context().run, watched.look) for _ in range(3)]
    (run,) = watched.runs()
    assert {look.result().run for look in looks} == {str(run.id)}
    assert len(watched.events()) == 1


def test_a_training_that_failed_is_not_started_again_before_the_next_change(watched: Watched) -> None:
    watched.put("one.csv", "KCl,-436.5,1\n")
    first = watched.look()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(uuid.UUID(first.run), Failed(message="it did"), force=True)
    assert watched.look() == first
    assert len(watched.runs()) == 1
    watched.put("two.csv", "FeS,-100,1\n")
    assert watched.look().run != first.run
    assert len(watched.runs()) == 2


def test_before_the_source_is_curated_a_landing_starts_a_training_and_nothing_else_does(
    store: Store, watched: Watched
) -> None:
    for path in store.files.find("snapshots"):
        store.files.remove([path])
    assert watched.look().run is None
    watched.put("one.csv", "KCl,-436.5,1\n")
    found = watched.look()
    assert (found.snapshot, found.rows) == (None, None)
    assert watched.look() == found
    assert len(watched.runs()) == 1


def test_landing_says_which_training_it_has_started_and_where_to_look(
    watched: Watched, prefect_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (watched.folder / "new.csv").write_text(f"{HEAD}KCl,-436.5,1\n")
    command = ["land", str(watched.folder / "new.csv"), "--recipe", watched.file, "--store", watched.store.url]
    assert main(command) == 0
    (run,) = watched.runs()
    with get_client(sync_client=True) as client:
        only = {"flow_runs": {"tags": {"all_": [watched.plan.name]}}, "flows": {"name": {"any_": ["land"]}}}
        (landing,) = client.request("POST", "/flow_runs/filter", json=only).json()
    assert landing["name"] == "recipe"  # of the file
    address = f"{prefect_server.removesuffix('/api')}/runs/flow-run/{run.id}"
    assert capsys.readouterr().out.endswith(f"Training: {address}\n")
    assert main(command) == 0
    assert f"No training was started, for this is the target that was last trained on: {address}" in (
        capsys.readouterr().out
    )
    assert len(watched.runs()) == 1
