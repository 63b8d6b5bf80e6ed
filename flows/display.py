"""What a run shows on the terminal: progress while it works, then one table; so do landings and screenings."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from prefect.utilities.urls import url_for
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.land import Arrival
from tasks.errors import MatliftError
from tasks.fetch.files import file_name
from tasks.handles import Bundle, Screening, Snapshot
from tasks.land import Fates, Landed
from tasks.progress import Progress as Report
from tasks.progress import listening
from tasks.publish import sentences
from tasks.publish.words import number, places, signed
from tasks.recipe import Recipe
from tasks.screen import screened
from tasks.screen.words import told
from tasks.store import Store, connect
from tasks.tables import from_parquet
from tasks.watch import Memory

SHOWN = 5  # rejected rows of a landed file
BEST = 20  # candidates


class Display:
    """Shows the progress that rooms report, and what the store made and re-used."""

    def __init__(self, name: str, title: str) -> None:
        self._heading = f"[bold]{escape(name)}[/]: {escape(title)}"
        self._console = Console()
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._bars: dict[str, TaskID] = {}
        self._listening = listening(self._show)
        self._handler = RichHandler(console=self._console, show_path=False, show_level=False, markup=False)

    def __enter__(self) -> Self:
        self._console.print(self._heading)
        logging.getLogger("tasks").setLevel(logging.INFO)
        logging.getLogger("tasks").addHandler(self._handler)
        self._progress.start()
        self._listening.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.__exit__(kind, error, trace)
        self._progress.stop()
        logging.getLogger("tasks").removeHandler(self._handler)

    def _show(self, report: Report) -> None:
        """Move the bar of what is being done."""
        if report.label not in self._bars:
            self._bars[report.label] = self._progress.add_task(report.label, note="")
        self._progress.update(self._bars[report.label], completed=report.done, total=report.total, note=report.note)

    def finish(self, bundle: Bundle) -> None:
        """Show the methods, what the comparison says, what was re-used, and where the bundle is."""
        store = connect()
        metrics = json.loads(store.read(bundle, "metrics.json"))
        self._console.print(_methods(metrics))
        for sentence in sentences(metrics):
            self._console.print(f"• {sentence}", highlight=False)
        reused = [event.handle.path for event in store.history if event.reused]
        if reused:
            self._console.print(f"Re-used {len(reused)} of {len(store.history)}: {', '.join(reused)}", highlight=False)
        self._console.print(f"Bundle: {store.url}/{bundle.path}", soft_wrap=True, highlight=False)


def _methods(metrics: dict[str, Any]) -> Table:
    """Return the table of methods, best first."""
    unit = metrics["unit"]
    table = Table(title=f"Held-out errors, {unit}", title_justify="left")
    table.add_column("method")
    for column in ("MAE ± sd", "median", "RMSE", "s per fit"):
        table.add_column(column, justify="right")
    for name, row in sorted(metrics["methods"].items(), key=lambda item: item[1]["mae"]):
        spread = np.std(row["mae_per_fold"], ddof=1)
        seconds = metrics["seconds_per_fit"].get(name)  # transfer is one of the others in each fold
        table.add_row(
            name,
            f"{number(row['mae'])} ± {signed(spread, places(row['mae']))}",
            number(row["median"]),
            number(row["rmse"]),
            "" if seconds is None else f"{seconds:.1f}",
        )
    return table


def show_arrival(arrival: Arrival, plan: Recipe) -> None:
    """Show what became of landed files, their first rejected rows, and how the target's snapshot has changed."""
    console, store = Console(), connect()
    fates: Sequence[Fates | None] = arrival.fates or [None] * len(arrival.files)
    every = list(zip(arrival.files, fates, strict=True))
    table = Table(title="Landed", title_justify="left")
    table.add_column("file")
    for column in ("rows", "good", "rejected", "in the snapshot", "already known", "left out"):
        table.add_column(column, justify="right")
    for file, fate in every:
        table.add_row(file_name(file.location), *_counts(file, fate))
    console.print(table)
    for file, fate in every:
        for sentence in _remarks(file, fate, store):
            console.print(f"• {file_name(file.location)}{sentence}", highlight=False)
    if arrival.before is None or arrival.after is None:
        console.print(f"There is no new snapshot: {arrival.obstacle}", highlight=False)
        return
    before, after = (_rows(store, snapshot) for snapshot in (arrival.before, arrival.after))
    console.print(f"Target of {plan.name}: {before:,} rows before, {after:,} now: {arrival.after}", highlight=False)


