"""The files of deployments/ agree with the recipes, with the settings, with Prefect, and with each other."""

import re
from pathlib import Path
from typing import Any

import prefect.settings
import pytest
import yaml
from prefect.client.schemas.schedules import construct_schedule
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import is_valid

from deployments import deploy
from deployments.server import POOL
from flows.retrain import retrain
from tasks.recipe import recipe_names
from tasks.settings import PREFIX, Settings

FOLDER = Path(deploy.__file__).parent
CONTAINERS = FOLDER / "containers"
TEXTS = {path.name: path.read_text() for path in (FOLDER / "prefect.yaml", *CONTAINERS.iterdir())}


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXTS["prefect.yaml"])
    return found


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Those of Kubernetes, by kind and name."""
    found = yaml.safe_load_all(TEXTS["kubernetes.yaml"])
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest["spec"]["template"]["spec"]["containers"]
    return found


def test_each_recipe_has_one_training_one_watch_and_one_screening(shipped: dict[str, Any]) -> None:
    for entrypoint in ("flows.retrain:retrain", "flows.watch:watch", "flows.screen:screen"):
        named = [one["name"] for one in shipped["deployments"] if one["entrypoint"] == entrypoint]
        assert sorted(named) == recipe_names()
    for one in shipped["deployments"]:
        named = "model" if one["entrypoint"] == "flows.screen:screen" else "recipe"
        assert one["parameters"] == {named: one["name"]}
        assert one["tags"] == [POOL, one["name"]]
        assert one["work_pool"]["name"] == POOL
        assert one["concurrency_limit"]["limit"] == 1


def test_schedules_are_such_that_prefect_knows_them(shipped: dict[str, Any]) -> None:
    hours = []
    for one in shipped["deployments"]:
        for schedule in one["schedules"]:
            construct_schedule(**{key: value for key, value in schedule.items() if key != "slug"})
            if "cron" in schedule:
                assert schedule["timezone"]
                hours.append(schedule["cron"])
    assert len(set(hours)) == len(recipe_names())  # they share the processors


def test_what_matlift_deploys_is_what_the_file_says(shipped: dict[str, Any]) -> None:
    known = {(one["name"], one["entrypoint"]): one for one in shipped["deployments"]}
    for entry in deploy.entries(recipe_names()):
        same = known[entry["name"], entry["entrypoint"]]
        assert entry == same | {"schedules": [schedule | {"active": True} for schedule in same["schedules"]]}


def test_recipes_of_ones_own_are_deployed_like_the_others_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_WATCH_INTERVAL", "77")
    training, watch, screening = deploy.entries(["mine"], off=["mine"])
    assert (training["name"], training["tags"]) == ("mine", [POOL, "mine"])
    assert [(schedule["cron"], schedule["active"]) for schedule in training["schedules"]] == [("0 2 * * *", False)]
    assert watch["schedules"] == [{"slug": "steady", "interval": 77, "active": False}]
    assert (screening["parameters"], screening["schedules"]) == ({"model": "mine"}, [])


def test_the_form_of_the_dashboard_has_the_flows_parameters() -> None:
    assert (
        parameter_schema(deploy._as_the_flows_are).model_dump()["properties"]
        == (parameter_schema(retrain.fn).model_dump()["properties"])
    )


@pytest.mark.parametrize(
    ("parameters", "right"),
    [
        ({"candidates": {"table": "s3://lab/candidates.parquet"}}, True),
        ({"candidates": {"optimade": "jarvis", "filter": "nelements=2"}, "count": 5, "by": "surest"}, True),
        ({"candidates": {"elements": ["Li", "O"], "atoms": 12}}, True),
        ({}, False),
        ({"candidates": {"tabel": "candidates.csv"}}, False),
        ({"candidates": {"elements": ["Li"]}}, False),
        ({"candidates": {"table": "candidates.csv", "atoms": 3}}, False),
        ({"candidates": {"table": "candidates.csv"}, "count": 0}, False),
        ({"candidates": {"table": "candidates.csv"}, "by": "best"}, False),
    ],
)
def test_the_server_refuses_a_screening_of_nothing(parameters: dict[str, Any], *, right: bool) -> None:
    schema = deploy._schema("flows.screen:screen")
    assert is_valid({"model": "band-gap", **parameters}, schema) == right
    assert schema["properties"]["candidates"]["description"].startswith('{"table": "s3://')


@pytest.mark.parametrize("name", TEXTS)
def test_variables_are_those_that_the_settings_or_prefect_know(name: str) -> None:
    ours = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert set(re.findall(r"\bMATLIFT_[A-Z_]*[A-Z]", f"{TEXTS[name]} {deploy.PLAIN}")) <= ours
    named = set(re.findall(r"\bPREFECT_[A-Z_]*[A-Z]", TEXTS[name])) - {"PREFECT_AUTH"}  # compose's own
    assert [variable for variable in named if not hasattr(prefect.settings, variable)] == []


def test_all_say_the_same_image_pool_and_command(manifests: dict[tuple[str, str], dict[str, Any]]) -> None:
    compose = yaml.safe_load(TEXTS["compose.yaml"])["services"]
    ours = {name: service for name, service in compose.items() if service["image"] != "postgres:17"}
    assert {service["image"] for service in ours.values()} == {"matlift"}
    for kind in ("docker", "kubernetes"):
        properties = yaml.safe_load(TEXTS[f"{kind}-pool.yaml"])["variables"]["properties"]
        assert properties["image"]["default"] == "matlift"
    for manifest in manifests.values():
        if "template" in manifest.get("spec", {}):
            assert [container["image"] for container in containers(manifest)] == ["matlift"]
    worker = containers(manifests["Deployment", "matlift-worker"])[0]["args"]
    for words, kind in ((ours["worker"]["command"].split(), "docker"), (worker, "kubernetes")):
        assert words[:7] == ["prefect", "worker", "start", "--pool", POOL, "--type", kind]
    assert ours["deploy"]["command"] == "matlift deploy --pool docker"
    assert "--tag matlift ." in TEXTS["Dockerfile"]
    assert "--tag matlift ." in TEXTS["compose.yaml"]


def test_compose_depends_on_what_it_has() -> None:
    compose = yaml.safe_load(TEXTS["compose.yaml"])
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        mounted = [volume.partition(":")[0] for volume in service.get("volumes", []) if not volume.startswith("/")]
        assert set(mounted) <= set(compose["volumes"])
    network = compose["networks"]["default"]["name"]
    assert yaml.safe_load(TEXTS["docker-pool.yaml"])["variables"]["properties"]["networks"]["default"] == [network]
    lines = TEXTS["compose.yaml"].splitlines()
    secrets = [line for line in lines if re.search(r"(PASSWORD|SECRET|AUTH)[A-Z_]*: ", line)]
    assert all("${" in line for line in secrets)


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_a_pools_template_uses_each_of_its_variables_and_no_other(kind: str) -> None:
    template = yaml.safe_load(TEXTS[f"{kind}-pool.yaml"])
    used = set(re.findall(r"{{ (\w+) }}", str(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])


def test_manifests_have_what_kubernetes_requires(manifests: dict[tuple[str, str], dict[str, Any]]) -> None:
    for (kind, name), manifest in manifests.items():
        assert manifest["apiVersion"], name
        assert kind == "Namespace" or manifest["metadata"]["namespace"] == "matlift", name
        if kind == "Deployment":
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            assert manifest["spec"]["selector"]["matchLabels"] == labels
        if kind in {"Deployment", "Job"}:
            pod = manifest["spec"]["template"]["spec"]
            mounts = {mount["name"] for one in pod["containers"] for mount in one.get("volumeMounts", [])}
            assert mounts == {volume["name"] for volume in pod.get("volumes", [])}
            account = pod.get("serviceAccountName")
            assert account is None or ("ServiceAccount", account) in manifests
    service, server = manifests["Service", "prefect-server"], manifests["Deployment", "prefect-server"]
    assert service["spec"]["selector"] == server["spec"]["template"]["metadata"]["labels"]
    assert {port["name"] for port in containers(server)[0]["ports"]} == {service["spec"]["ports"][0]["targetPort"]}
    run = yaml.safe_load(TEXTS["kubernetes-pool.yaml"])["variables"]["properties"]
    assert ("ServiceAccount", run["service_account_name"]["default"]) in manifests
    assert ("Namespace", run["namespace"]["default"]) in manifests
