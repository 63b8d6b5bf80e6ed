"""The command line: which commands there are, and what they take."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from dotenv import load_dotenv

from flows import commands
from tasks.errors import MatliftError


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
    known = parser.add_subparsers(required=True, metavar="COMMAND")
    store = argparse.ArgumentParser(add_help=False)
    store.add_argument(
        "--store",
        metavar="URL",
        help="s3://bucket/prefix, reached as AWS_ENDPOINT_URL and the AWS credentials in the environment say; without "
        "it (and without MATLIFT_STORE) the embedded server keeps it in .matlift/",
    )
    _add_training(known, store)
    _add_prediction(known, store)
    _add_bundles(known, store)
    _add_screening(known, store)
    _add_stack(known, store)
    return parser


def _add_training(known: Any, store: argparse.ArgumentParser) -> None:
    """Add the commands that lead to new bundles."""
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
    run = known.add_parser("run", parents=[store, fields], help="train, compare and publish")
    run.add_argument("recipe", metavar="RECIPE", help="a recipe's name, or a YAML file")
    run.set_defaults(command=commands.run_recipe)
    landing = known.add_parser("land", parents=[store, fields], help="add measurements to a recipe's target")
    landing.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="CSV, Parquet or Excel: a path, a URL or an s3:// URL; without it all files below "
        "landing/RECIPE/inbox/ of the store",
    )
    landing.add_argument("--recipe", required=True, help="a recipe's name, or a YAML file")
    landing.set_defaults(command=commands.land_measurements)
    recipes = known.add_parser("recipes", help="list the recipes")
    recipes.set_defaults(command=commands.list_recipes)


def _add_bundles(known: Any, store: argparse.ArgumentParser) -> None:
    """Add the commands of what is published, and of the store that keeps it."""
    listing = known.add_parser("ls", parents=[store], help="list published bundles and their files")
    listing.add_argument("recipe", metavar="RECIPE", nargs="?", help="only this recipe's")
    listing.set_defaults(command=commands.list_bundles)
    champion = known.add_parser("champion", parents=[store], help="show a recipe's bundle in use, and those before")
    promoting = known.add_parser("promote", parents=[store], help="put a valid bundle to use, whatever its errors")
    back = known.add_parser("rollback", parents=[store], help="go back to the bundle that was in use before")
    for parser, command in (
        (champion, commands.show_champion),
        (promoting, commands.promote_bundle),
        (back, commands.roll_back),
    ):
        parser.add_argument("recipe", metavar="RECIPE", help="a recipe's name")
        parser.set_defaults(command=command)
    promoting.add_argument("bundle", metavar="BUNDLE", nargs="?", help="its fingerprint; the latest if not given")
    prune = known.add_parser("prune", parents=[store], help="delete what no kept bundle was made from")
    prune.add_argument(
        "--keep",
        metavar="N",
        type=_count,
        help="newest bundles of each recipe that stay, beside the champions; MATLIFT_KEEP, or 5, if not given",
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    prune.set_defaults(command=commands.prune_store)
    serve = known.add_parser("store", help="keep the embedded store up, and say how to reach it, until Ctrl-C")
    serve.set_defaults(command=commands.keep_store_up)


def _add_prediction(known: Any, store: argparse.ArgumentParser) -> None:
    """Add the commands that use published models."""
    model = argparse.ArgumentParser(add_help=False, parents=[store])
    model.add_argument(
        "model",
        metavar="MODEL",
        help="a recipe's name (its champion, else its latest), or where a bundle is: a folder, or a URL fsspec knows",
    )
    predicting = known.add_parser("predict", parents=[model], help="predict with a published model")
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
    predicting.set_defaults(command=commands.predict_items)
    export = known.add_parser("export", parents=[model], help="write a published model as ONNX")
    export.add_argument("output", metavar="FILE", type=Path, help="model.onnx, say")
    export.set_defaults(command=commands.export_model)
    serve = known.add_parser(
        "serve", parents=[model], help="answer over HTTP with a published model and what replaces it, until Ctrl-C"
    )
    serve.add_argument("--host", default="127.0.0.1", help="to listen at; 127.0.0.1, this machine alone, if not given")
    serve.add_argument("--port", type=int, default=8000, help="to listen at; 8000 if not given")
    serve.set_defaults(command=commands.serve_model)
    _add_suggestions(known, model)


def _add_suggestions(known: Any, model: argparse.ArgumentParser) -> None:
    """Add the command that says what to measure next."""
    suggesting = known.add_parser("suggest", parents=[model], help="say what to measure next")
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
    suggesting.set_defaults(command=commands.suggest_measurements)


def _add_screening(known: Any, store: argparse.ArgumentParser) -> None:
    """Add the command that looks at many candidates with a published model."""
    screen = known.add_parser("screen", parents=[store], help="find the best of millions of candidates")
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
    screen.set_defaults(command=commands.find_candidates)


def _add_stack(known: Any, store: argparse.ArgumentParser) -> None:
    """Add the commands of what runs by itself."""
    up = known.add_parser("up", parents=[store], help="keep server, dashboard, store and worker up, until Ctrl-C")
    up.add_argument("recipes", metavar="RECIPE", nargs="*", help="deploy these alone; all recipes if none is named")
    up.add_argument("--port", type=int, help="of the dashboard; 4200, or MATLIFT_PORT, if not given")
    up.add_argument(
        "--postgres", metavar="URL", help="keep the server's data there; or MATLIFT_POSTGRES, which hides it"
    )
    up.set_defaults(command=commands.keep_stack_up)
    deploying = known.add_parser("deploy", help="put deployments on the server that PREFECT_API_URL names")
    deploying.add_argument("recipes", metavar="RECIPE", nargs="*", help="these alone; all recipes if none is named")
    deploying.add_argument(
        "--pool",
        choices=["process", "docker", "kubernetes"],
        help="where runs happen: processes of a worker, containers or Kubernetes jobs (deployments/containers); "
        "what it is if the pool is there, else processes",
    )
    deploying.set_defaults(command=commands.put_deployments)
    status = known.add_parser("status", help="show what is up, and what each deployment did last")
    status.set_defaults(command=commands.show_status)
    doctor = known.add_parser(
        "doctor", parents=[store], help="check store, server, worker, versions, clock, disk and memory"
    )
    doctor.set_defaults(command=commands.check_all)


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


if __name__ == "__main__":
    sys.exit(main())