def show_decision(recipe: str, before: Memory | None, after: Memory | None) -> None:
    """Show which training a landing has led to, and where to look at it.

    Args:
        recipe: the name of the one that it was for.
        before: what its watch remembered before the landing.
        after: what it remembers now; None if the server does not watch it.
    """
    console = Console(soft_wrap=True, highlight=False)
    if after is None:
        console.print(f"No training was started: Prefect's server does not watch {recipe}; see `matlift up`")
    elif after.run is None:
        console.print("No training was started: nothing has been landed that the target did not have")
    else:
        known = before is not None and before.run == after.run
        said = "No training was started, for this is the target of" if known else "Started the training"
        console.print(f"{said} {after.title(recipe)}: {url_for('flow-run', obj_id=after.run)}")


def show_screening(screening: Screening, output: Path | None) -> None:
    """Show the best candidates of a screening, and write them to a file if one is named."""
    console, store = Console(), connect()
    rows, about = screened(screening)
    table = Table(title=f"{about['property']}, {about['unit']}: {about['by']}", title_justify="left")
    for column, justify in (
        ("candidate", "left"),
        ("value", "right"),
        ("interval", "right"),
        ("in the domain", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in rows.head(BEST).itertuples():
        table.add_row(escape(str(row.item)), *map(escape, told(row).values()))
    console.print(table)
    counts = f"{about['candidates']:,} candidates, {about['without value']:,} of them without a value"
    console.print(f"{counts}, {about['not in the domain']:,} not in the domain of the model", highlight=False)
    console.print(f"All {len(rows):,}: {store.url}/{screening.path}/best.parquet", soft_wrap=True, highlight=False)
    if output:
        try:
            output.write_bytes(store.read(screening, "best.parquet"))
        except OSError as error:
            raise MatliftError(f"{output} cannot be written: {error.strerror or error}") from error


def _counts(file: Landed, fate: Fates | None) -> list[str]:
    """Return how many rows of a file are good, and what became of them in the snapshot."""
    if file.landing is None:
        return ["-"] * 6
    judged = [file.report["rows"], file.report["good"], sum(file.report["rejected"].values())]
    found = [fate.used, fate.known, sum(fate.left_out.values())] if fate else ["-"] * 3
    return [str(count) for count in judged + found]


def _remarks(file: Landed, fate: Fates | None, store: Store) -> list[str]:
    """Return what is to be said of a file beside its numbers."""
    if file.landing is None:
        return [f" was not landed: {file.refusal}"]
    remarks = [f": {file.already}"] if file.already else []
    if unused := file.report["columns not used"]:
        remarks.append(f": not used: {', '.join(unused)}")
    if fate and fate.left_out:
        remarks.append(f": left out of the snapshot: {_listed(fate.left_out)}")
    if file.report["rejected"]:
        place = f"{store.url}/{file.landing.path}/rejected.parquet"
        remarks.append(f": rejected: {_listed(file.report['rejected'])}; all in {place}, the first of them:")
    rejected = from_parquet(store.read(file.landing, "rejected.parquet"))
    return remarks + [f" row {row.row}: {row.reason}. {row.detail}" for row in rejected.head(SHOWN).itertuples()]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items())


def _rows(store: Store, snapshot: Snapshot) -> int:
    """Return how many rows a snapshot has."""
    rows: int = json.loads(store.read(snapshot, "report.json"))["accepted"]
    return rows
