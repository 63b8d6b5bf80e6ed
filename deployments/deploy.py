"""Puts the work pool, the deployments of recipes and the automations on a Prefect server, whichever it is."""

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import SecretStr

from deployments.server import POOL, client
from tasks.errors import MatliftError
from tasks.recipe import Recipe, load_recipe, recipe_names
from tasks.recipe.databases import KNOWN_TABLES, Cmr, Oqmd, TableFile
from tasks.settings import settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import DeploymentSchedule

FILE = Path(__file__).parent / "prefect.yaml"
CONTAINERS = {"docker": "containers/docker-pool.yaml", "kubernetes": "containers/kubernetes-pool.yaml"}
PLAIN = ("MATLIFT_STORE", "MATLIFT_DASK", "MATLIFT_OVERRIDES", "MATLIFT_TIME_LIMIT", "AWS_ENDPOINT_URL", "AWS_REGION")
SECRET = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
WATCHES = "watches"  # taken before trainings, and never kept waiting by them
TRAININGS = "trainings"
AT_ONCE = timedelta(seconds=1)  # between the two times that a server notes when it makes something


def prepare_pool(kind: str | None = None) -> str:
    """Make sure that the work pool is there, with its queues.

    Args:
        kind: its type: process, docker or kubernetes; if none is given, a pool that is there stays what it is, and a
            new one is of processes.

    Returns:
        Its type.

    Raises:
        MatliftError: it is there, and of another type.
    """
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate  # noqa: PLC0415 -- takes seconds to load
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound  # noqa: PLC0415

    with client() as server:
        with suppress(ObjectAlreadyExists):
            server.create_work_pool(WorkPoolCreate(name=POOL, type=kind or "process"))
        there = str(server.read_work_pool(POOL).type)
        if kind not in {None, there}:
            raise MatliftError(
                f"the work pool {POOL} is there already, of type {there}: delete it first, and its workers with it "
                f"(prefect work-pool delete {POOL}), or deploy to another server"
            )
        if kind in CONTAINERS:
            server.update_work_pool(POOL, WorkPoolUpdate(base_job_template=_template(kind)))
        for priority, (queue, limit) in enumerate({WATCHES: None, TRAININGS: settings().trainings}.items(), start=1):
            try:
                found = server.read_work_queue_by_name(queue, work_pool_name=POOL)
            except ObjectNotFound:
                found = server.create_work_queue(queue, work_pool_name=POOL)
            server.update_work_queue(found.id, concurrency_limit=limit, priority=priority)
        return there


def _template(kind: str) -> dict[str, Any]:
    """Return what runs of a pool of containers or jobs are made from, with the environment that they need."""
    template: dict[str, Any] = yaml.safe_load((FILE.parent / CONTAINERS[kind]).read_text(encoding="utf-8"))
    if kind == "docker":  # on Kubernetes a Secret has all of it
        template["variables"]["properties"]["env"]["default"] |= _passed_on()
    return template


def _passed_on() -> dict[str, str]:
    """Return the environment of this process that runs elsewhere need; secrets go into Prefect's blocks."""
    from prefect.blocks.system import Secret  # noqa: PLC0415

    found = {name: os.environ[name] for name in PLAIN if os.environ.get(name)}
    for name in SECRET:
        if value := os.environ.get(name):
            block = f"{POOL}-{name.lower().replace('_', '-')}"
            Secret[str](value=SecretStr(value)).save(block, overwrite=True)
            found[name] = f"{{{{ prefect.blocks.secret.{block} }}}}"
    return found


def deploy(recipes: Sequence[str], folder: Path | None = None) -> list[str]:
    """Create the deployments of recipes as prefect.yaml has them, or bring them up to date.

    Schedules that people have changed on the server, or paused there, stay as they are. It does what `prefect deploy`
    does, which loads the flows and all that they import, and so takes half a minute.

    Args:
        recipes: their names.
        folder: the working directory of runs, where they are processes on this machine.

    Returns:
        What is to be known of schedules: those that are off, and those that people have changed.

    Raises:
        MatliftError: a recipe is wrong, or the server does not take them.
    """
    off = {name: sentence for name in recipes if (sentence := _obstacle(_plan(name)))}
    said = [f"{name} has no schedule: {why}" for name, why in off.items()]
    with client() as server:
        for entry in entries(recipes, off):
            if not _put(server, entry, {"working_dir": str(folder)} if folder else {}):
                flow = entry["entrypoint"].partition(":")[2]
                said.append(f"{flow}/{entry['name']} keeps the schedule that it was given on the dashboard")
    return said


