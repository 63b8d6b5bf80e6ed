"""`matlift up` with real servers: what it brings up, keeps up, and takes with it when it ends."""

import json
import os
import re
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from places import PATIENCE, Place, refused
from standing import Standing, prepare, standing
from wire import wire_to

Places = Callable[[str], Place]


@pytest.fixture(scope="module")
def here(place: Places) -> Place:
    made = place("stack")
    prepare(made)
    return made


@pytest.fixture(scope="module")
def stack(here: Place) -> Iterator[Standing]:
    with standing(here) as up:
        yield up


def test_one_command_brings_up_server_store_pool_deployments_automations_and_worker(stack: Standing) -> None:
    said = stack.run.said()
    for part in ("store", "server", "work pool", "deployments", "automations", "worker", "page"):
        assert part in said
    assert stack.api.removesuffix("/api") in said
    retrain, watch = (stack.deployment(f"{flow}/tiny") for flow in ("retrain", "watch"))
    for deployment, strategy in ((retrain, "ENQUEUE"), (watch, "CANCEL_NEW")):
        assert deployment["global_concurrency_limit"]["limit"] == 1
        assert deployment["concurrency_options"]["collision_strategy"] == strategy
        assert deployment["parameters"] == {"recipe": "tiny"}
        assert set(deployment["tags"]) == {"matlift", "tiny"}
        assert deployment["work_pool_name"] == "matlift"
        assert [schedule["active"] for schedule in deployment["schedules"]] == [True]
    assert retrain["schedules"][0]["schedule"] == {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "day_or": True}
    assert watch["schedules"][0]["schedule"]["interval"] == 86400
    queues = stack.ask("POST", "work_pools/matlift/queues/filter")
    assert {queue["name"]: queue["concurrency_limit"] for queue in queues}["trainings"] == 2
    assert "matlift: runs that died" in {one["name"] for one in stack.ask("POST", "automations/filter")}


def test_other_commands_find_the_stack(stack: Standing) -> None:
    record = stack.place.folder / ".matlift" / "stack.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    written = json.loads(record.read_text())
    assert (written["api"], written["store"], written["process"]) == (stack.api, "s3://matlift", stack.run.process.pid)
    with stack.place.doing("up", "tiny") as second:
        assert second.ended().complained == [
            "matlift: the stack in .matlift is up already: `matlift status` says where"
        ]


def test_a_schedule_set_to_fire_within_the_minute_fires_and_publishes(stack: Standing) -> None:
    deployment = stack.deployment("retrain/tiny")["id"]
    soon = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    schedule = {"schedule": {"interval": 864000, "anchor_date": soon, "timezone": "UTC"}, "active": True}
    stack.ask("POST", f"deployments/{deployment}/schedules", [schedule])
    ours = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    runs = stack.waited(lambda: stack.ask("POST", "flow_runs/filter", **ours), bool)
    assert runs[0]["created_by"]["type"] == "SCHEDULE"
    assert runs[0]["name"] == "tiny"
    assert len(stack.bundles()) == 1


def test_status_and_doctor_say_that_all_is_well(stack: Standing) -> None:
    with stack.place.doing("status") as status:
        ended = status.ended()
    assert ended.status == 0, ended
    assert "retrain/tiny │ Completed" in ended.said
    assert "online" in ended.said
    with stack.place.doing("doctor") as doctor:
        ended = doctor.ended()
    assert (ended.status, ended.complained) == (0, []), ended
    assert "wrong" not in ended.said
    for part in ("store", "server", "worker", "disk", "memory"):
        assert f"ok {part}" in ended.said


def test_the_dashboard_shows_a_run_with_its_artifacts_and_the_deployments(stack: Standing) -> None:
    (run,) = stack.ask("POST", "flow_runs/filter", flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}})
    with stack.dashboard() as page:
        page.open(f"{stack.api.removesuffix('/api')}/v2/runs/flow-run/{run['id']}?tab=Artifacts")
        said = page.until("Completed", "12 Task runs", "metrics-tiny", "report-tiny", "pretrain: 2 of 2")
        assert re.search(r"report-tiny .{9,60} Created The .* errs by [0-9.]+ eV/atom on average on 105 held-out", said)
        reports = stack.ask("POST", "artifacts/filter", artifacts={"key": {"any_": ["report-tiny"]}})
        page.open(f"{stack.api.removesuffix('/api')}/v2/artifacts/artifact/{reports[0]['id']}")
        page.until("Formation energies of binary compounds, made up", "report.html")
        drawn = "[...document.images].filter(i => i.src.startsWith('data:') && i.naturalWidth).length"
        assert stack.waited(lambda: page.value(drawn), lambda found: found == 2)
        page.open(f"{stack.api.removesuffix('/api')}/v2/deployments")
        page.until("3 Deployments", "retrain", "watch", "screen")
        page.open(json.loads((stack.place.folder / ".matlift" / "stack.json").read_text())["page"])
        page.until("Published models", "1 recipe, 1 bundle", "Formation energies of binary compounds, made up")


