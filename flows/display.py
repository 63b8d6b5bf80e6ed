"""What a run shows on the terminal: progress while it works, and at the end one table."""

import json
import logging
from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tasks.handles import Bundle
from tasks.progress import Progress as Report
from tasks.progress import listening
from tasks.publish import sentences
from tasks.recipe import Recipe
from tasks.store import connect


class Display:
    """Shows the progress that rooms report, and what the store made and re-used."""

    def __init__(self, plan: Recipe) -> None:
        self._plan = plan
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
        self._console.print(f"[bold]{self._plan.name}[/]: {self._plan.title}")
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
        seconds = metrics["seconds_per_fit"][name]
        table.add_row(
            name, f"{row['mae']:.1f} ± {spread:.1f}", f"{row['median']:.1f}", f"{row['rmse']:.1f}", f"{seconds:.1f}"
        )
    return table
