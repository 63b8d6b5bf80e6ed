"""The command line: which commands there are, and what each one does."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import yaml
from dotenv import load_dotenv

from deployments.local import reserved, running
from deployments.server import address, client, prepare
from deployments.temporary import TemporaryServer
from tasks.errors import MatliftError
from tasks.passwords import hidden
from tasks.recipe import load_recipe, recipe_names
from tasks.settings import settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 1 with one sentence on stderr."""
    options = _parser().parse_args(arguments)
    load_dotenv(".env")  # what it says for AWS and Prefect, too, who read the environment alone
    # As Ctrl-C, also when the terminal is closed: otherwise the servers that a command has started would outlive it.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # of nohup
            signal.signal(number, signal.default_int_handler)
    try:
        options.command(options)
    except MatliftError as error:
        print(f"matlift: {error}", file=sys.stderr)  # noqa: T201 -- this is the command line
        return 1
    except KeyboardInterrupt:
        print("matlift: stopped; what was finished is kept", file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError:  # the reader wants no more: head, say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes it at the end
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the commands; each sets the function that it runs."""
    parser = argparse.ArgumentParser(
        prog="matlift", description="Lift property models from computed to measured accuracy."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    store = argparse.ArgumentParser(add_help=False)
    store.add_argument(
        "--store",
        metavar="URL",
        help="s3://bucket/prefix, reached as AWS_ENDPOINT_URL and the AWS credentials in the environment say; without "
        "it (and without MATLIFT_STORE) the embedded server keeps it in .matlift/",
    )
    fields = argparse.ArgumentParser(add_help=False)
    fields.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        type=_setting,
        default=[],
        dest="settings",
        help="use another value than the recipe's, source.data.at=oqmd.csv say; may be given several times",
    )
    run = commands.add_parser("run", parents=[store, fields], help="train, compare and publish")
    run.add_argument("recipe", metavar="RECIPE", help="a recipe's name, or a YAML file")
    run.set_defaults(command=_run)
    landing = commands.add_parser("land", parents=[store, fields], help="add measurements to a recipe's target")
    landing.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="CSV, Parquet or Excel: a path, a URL or an s3:// URL; without it all files below "
        "landing/RECIPE/inbox/ of the store",
    )
    landing.add_argument("--recipe", required=True, help="a recipe's name, or a YAML file")
    landing.set_defaults(command=_land)
    _add_prediction(commands, store)
    recipes = commands.add_parser("recipes", help="list the recipes")
    recipes.set_defaults(command=_recipes)
    listing = commands.add_parser("ls", parents=[store], help="list published bundles and their files")
    listing.add_argument("recipe", metavar="RECIPE", nargs="?", help="only this recipe's")
    listing.set_defaults(command=_list)
    _add_champions(commands, store)
    prune = commands.add_parser("prune", parents=[store], help="delete what no kept bundle was made from")
    prune.add_argument(
        "--keep",
        metavar="N",
        type=_count,
        help="newest bundles of each recipe that stay, beside the champions; MATLIFT_KEEP, or 5, if not given",
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    prune.set_defaults(command=_prune)
    serve = commands.add_parser("store", help="keep the embedded store up, and say how to reach it, until Ctrl-C")
    serve.set_defaults(command=_serve)
    _add_screening(commands, store)
    _add_stack(commands, store)
    return parser


def _add_champions(commands: Any, store: argparse.ArgumentParser) -> None:
    """Add the commands of the bundles in use."""
    champion = commands.add_parser("champion", parents=[store], help="show a recipe's bundle in use, and those before")
    promoting = commands.add_parser("promote", parents=[store], help="put a valid bundle to use, whatever its errors")
    back = commands.add_parser("rollback", parents=[store], help="go back to the bundle that was in use before")
    for parser, command in ((champion, _champion), (promoting, _promote), (back, _rollback)):
        parser.add_argument("recipe", metavar="RECIPE", help="a recipe's name")
        parser.set_defaults(command=command)
    promoting.add_argument("bundle", metavar="BUNDLE", nargs="?", help="its fingerprint; the latest if not given")


def _add_prediction(commands: Any, store: argparse.ArgumentParser) -> None:
    """Add the commands that use published models."""
    model = argparse.ArgumentParser(add_help=False, parents=[store])
    model.add_argument(
        "model",
        metavar="MODEL",
        help="a recipe's name (its champion, else its latest), or where a bundle is: a folder, or a URL fsspec knows",
    )
    predicting = commands.add_parser("predict", parents=[model], help="predict with a published model")
    predicting.add_argument(
        "items",
        metavar="ITEM",
        nargs="*",
        help="SMILES or formulas, and files of them: .csv, .tsv, .txt, .smi and .sdf, these also as .gz, .parquet, "
        ".cif, .xyz, .vasp, .db; - for the standard input, which is read if nothing is named: one on each line, or CSV",
    )
    predicting.add_argument("--output", metavar="FILE", type=Path, help=".csv or .parquet; without it CSV on stdout")
    predicting.add_argument(
        "--column", metavar="NAME", help="of tables; the one called smiles or formula, if not given"
    )
    predicting.set_defaults(command=_predict)
    export = commands.add_parser("export", parents=[model], help="write a published model as ONNX")
    export.add_argument("output", metavar="FILE", type=Path, help="model.onnx, say")
    export.set_defaults(command=_export)
    serve = commands.add_parser(
        "serve", parents=[model], help="answer over HTTP with a published model and what replaces it, until Ctrl-C"
    )
    serve.add_argument("--host", default="127.0.0.1", help="to listen at; 127.0.0.1, this machine alone, if not given")
    serve.add_argument("--port", type=int, default=8000, help="to listen at; 8000 if not given")
    serve.set_defaults(command=_serve_model)
    _add_suggestions(commands, model)


def _add_suggestions(commands: Any, model: argparse.ArgumentParser) -> None:
    """Add the command that says what to measure next."""
    suggesting = commands.add_parser("suggest", parents=[model], help="say what to measure next")
    suggesting.add_argument("items", metavar="CANDIDATE", nargs="*", help="as those of `matlift predict`")
    suggesting.add_argument("--count", metavar="N", type=_count, default=10, help="how many; 10 if not given")
    suggesting.add_argument(
        "--simulate",
        action="store_true",
        help="of no candidates: say how many of the model's own measurements such advice would have saved",
    )
    suggesting.add_argument(
        "--output", metavar="FILE", type=Path, help=".csv; without it CSV on stdout; of a simulation its curves as .png"
    )
    suggesting.add_argument("--column", metavar="NAME", help="as that of `matlift predict`")
    suggesting.set_defaults(command=_suggest)


def _add_screening(commands: Any, store: argparse.ArgumentParser) -> None:
    """Add the command that looks at many candidates with a published model."""
    screen = commands.add_parser("screen", parents=[store], help="find the best of millions of candidates")
    screen.add_argument(
        "model", metavar="MODEL", help="a recipe's name (its champion, else its latest), or where a bundle is"
    )
    source = screen.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "table",
        metavar="TABLE",
        nargs="?",
        help="a path, a URL or an s3:// URL of what `matlift predict` reads: .csv, .parquet, .smi, .sdf, .cif, …",
    )
    source.add_argument(
        "--optimade", metavar="URL", help="a database that speaks OPTIMADE, or one of materials-project, jarvis, …"
    )
    source.add_argument(
        "--elements", metavar="LIST", help="all compositions of these elements whose charges balance: Li,Fe,P,O"
    )
    screen.add_argument("--column", metavar="NAME", help="of a table; the one called smiles or formula, if not given")
    screen.add_argument("--filter", help='of an OPTIMADE database: elements HAS ALL "Li","O" AND nelements=3')
    screen.add_argument("--atoms", metavar="N", type=_count, help="in a composition of the elements, at most; 20")
    screen.add_argument("--best", metavar="N", type=_count, default=100, help="how many are kept; 100 if not given")
    screen.add_argument("--output", metavar="FILE", type=Path, help="write them to a file, too, as Parquet")
    screen.add_argument(
        "--by",
        choices=["lowest", "highest", "surely-lowest", "surely-highest", "surest", "least-sure"],
        default="lowest",
        help="what is best: the value, the upper or lower end of its interval, or how narrow or wide that is; lowest "
        "if not given",
    )
    screen.set_defaults(command=_screen)


def _add_stack(commands: Any, store: argparse.ArgumentParser) -> None:
    """Add the commands of what runs by itself."""
    up = commands.add_parser("up", parents=[store], help="keep server, dashboard, store and worker up, until Ctrl-C")
    up.add_argument("recipes", metavar="RECIPE", nargs="*", help="deploy these alone; all recipes if none is named")
    up.add_argument("--port", type=int, help="of the dashboard; 4200, or MATLIFT_PORT, if not given")
    up.add_argument(
        "--postgres", metavar="URL", help="keep the server's data there; or MATLIFT_POSTGRES, which hides it"
    )
    up.set_defaults(command=_up)
    deploying = commands.add_parser("deploy", help="put deployments on the server that PREFECT_API_URL names")
    deploying.add_argument("recipes", metavar="RECIPE", nargs="*", help="these alone; all recipes if none is named")
    deploying.add_argument(
        "--pool",
        choices=["process", "docker", "kubernetes"],
        help="where runs happen: processes of a worker, containers or Kubernetes jobs (deployments/containers); "
        "what it is if the pool is there, else processes",
    )
    deploying.set_defaults(command=_deploy)
    status = commands.add_parser("status", help="show what is up, and what each deployment did last")
    status.set_defaults(command=_status)
    doctor = commands.add_parser(
        "doctor", parents=[store], help="check store, server, worker, versions, clock, disk and memory"
    )
    doctor.set_defaults(command=_doctor)


def _setting(text: str) -> tuple[str, Any]:
    """Return field and value of FIELD=VALUE, in which the value is YAML."""
    field, equals, value = text.partition("=")
    if not (field and equals):
        raise argparse.ArgumentTypeError(f"{text} is not FIELD=VALUE")
    try:
        return field, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"the value of {field} is not valid YAML") from error


def _count(text: str) -> int:
    """Return a number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def _run(options: argparse.Namespace) -> None:
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


def _land(options: argparse.Namespace) -> None:
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


def _screen(options: argparse.Namespace) -> None:
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


def _recipes(_: argparse.Namespace) -> None:
    """List the recipes with their titles."""
    for name in recipe_names():
        print(f"{name:<24}{load_recipe(name).title}")  # noqa: T201


def _predict(options: argparse.Namespace) -> None:
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


def _suggest(options: argparse.Namespace) -> None:
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


def _export(options: argparse.Namespace) -> None:
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


def _list(options: argparse.Namespace) -> None:
    """List complete bundles, newest last, with the size of each file."""
    from tasks.store import connect  # noqa: PLC0415 -- s3fs takes a second to load

    with _store(options.store):
        store = connect()
        for path in store.list(f"bundles/{options.recipe}" if options.recipe else "bundles"):
            print(f"{store.url}/{path}")  # noqa: T201
            for name, entry in (store.pointer(f"{path}/manifest.json") or {})["files"].items():
                print(f"  {entry['size']:>12,}  {name}")  # noqa: T201


def _champion(options: argparse.Namespace) -> None:
    """Show the bundle in use."""
    prepare()
    from flows.champions import show  # noqa: PLC0415 -- after `prepare`
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        show(connect(), options.recipe)


def _promote(options: argparse.Namespace) -> None:
    """Put a bundle to use by hand."""
    prepare()
    from flows.champions import promote  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        promote(connect(), options.recipe, options.bundle)
        _update_page()


def _rollback(options: argparse.Namespace) -> None:
    """Go back to the bundle in use before."""
    prepare()
    from flows.champions import go_back  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        go_back(connect(), options.recipe)
        _update_page()


def _prune(options: argparse.Namespace) -> None:
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


def _serve(_: argparse.Namespace) -> None:
    """Keep the embedded server up until Ctrl-C; its users may come and go."""
    with _store(None):
        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MATLIFT_STORE")
        print("The store is up until Ctrl-C. To reach it from another terminal:")  # noqa: T201
        print("\n".join(f"export {name}={os.environ[name]}" for name in names), flush=True)  # noqa: T201
        signal.pause()


def _serve_model(options: argparse.Namespace) -> None:
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


def _up(options: argparse.Namespace) -> None:
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


def _deploy(options: argparse.Namespace) -> None:
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


def _status(_: argparse.Namespace) -> None:
    """Show what is up."""
    from deployments.status import show  # noqa: PLC0415

    prepare()
    show()


def _doctor(options: argparse.Namespace) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
