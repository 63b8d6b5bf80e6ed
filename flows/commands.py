"""What each command of the command line does; nothing heavy is loaded before it is known to be needed."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from deployments.local import reserved, running
from deployments.server import address, client, prepare
from deployments.temporary import TemporaryServer
from tasks.errors import MatliftError
from tasks.passwords import hidden
from tasks.recipe import load_recipe, recipe_names
from tasks.settings import settings


def run_recipe(options: argparse.Namespace) -> None:
    """Run the pipeline; a wrong recipe or store is refused before anything heavy is loaded."""
    fields = dict(options.settings)
    plan = load_recipe(options.recipe, fields)
    server = _server()
    with _store(options.store):
        from prefect import tags  # noqa: PLC0415 -- after PREFECT is set
        from prefect.flow_engine import FlowRunTimeoutError  # noqa: PLC0415

        from flows.display import Display  # noqa: PLC0415
        from flows.retrain import retrain  # noqa: PLC0415

        with Display(plan.name, plan.title) as display, tags(plan.name):
            if server:
                server.wait()
            try:
                bundle = retrain(options.recipe, fields)
            except FlowRunTimeoutError as error:
                raise MatliftError(
                    f"the run took longer than MATLIFT_TIME_LIMIT allows, {settings().time_limit:g} s: raise it and "
                    "run again; what was finished is kept"
                ) from error
        display.finish(bundle)


def land_measurements(options: argparse.Namespace) -> None:
    """Land measurements; fails only if no file could be used."""
    fields = dict(options.settings)
    plan = load_recipe(options.recipe, fields)
    server = _server()
    with _store(options.store):
        from prefect import tags  # noqa: PLC0415 -- after PREFECT is set

        from flows.display import show_arrival  # noqa: PLC0415
        from flows.land import land  # noqa: PLC0415

        if server:
            server.wait()
        with tags(plan.name):
            arrival = land(options.recipe, options.files, fields)
        if not arrival.files:
            raise MatliftError(
                f"nothing lies in {os.environ['MATLIFT_STORE']}/landing/{plan.name}/inbox: put files there, or name one"
            )
        if not any(file.landing for file in arrival.files):
            raise MatliftError("; ".join(file.refusal for file in arrival.files if file.refusal))
        show_arrival(arrival, plan)
        if not server:  # a temporary one has no deployments
            _decide(plan.name)


def _decide(recipe: str) -> None:
    """Let the server, if it watches a recipe, start a training right now if the target has changed."""
    from prefect import tags  # noqa: PLC0415 -- after PREFECT is set

    from flows.display import show_decision  # noqa: PLC0415
    from flows.watch import watch, watched_with  # noqa: PLC0415
    from tasks.watch import recall  # noqa: PLC0415

    parameters, before = watched_with(recipe), recall(recipe)
    with tags(recipe):
        after = watch(**parameters) if parameters else None
    show_decision(recipe, before, after)


def find_candidates(options: argparse.Namespace) -> None:
    """Find the best candidates."""
    prepare()
    candidates = _candidates(options)
    server = _server()
    with _store(options.store):
        from flows.display import Display, show_screening  # noqa: PLC0415 -- after PREFECT is set
        from flows.screen import screen  # noqa: PLC0415

        with Display(hidden(options.model), f"the best {options.best:,} of all candidates, {options.by}"):
            if server:
                server.wait()
            screening = screen(options.model, candidates, options.best, options.by)
        show_screening(screening, options.output)


def _candidates(options: argparse.Namespace) -> Any:
    """Return where candidates come from, as the options say it."""
    from pydantic import ValidationError  # noqa: PLC0415

    from tasks.screen import MOST, OfElements, OfOptimade, OfTable  # noqa: PLC0415 -- after `prepare`

    if options.best > MOST:
        raise MatliftError(f"at most {MOST:,} candidates can be kept: lower --best")
    given = {name: getattr(options, name) for name in ("table", "column", "optimade", "filter", "atoms")}
    given["elements"] = options.elements and [element.strip() for element in options.elements.split(",")]
    kind = OfTable if options.table else OfOptimade if options.optimade else OfElements
    try:
        return kind.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = error.errors()[0]
        why = "is not for these candidates" if wrong["type"] == "extra_forbidden" else f"is wrong: {wrong['msg']}"
        raise MatliftError(f"--{wrong['loc'][0]} {why}") from error


def _server() -> TemporaryServer | None:
    """Make sure that the server answers that Prefect's settings name; if they name none, start a temporary one."""
    prepare()
    if not address():
        return TemporaryServer()
    with client() as server:
        server.hello().raise_for_status()
    return None