def _put(server: "SyncPrefectClient", entry: dict[str, Any], variables: dict[str, str]) -> bool:
    """Create a deployment, or bring it up to date; return whether its schedules are ours."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate  # noqa: PLC0415
    from prefect.client.schemas.objects import ConcurrencyOptions  # noqa: PLC0415
    from prefect.client.schemas.schedules import construct_schedule  # noqa: PLC0415
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    flow = entry["entrypoint"].partition(":")[2]
    about: dict[str, Any] = {
        "entrypoint": entry["entrypoint"],
        "description": entry["description"],
        "tags": entry["tags"],
        "parameters": entry["parameters"],
        "concurrency_limit": entry["concurrency_limit"]["limit"],
        "concurrency_options": ConcurrencyOptions(collision_strategy=entry["concurrency_limit"]["collision_strategy"]),
        "work_pool_name": entry["work_pool"]["name"],
        "work_queue_name": entry["work_pool"]["work_queue_name"],
        "job_variables": variables,
        "pull_steps": [],
        "parameter_openapi_schema": _schema(entry["entrypoint"]),
        "enforce_parameter_schema": True,
    }
    slugs = {schedule["slug"] for schedule in entry["schedules"]}
    with suppress(ObjectNotFound):
        found = server.read_deployment_by_name(f"{flow}/{entry['name']}")
        if _changed_by_people(found.schedules, slugs):
            server.update_deployment(found.id, DeploymentUpdate(**about))
            return False
    schedules = []
    for schedule in entry["schedules"]:
        when = {key: schedule[key] for key in ("cron", "interval", "timezone") if key in schedule}
        switch = {"slug": schedule["slug"], "active": schedule["active"]}
        schedules.append(DeploymentScheduleCreate(schedule=construct_schedule(**when), **switch))
    server.create_deployment(
        flow_id=server.create_flow_from_name(flow),
        name=entry["name"],
        schedules=schedules,
        **about,
    )
    return True


def _changed_by_people(schedules: "Sequence[DeploymentSchedule]", ours: Collection[str]) -> bool:
    """Tell whether somebody has added, deleted, edited or paused a schedule: we only ever make them anew.

    Args:
        schedules: those that a deployment has.
        ours: the slugs of those that it is given by us.
    """
    edited = (one for one in schedules if one.created and one.updated and one.updated - one.created > AT_ONCE)
    return {one.slug for one in schedules} != set(ours) or any(edited)


def _schema(entrypoint: str) -> dict[str, Any]:
    """Return the schema of a flow's parameters, from which the dashboard makes its form and refuses what is wrong."""
    from prefect.utilities.callables import parameter_schema  # noqa: PLC0415

    if entrypoint != "flows.screen:screen":
        return parameter_schema(_as_the_flows_are).model_dump_for_openapi()
    from flows.screen import screen  # noqa: PLC0415

    return parameter_schema(screen.fn).model_dump_for_openapi()


def _as_the_flows_are(recipe: str, settings: dict[str, Any] | None = None) -> None:
    """Have the parameters of `retrain` and of `watch`, which need not be loaded for that."""


def forget_others(recipes: Sequence[str]) -> list[str]:
    """Delete the deployments of recipes that are not named, which nothing must start any more; return their names."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags  # noqa: PLC0415

    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[POOL]))
    with client() as server:
        others = [found for found in server.read_deployments(deployment_filter=ours) if found.name not in recipes]
        for deployment in others:
            server.delete_deployment(deployment.id)
    return sorted({deployment.name for deployment in others})


def chosen(recipes: Sequence[str]) -> list[str]:
    """Return the names of the recipes to deploy: those named, or else all."""
    unknown = set(recipes) - set(recipe_names())
    if unknown:
        raise MatliftError(
            f"there is no recipe named {', '.join(sorted(unknown))}: a deployment needs one of "
            f"{', '.join(recipe_names())}, or one in the folder that MATLIFT_RECIPES names"
        )
    return list(recipes) or recipe_names()


def _plan(name: str) -> Recipe:
    """Return a recipe, whose landings and bundles must be found under the name of its deployments."""
    plan = load_recipe(name)
    if plan.name != name:
        raise MatliftError(f"the recipe in {name}.yaml calls itself {plan.name}: a deployment needs one name for both")
    return plan


def _obstacle(plan: Recipe) -> str | None:
    """Say which of a recipe's tables are not on this machine; None if all are, or come over the network."""
    parts = (plan.source, plan.target, *plan.auxiliary.values())
    named = [part.data.at for part in parts if isinstance(part.data, Cmr | Oqmd | TableFile)]
    missing = [at for at in named if at not in KNOWN_TABLES and "://" not in at and not Path(at).exists()]
    return f"{', '.join(missing)} is not there" if missing else None


def entries(recipes: Sequence[str], off: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the deployments of recipes as prefect.yaml has them, or would have them, and as the settings have them.

    Args:
        recipes: their names.
        off: those whose schedules are off.
    """
    shipped = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    known = {(one["name"], one["entrypoint"]): one for one in shipped["deployments"]}
    found = []
    for name, pattern in product(recipes, shipped["definitions"].values()):
        own = {**pattern, "name": name, "tags": [POOL, name], "parameters": dict.fromkeys(pattern["parameters"], name)}
        entry = deepcopy(known.get((name, pattern["entrypoint"]), own))
        for schedule in entry["schedules"]:
            schedule["active"] = name not in off
            if "interval" in schedule:
                schedule["interval"] = settings().watch_interval
        found.append(entry)
    return found