def test_a_screening_is_started_by_the_form_of_the_dashboard(stack: Standing) -> None:
    deployment = stack.deployment("screen/tiny")["id"]
    with stack.dashboard() as page:
        page.open(f"{stack.api.removesuffix('/api')}/v2/deployments/deployment/{deployment}/run")
        page.until("candidates", "A table", "A database", "All compositions of some elements", "lowest")
    start = f"deployments/{deployment}/create_flow_run"
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        stack.ask("POST", start, parameters={"model": "tiny", "candidates": {"elements": ["Ti"]}})
    candidates = {"elements": ["Li", "Ti", "O"], "atoms": 12}
    run = stack.ask("POST", start, parameters={"model": "tiny", "candidates": candidates, "count": 7})
    assert stack.until(run["id"], "Completed", "Failed")["state_name"] == "Completed"
    (best,) = stack.ask("POST", "artifacts/filter", artifacts={"key": {"any_": ["screened-tiny"]}})
    assert len(json.loads(best["data"])) == 7


def test_deployments_are_put_on_a_server_by_one_command_and_its_address(here: Place, stack: Standing) -> None:
    with here.doing("deploy", "tiny", PREFECT_API_URL=stack.api) as deploy:
        said = deploy.ended().said
    assert said.startswith(f"{stack.api} has retrain, watch and screen for tiny, in the work pool matlift (process)")
    with here.doing("deploy", "tiny", "--pool", "docker", PREFECT_API_URL=stack.api) as deploy:
        assert "the work pool matlift is there already, of type process" in refused(deploy.ended())


def test_schedules_that_people_have_changed_stay_and_others_are_brought_up_to_date(
    here: Place, stack: Standing
) -> None:
    before = stack.deployment("retrain/tiny")["schedules"]  # another one was added for the test of schedules
    watch = stack.deployment("watch/tiny")
    later = {"PREFECT_API_URL": stack.api, "MATLIFT_WATCH_INTERVAL": "43200"}
    kept = "keeps the schedule that it was given on the dashboard"
    with here.doing("deploy", "tiny", **later) as deploy:
        said = deploy.ended().said
    assert f"retrain/tiny {kept}" in said
    assert f"watch/tiny {kept}" not in said
    assert stack.deployment("retrain/tiny")["schedules"] == before
    (schedule,) = stack.deployment("watch/tiny")["schedules"]
    assert schedule["schedule"]["interval"] == 43200
    time.sleep(1)
    stack.ask("PATCH", f"deployments/{watch['id']}/schedules/{schedule['id']}", {"active": False})
    with here.doing("deploy", "tiny", PREFECT_API_URL=stack.api) as deploy:
        assert f"watch/tiny {kept}" in deploy.ended().said
    (found,) = stack.deployment("watch/tiny")["schedules"]
    assert (found["active"], found["schedule"]["interval"]) == (False, 43200)


def test_a_login_that_the_server_refuses_is_one_sentence(stack: Standing) -> None:
    wrong = {"PREFECT_API_URL": stack.api, "PREFECT_API_AUTH_STRING": "admin:wrong"}
    with stack.place.doing("deploy", **wrong) as deploy:
        sentence = refused(deploy.ended())
    assert f"Prefect's server at {stack.api} refuses the credentials (401): set PREFECT_API_KEY (Cloud)" in sentence


def test_a_second_training_waits_and_one_whose_worker_is_killed_goes_on(stack: Standing) -> None:
    before = len(stack.bundles())
    first = stack.trigger(transfer_seed=1)
    stack.until(first, "Running")
    second = stack.trigger(transfer_seed=1)
    stack.until(second, "AwaitingConcurrencySlot")
    stack.kill("worker")
    stack.quick()
    assert "tiny goes on after its last finished stage" in stack.run.said()
    assert "Crashed" in stack.states(first)
    ended = [stack.until(run, "Completed", "Failed") for run in (first, second)]
    assert [run["state_name"] for run in ended] == ["Completed", "Completed"]
    one, other = sorted(ended, key=lambda run: str(run["end_time"]))
    assert last_start(stack, other["id"]) >= one["end_time"]
    assert len(stack.bundles()) == before + 1