def list_recipes(_: argparse.Namespace) -> None:
    """List the recipes with their titles."""
    for name in recipe_names():
        print(f"{name:<24}{load_recipe(name).title}")  # noqa: T201


def predict_items(options: argparse.Namespace) -> None:
    """Predict, and say on stderr how many rows there were."""
    from tasks.predict import Inputs, load, predict_files  # noqa: PLC0415 -- it takes half a second to load

    with _model(options) as location:
        predictor = load(location)
    inputs = Inputs(options.items or ["-"], predictor.takes, options.column)
    count = predict_files(predictor, inputs, options.output)
    if options.output:
        said = (
            f"{count.rows:,} rows in {options.output}: {count.bad:,} without a value, {count.outside:,} out of domain"
        )
        print(said, file=sys.stderr)  # noqa: T201


def suggest_measurements(options: argparse.Namespace) -> None:
    """Suggest what to measure next, or simulate what that saves."""
    prepare()
    from flows.suggest import show_simulation, write_suggestions  # noqa: PLC0415 -- after `prepare`
    from tasks.predict import Inputs  # noqa: PLC0415
    from tasks.suggest import opened  # noqa: PLC0415

    with _model(options) as location:
        predictor, measured = opened(location)
    if options.simulate:
        show_simulation(predictor, measured, options.output)
    else:
        inputs = Inputs(options.items or ["-"], predictor.takes, options.column)
        write_suggestions(predictor, measured, inputs, options.count, options.output)


def export_model(options: argparse.Namespace) -> None:
    """Write a model as ONNX."""
    from tasks.predict import export, load  # noqa: PLC0415

    with _model(options) as location:
        export(load(location), options.output)


@contextmanager
def _model(options: argparse.Namespace) -> Iterator[str]:
    """Lend the address of a bundle; the store is up as long as it is needed, if it is."""
    from tasks.predict import is_recipe, locate  # noqa: PLC0415

    if not is_recipe(options.model):
        yield options.model
        return
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        yield locate(options.model, connect())


def list_bundles(options: argparse.Namespace) -> None:
    """List complete bundles, newest last, with the size of each file."""
    from tasks.store import connect  # noqa: PLC0415 -- s3fs takes a second to load

    with _store(options.store):
        store = connect()
        for path in store.list(f"bundles/{options.recipe}" if options.recipe else "bundles"):
            print(f"{store.url}/{path}")  # noqa: T201
            for name, entry in (store.pointer(f"{path}/manifest.json") or {})["files"].items():
                print(f"  {entry['size']:>12,}  {name}")  # noqa: T201


def show_champion(options: argparse.Namespace) -> None:
    """Show the bundle in use."""
    prepare()
    from flows.champions import show  # noqa: PLC0415 -- after `prepare`
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        show(connect(), options.recipe)


def promote_bundle(options: argparse.Namespace) -> None:
    """Put a bundle to use by hand."""
    prepare()
    from flows.champions import promote  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        promote(connect(), options.recipe, options.bundle)
        _update_page()


def roll_back(options: argparse.Namespace) -> None:
    """Go back to the bundle in use before."""
    prepare()
    from flows.champions import go_back  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        go_back(connect(), options.recipe)
        _update_page()


def prune_store(options: argparse.Namespace) -> None:
    """Delete what no kept bundle was made from, and say how much that was."""
    prepare()
    from tasks.retention import prune  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        pruned = prune(connect(), options.keep or settings().keep, dry_run=options.dry_run)
        if not options.dry_run:
            _update_page()  # it leads to nothing that is gone
    for kind in dict.fromkeys(folder.kind for folder in pruned.freed):
        sizes = [folder.size for folder in pruned.freed if folder.kind == kind]
        print(f"{kind:<12}{len(sizes):>8,}{sum(sizes) / 1e6:>12,.1f} MB")  # noqa: T201
    freed = sum(folder.size for folder in pruned.freed) / 1e6
    done = "would be freed" if options.dry_run else "freed"
    print(f"{freed:,.1f} MB {done}; {len(pruned.kept)} bundles stay, with what they were made from")  # noqa: T201


