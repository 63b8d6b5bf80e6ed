"""What `matlift suggest` shows: candidates to measure next, and what following such advice would have saved."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tasks.errors import MatliftError
from tasks.predict import Inputs, Predictor
from tasks.predict.inputs import items_of
from tasks.progress import Progress as Report
from tasks.progress import listening
from tasks.suggest import Measured, Simulation, simulate, suggest


def write_suggestions(
    predictor: Predictor, measured: Measured, inputs: Inputs, count: int, output: Path | None
) -> None:
    """Write suggestions as CSV, and say on stderr what became of the other candidates.

    Args:
        predictor: the model.
        measured: the rows that it was made from.
        inputs: the candidates.
        count: how many to suggest.
        output: the file; None for the standard output.
    """
    _check(output, ".csv")
    items = (item for part in inputs.parts() for item in items_of(part))
    found = suggest(predictor, measured, items, count)
    lines = found.rows.assign(unit=predictor.unit).to_csv(index=False, float_format="%.7g", lineterminator="\n")
    if output:
        _write(output, lines.encode())
    else:
        sys.stdout.write(lines)
    said = (
        f"{len(found.rows):,} of {found.candidates:,} candidates, of which {found.measured:,} are measured, "
        f"{found.outside:,} are out of domain and {found.bad:,} cannot be predicted"
    )
    print(said, file=sys.stderr)  # noqa: T201


def show_simulation(predictor: Predictor, measured: Measured, output: Path | None) -> None:
    """Simulate what suggestions save, and show it; the curves are a picture if it has a name.

    Args:
        predictor: the model.
        measured: the rows that it was made from.
        output: the file of the picture.
    """
    from tasks.suggest.account import headline, method, picture, table  # noqa: PLC0415 -- it loads Prefect

    _check(output, ".png")
    simulation, unit = _simulated(measured, predictor), predictor.unit
    console = Console(highlight=False)
    console.print(method(simulation))
    shown = Table(title=f"Mean absolute error on rows held out, {unit}", title_justify="left")
    for column in ("measurements", "drawn by lot", "suggested"):
        shown.add_column(column, justify="right")
    for line in table(simulation):
        shown.add_row(*line)
    console.print(shown)
    console.print(headline(simulation, unit), soft_wrap=True)
    if output:
        _write(output, picture(simulation, predictor.about["property"]["symbol"], unit))


def _simulated(measured: Measured, predictor: Predictor) -> Simulation:
    """Simulate, which takes minutes, beside a bar on stderr."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("simulate")

        def show(done: Report) -> None:
            progress.update(bar, completed=done.done, total=done.total)

        with listening(show):
            return simulate(measured, predictor.limits)


def _check(output: Path | None, suffix: str) -> None:
    """Refuse a file of another kind before the work is done."""
    if output and output.suffix.lower() != suffix:
        raise MatliftError(f"{output} is not {suffix}: name a file that is")


def _write(output: Path, content: bytes) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        raise MatliftError(f"{output} cannot be written ({error.strerror or error})") from error