def test_a_training_outlives_its_server_and_its_store(stack: Standing) -> None:
    before = len(stack.bundles())
    run = stack.trigger(transfer_seed=2)
    stack.until(run, "Running")
    stack.place.kill_store()
    stack.kill("server")
    found = stack.until(run, "Completed", "Failed", "Crashed", "Cancelled")
    assert found["state_name"] == "Completed", found["state"]["message"]
    assert stack.states(run).count("Running") == 1
    assert len(stack.bundles()) == before + 1


def test_a_training_outlives_a_network_that_is_cut_or_fails_and_goes_on_by_retry(stack: Standing) -> None:
    before = len(stack.bundles())
    store = json.loads((stack.place.folder / ".matlift" / "stack.json").read_text())["endpoint"]
    with wire_to(store) as wire:
        wire.cut_at(b"PUT /matlift/bundles/tiny/")
        run = stack.trigger({"AWS_ENDPOINT_URL": wire.address}, title="The network is cut for a minute")
        assert wire.sprung.wait(PATIENCE)
        time.sleep(60)
        assert len(stack.bundles()) == before
        wire.mend()
        assert stack.until(run, "Completed", "Failed")["state_name"] == "Completed"
        assert stack.flow_run(run)["run_count"] == 1
        assert len(stack.bundles()) == before + 1

        wire.cut_at(b"PUT /matlift/bundles/tiny/")
        hurried = {"AWS_ENDPOINT_URL": wire.address, "MATLIFT_STORE_PATIENCE": "0"}
        run = stack.trigger(hurried, title="The network is cut for longer than a run waits")
        found = stack.until(run, "Completed", "Failed")
        assert found["state_name"] == "Failed"
        assert f"the store s3://matlift does not answer at {wire.address} " in found["state"]["message"]
        assert len(stack.bundles()) == before + 1
        wire.mend()
        stack.retry(run)
        assert stack.until(run, "Completed")["run_count"] == 2
        assert len(stack.bundles()) == before + 2


def test_a_landing_leads_with_no_further_command_to_a_training_that_is_published(stack: Standing) -> None:
    before = len(stack.bundles())
    (stack.place.folder / "new.csv").write_text("formula,value\nTiO,-1.9\nTiS,-1.2\nKO,-1.3\n")
    with stack.place.doing("land", "new.csv", "--recipe", "tiny", MATLIFT_WATCH_QUIET="1") as landing:
        ended = landing.ended()
    assert (ended.status, ended.complained) == (0, [])
    started = re.search(r"Started the training tiny( with 108 rows)?: (\S+)/runs/flow-run/(\S+)$", ended.said)
    assert started, ended.said
    assert f"{started[2]}/api" == stack.api
    assert stack.until(started[3], "Completed", "Failed")["state_name"] == "Completed"
    assert len(stack.bundles()) == before + 1


def test_ctrl_c_takes_all_with_it_and_the_next_up_goes_on(here: Place, stack: Standing) -> None:
    before = len(stack.bundles())
    run = stack.trigger(transfer_seed=3)
    stack.until(run, "Running")
    groups = [stack.pid("server"), stack.pid("worker")]
    stack.run.process.send_signal(signal.SIGINT)
    ended = stack.run.ended()
    assert (ended.status, ended.complained) == (0, [])
    assert ended.said.endswith("The stack is down; its data are in .matlift.")
    assert not (here.folder / ".matlift" / "stack.json").exists()
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, 0)
            pytest.fail(f"something is left of {group}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", int(stack.api.split(":")[2].split("/")[0])))
    with standing(here) as again:
        assert again.until(run, "Completed", "Failed")["state_name"] == "Completed"
        assert "Crashed" in again.states(run)
        assert len(again.bundles()) == before + 1


def last_start(stack: Standing, run: str) -> str:
    """Return when a run began to run for the last time."""
    states = stack.ask("GET", f"flow_run_states/?flow_run_id={run}")
    return str(max(state["timestamp"] for state in states if state["name"] == "Running"))