def _update_page() -> None:
    """Write the store's page anew; what keeps it from that is said, for what the command is for has been done."""
    from tasks.site import rebuild  # noqa: PLC0415 -- after `prepare`
    from tasks.store import connect  # noqa: PLC0415

    try:
        rebuild(connect())
    except MatliftError as error:
        print(f"matlift: the store's page is not new: {error}", file=sys.stderr)  # noqa: T201


def keep_store_up(_: argparse.Namespace) -> None:
    """Keep the embedded server up until Ctrl-C; its users may come and go."""
    with _store(None):
        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MATLIFT_STORE")
        print("The store is up until Ctrl-C. To reach it from another terminal:")  # noqa: T201
        print("\n".join(f"export {name}={os.environ[name]}" for name in names), flush=True)  # noqa: T201
        signal.pause()


def serve_model(options: argparse.Namespace) -> None:
    """Serve a model until Ctrl-C or SIGTERM, which are how it is meant to end."""
    from deployments.serve.running import serve  # noqa: PLC0415
    from tasks.predict import is_recipe, locate  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    os.environ.setdefault("MATLIFT_STORE_PATIENCE", "0")  # it asks the store again and again anyway
    try:
        if is_recipe(options.model):
            with _store(options.store, read_only=True):
                serve(lambda: locate(options.model, connect()), options.host, options.port)
        else:
            serve(lambda: options.model, options.host, options.port)
    except KeyboardInterrupt:
        print("The service is down.")  # noqa: T201


def keep_stack_up(options: argparse.Namespace) -> None:
    """Keep the local stack up until Ctrl-C or SIGTERM, which are how it is meant to end."""
    from deployments.deploy import chosen  # noqa: PLC0415
    from deployments.up import keep_up  # noqa: PLC0415

    recipes = chosen(options.recipes)
    if options.postgres:
        os.environ["MATLIFT_POSTGRES"] = options.postgres
    folder, port = settings().folder, options.port or settings().port
    try:
        with reserved(folder), _store(options.store):
            prepare()
            keep_up(folder, recipes, port)
    except KeyboardInterrupt:
        print(f"The stack is down; its data are in {folder}.")  # noqa: T201


def put_deployments(options: argparse.Namespace) -> None:
    """Put work pool, deployments and automations on a server, empty or not."""
    from deployments.deploy import chosen, deploy, prepare_pool  # noqa: PLC0415

    prepare()
    recipes = chosen(options.recipes)
    kind = prepare_pool(options.pool)
    stack = running()
    remarks = deploy(recipes, Path(stack.place) if stack and stack.api == address() else None)
    from deployments.automations import apply_automations  # noqa: PLC0415 -- after `prepare`

    apply_automations()
    made = f"{address()} has retrain, watch and screen for {', '.join(recipes)}, in the work pool matlift ({kind})"
    print("\n".join([made, *remarks]))  # noqa: T201


def show_status(_: argparse.Namespace) -> None:
    """Show what is up."""
    from deployments.status import show  # noqa: PLC0415

    prepare()
    show()


def check_all(options: argparse.Namespace) -> None:
    """Check everything, and fail if something is wrong."""
    from deployments.doctor import examine  # noqa: PLC0415

    prepare()
    examine(_store(options.store))


@contextmanager
def _store(url: str | None, *, read_only: bool = False) -> Iterator[None]:
    """Give the tasks their store: the one named, or the embedded server's; checked before anything is put in it."""
    from tasks.seaweed import embedded  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    stack = running()
    url = url or settings().store or (stack.store if stack and not stack.credentials else None)
    server: AbstractContextManager[str] = nullcontext(url) if url else embedded(settings().folder)
    with server as address:
        os.environ["MATLIFT_STORE"] = address
        if not read_only:
            connect().check()
        yield
