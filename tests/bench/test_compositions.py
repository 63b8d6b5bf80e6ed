"""Elemental fractions, from formulas to a matrix, beside pymatgen's and matminer's."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ase.data import atomic_numbers
from conftest import MATMINER, Contest
from inputs import batches, computed_formulas, measured_formulas
from pymatgen.core import Composition

from tasks.featurize.fractions import fraction_rows
from tasks.recipe.schema import ELEMNET_ELEMENTS

Matrix = npt.NDArray[np.float64]

pytestmark = pytest.mark.usefixtures("one_core")
SIZE, ROUNDS = 10_000, 7
COLUMNS = {element: column for column, element in enumerate(ELEMNET_ELEMENTS)}


def ours(batch: Sequence[str]) -> Matrix:
    return fraction_rows(batch, elements=ELEMNET_ELEMENTS)


def pymatgen(batch: Sequence[str]) -> Matrix:
    matrix = np.zeros((len(batch), len(COLUMNS)))
    for row, formula in zip(matrix, batch, strict=True):
        composition = Composition(formula)
        for element in composition:
            row[COLUMNS[element.symbol]] = composition.get_atomic_fraction(element)
    return matrix


class Matminer:
    """matminer, which answers from a process of another environment."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, batch: Sequence[str]) -> None:
        """Featurize; the matrix stays there until it is asked for."""
        self.order({"formulas": batch})

    def matrix(self, path: Path) -> Matrix:
        """The first matrix that has not been asked for."""
        self.order({"save": str(path)})
        return np.load(path)[:, [atomic_numbers[element] - 1 for element in ELEMNET_ELEMENTS]]

    def order(self, order: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", "matminer's process has died: see what it printed"


@pytest.fixture
def matminer() -> Iterator[Matminer]:
    """matminer at work."""
    program = [str(MATMINER / "bin" / "python"), "-W", "ignore", str(Path(__file__).with_name("matminer_peer.py"))]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Matminer(process)
        process.stdin.close()


def same(_batch: Sequence[str], found: Matrix, expected: Matrix) -> str:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    return "the same"


KINDS = {"composition": computed_formulas, "measured-composition": measured_formulas}


@pytest.mark.parametrize("kind", KINDS)
def test_pymatgen(contest: Contest, kind: str) -> None:
    contest(
        f"{kind}-vs-pymatgen",
        ours=ours,
        peer=pymatgen,
        batches=batches(KINDS[kind](SIZE * (ROUNDS + 1), seed=0), SIZE, ROUNDS),
        check=same,
        unit="formulas/s",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_matminer(contest: Contest, matminer: Matminer, tmp_path: Path, kind: str) -> None:
    contest(
        f"{kind}-vs-matminer",
        ours=ours,
        peer=matminer,
        batches=batches(KINDS[kind](SIZE * (ROUNDS + 1), seed=1), SIZE, ROUNDS),
        check=lambda batch, found, _: same(batch, found, matminer.matrix(tmp_path / "matrix.npy")),
        unit="formulas/s",
    )
