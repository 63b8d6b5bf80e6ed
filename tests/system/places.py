"""Places where the real command line runs: a working directory each, with a store of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import yaml
from s3fs import S3FileSystem

from tasks.recipe import RECIPES
from tasks.seaweed import embedded

PATIENCE = 600  # seconds for what takes a minute on quiet processors

# What makes the shipped recipe cheap. All of QM9 is read and judged; a tenth of it is stable enough to be learnt from.
CHEAP: dict[str, dict[str, Any]] = {
    "source": {"rules": {"per_atom": [-200, -20], "duplicates": "lowest"}},
    "target": {"data": {"database": "chemicals", "tables": ["ATcT"]}},
    "network": {"width": 16, "blocks": 1},
    "pretraining": {"epochs": 1, "sums": 0, "batch": 4096},
    "transfer": {"epochs": 2, "scratch_epochs": 2, "freeze": [0, 2]},
    "evaluation": {"folds": 2, "sizes": [50], "draws": 1, "clusters": 2, "elements": 0},
}


def cheap_recipe() -> dict[str, Any]:
    """Return the shipped recipe, cheap to run."""
    content: dict[str, Any] = yaml.safe_load((RECIPES / "qm9-webbook.yaml").read_text(encoding="utf-8"))
    for section, values in CHEAP.items():
        content[section] |= values
    return content | {"name": "cheap"}


class Ended(NamedTuple):
    """A run that has ended: its exit status, what it said on stdout, without line breaks, and its lines on stderr."""

    status: int
    said: str
    complained: list[str]


class File(NamedTuple):
    """A file in a store, and when it was last written."""

    data: bytes
    written: datetime


@dataclass(frozen=True)
class Run:
    """A run under way, with a process group of its own."""

    output: Path
    process: subprocess.Popen[bytes]

    def said(self) -> str:
        return " ".join((self.output / "stdout").read_text().split())

    def until(self, words: str) -> None:
        """Wait until it has said something."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.said():
            assert self.process.poll() is None, self.ended()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def ended(self) -> Ended:
        """Wait for its end."""
        status = self.process.wait(PATIENCE)
        return Ended(status, self.said(), (self.output / "stderr").read_text().splitlines())

    def kill(self) -> None:
        """Kill it, and it alone: it cannot say goodbye to its workers, its store or its Prefect server."""
        self.process.kill()
        self.process.wait()

    def sweep(self) -> None:
        """Kill all that it has left behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Place:
    """A working directory: the runs in it take its `recipe.yaml` and keep their store in its `.matlift`."""

    folder: Path
    environment: dict[str, str]

    def write(self, recipe: dict[str, Any] | str) -> None:
        """Write the recipe."""
        text = recipe if isinstance(recipe, str) else yaml.safe_dump(recipe, allow_unicode=True)
        (self.folder / "recipe.yaml").write_text(text, encoding="utf-8")

    @contextmanager
    def running(self, *options: str, **environment: str) -> Iterator[Run]:
        """Lend a run of the command line on the recipe; nothing is left of it afterwards."""
        with self.doing("run", "recipe.yaml", *options, **environment) as run:
            yield run

    @contextmanager
    def doing(self, *arguments: str, **environment: str) -> Iterator[Run]:
        """Lend any command of the command line at work; nothing is left of it afterwards."""
        output = Path(mkdtemp())  # not in the folder, whose disk may be full
        with (output / "stdout").open("wb") as stdout, (output / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *arguments],
                cwd=self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        run = Run(output, process)
        try:
            yield run
        finally:
            run.sweep()
            process.wait()
            shutil.rmtree(output)

    def run(self, *options: str, **environment: str) -> Ended:
        """Run the command line on the recipe to its end."""
        with self.running(*options, **environment) as run:
            return run.ended()

    def copy_to(self, folder: Path) -> "Place":
        """Return a new place with the same recipe and all that the store holds."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Place(folder, self.environment)

    def kill_store(self) -> None:
        """Kill the server of the store."""
        os.kill(int((self.folder / ".matlift" / "store.pid").read_text()), signal.SIGKILL)

    def files(self) -> dict[str, File]:
        """Return all files of the store by their paths, read with s3fs as anyone would who has its credentials."""
        with embedded(self.folder / ".matlift") as url:
            settings = json.loads((self.folder / ".matlift" / "store.json").read_text())
            address = f"http://127.0.0.1:{settings['ports']['s3']}"
            s3 = S3FileSystem(
                endpoint_url=address, key=settings["key"], secret=settings["secret"], skip_instance_cache=True
            )
            found = s3.find(url, detail=True)
            bucket = url.removeprefix("s3:/")
            return {
                f"/{key}".removeprefix(f"{bucket}/"): File(s3.cat_file(key), about["LastModified"])
                for key, about in found.items()
            }


Files = dict[str, File]


def bundle(files: Files, recipe: str = "cheap") -> dict[str, bytes]:
    """Return the files of a recipe's latest bundle."""
    folder = json.loads(files[f"bundles/{recipe}/latest.json"].data)["path"] + "/"
    return {path.removeprefix(folder): file.data for path, file in files.items() if path.startswith(folder)}


def metrics(files: Files, recipe: str = "cheap") -> dict[str, Any]:
    """Return the metrics of a recipe's latest bundle."""
    content: dict[str, Any] = json.loads(bundle(files, recipe)["metrics.json"])
    return content


def refused(ended: Ended) -> str:
    """Return the one sentence with which a run failed."""
    assert (ended.status, len(ended.complained)) == (1, 1), ended
    assert ended.complained[0].startswith("matlift: ")
    return ended.complained[0]


def objects(files: Files) -> set[str]:
    """Return the objects that stages made and readers see: those with a manifest, but for kept features."""
    found = {path.removesuffix("/manifest.json") for path in files if path.endswith("/manifest.json")}
    return {path for path in found if not path.startswith("parts/")}
