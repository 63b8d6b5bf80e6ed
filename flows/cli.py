"""The command line: `matlift run`, `land`, `recipes`, `ls`, `prune` and `store`."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import yaml
from dotenv import load_dotenv

from tasks.errors import MatliftError
from tasks.recipe import load_recipe, recipe_names
from tasks.settings import settings

# Set before Prefect is imported. Its temporary server takes up to 20 s to start on two cores; the terminal shows our
# own lines, the dashboard those of every room.
PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks",
    "PREFECT_LOGGING_ROOT_LEVEL": "INFO",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 1 with one sentence on stderr."""
    options = _parser().parse_args(arguments)
    load_dotenv(".env")  # what it says for AWS and Prefect, too, who read the environment alone
    # As Ctrl-C: otherwise the servers that a command has started would outlive it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.command(options)
    except MatliftError as error:
        print(f"matlift: {error}", file=sys.stderr)  # noqa: T201 -- this is the command line
        return 1
    except KeyboardInterrupt:
        print("matlift: stopped; what was finished is kept", file=sys.stderr)  # noqa: T201
        return 130
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
    recipes = commands.add_parser("recipes", help="list the recipes")
    recipes.set_defaults(command=_recipes)
    listing = commands.add_parser("ls", parents=[store], help="list published bundles and their files")
    listing.add_argument("recipe", metavar="RECIPE", nargs="?", help="only this recipe's")
    listing.set_defaults(command=_list)
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
    return parser


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
    with _store(options.store):
        _prepare_prefect()
        from prefect import tags  # noqa: PLC0415 -- after PREFECT is set

        from flows.display import Display  # noqa: PLC0415
        from flows.retrain import retrain  # noqa: PLC0415

        with Display(plan) as display, tags(plan.name):
            bundle = retrain(options.recipe, fields)
        display.finish(bundle)


def _land(options: argparse.Namespace) -> None:
    """Land measurements; fails only if no file could be used."""
    fields = dict(options.settings)
    plan = load_recipe(options.recipe, fields)
    with _store(options.store):
        _prepare_prefect()
        from prefect import tags  # noqa: PLC0415 -- after PREFECT is set

        from flows.display import show_arrival  # noqa: PLC0415
        from flows.land import land  # noqa: PLC0415

        with tags(plan.name):
            arrival = land(options.recipe, options.files, fields)
        if not arrival.files:
            raise MatliftError(
                f"nothing lies in {os.environ['MATLIFT_STORE']}/landing/{plan.name}/inbox: put files there, or name one"
            )
        if not any(file.landing for file in arrival.files):
            raise MatliftError("; ".join(file.refusal for file in arrival.files if file.refusal))
        show_arrival(arrival, plan)
        _decide(plan.name)


def _decide(recipe: str) -> None:
    """Let the server that watches a recipe, if there is one, start a training right now if the target has changed."""
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    if not PREFECT_API_URL.value():  # a temporary server has no deployments
        return
    from flows.display import show_decision  # noqa: PLC0415
    from flows.watch import watch, watched_with  # noqa: PLC0415
    from tasks.watch import recall  # noqa: PLC0415

    parameters, before = watched_with(recipe), recall(recipe)
    show_decision(recipe, before, watch(**parameters) if parameters else None)


def _prepare_prefect() -> None:
    """Set what Prefect reads when it is imported, and make sure that its server answers, if the settings name one."""
    for name, value in PREFECT.items():
        os.environ.setdefault(name, value)
    import httpx  # noqa: PLC0415 -- after PREFECT is set
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    if address := PREFECT_API_URL.value():
        try:
            httpx.get(f"{address.rstrip('/')}/health", timeout=10).raise_for_status()
        except httpx.HTTPError as error:
            raise MatliftError(
                f"Prefect's server does not answer at {address} ({error}): start it with `prefect server start`, or "
                "unset PREFECT_API_URL for a temporary one"
            ) from error


def _recipes(_: argparse.Namespace) -> None:
    """List the recipes with their titles."""
    for name in recipe_names():
        print(f"{name:<24}{load_recipe(name).title}")  # noqa: T201


def _list(options: argparse.Namespace) -> None:
    """List complete bundles, newest last, with the size of each file."""
    from tasks.store import connect  # noqa: PLC0415 -- s3fs takes a second to load

    with _store(options.store):
        store = connect()
        for path in store.list(f"bundles/{options.recipe}" if options.recipe else "bundles"):
            print(f"{store.url}/{path}")  # noqa: T201
            for name, entry in (store.pointer(f"{path}/manifest.json") or {})["files"].items():
                print(f"  {entry['size']:>12,}  {name}")  # noqa: T201


def _prune(options: argparse.Namespace) -> None:
    """Delete what no kept bundle was made from, and say how much that was."""
    from tasks.retention import prune  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    with _store(options.store):
        pruned = prune(connect(), options.keep or settings().keep, dry_run=options.dry_run)
    for kind in dict.fromkeys(folder.kind for folder in pruned.freed):
        sizes = [folder.size for folder in pruned.freed if folder.kind == kind]
        print(f"{kind:<12}{len(sizes):>8,}{sum(sizes) / 1e6:>12,.1f} MB")  # noqa: T201
    freed = sum(folder.size for folder in pruned.freed) / 1e6
    done = "would be freed" if options.dry_run else "freed"
    print(f"{freed:,.1f} MB {done}; {len(pruned.kept)} bundles stay, with what they were made from")  # noqa: T201


def _serve(_: argparse.Namespace) -> None:
    """Keep the embedded server up until Ctrl-C; its users may come and go."""
    with _store(None):
        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MATLIFT_STORE")
        print("The store is up until Ctrl-C. To reach it from another terminal:")  # noqa: T201
        print("\n".join(f"export {name}={os.environ[name]}" for name in names), flush=True)  # noqa: T201
        signal.pause()


@contextmanager
def _store(url: str | None) -> Iterator[None]:
    """Give the tasks their store: the one named, or the embedded server's; checked before anything is put in it."""
    from tasks.seaweed import embedded  # noqa: PLC0415
    from tasks.store import connect  # noqa: PLC0415

    url = url or settings().store
    server: AbstractContextManager[str] = nullcontext(url) if url else embedded(settings().folder)
    with server as address:
        os.environ["MATLIFT_STORE"] = address
        connect().check()
        yield


if __name__ == "__main__":
    sys.exit(main())
